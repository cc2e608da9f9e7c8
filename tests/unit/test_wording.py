"""Nothing that clients read speaks of Python, and over HTTP nothing of the command line."""

from __future__ import annotations

import inspect
import json
import pickle
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI, Query
from pydantic import BaseModel

import api.account_requests
import shared.contracts
import shared.request
from api.market_data.uploads import ImportForm
from api.problems import install_problems, respond
from shared.candles.files.parsing import read_files
from shared.choices import as_fields, as_options
from shared.errors import ImportRefused, InvalidRequest
from shared.reading import Reading
from shared.strategies import catalogue
from shared.wire import Wire, validate

PYTHON = re.compile(
    r"NoneType|instance of|Input should|dictionary|\bdict\b|\btuple\b|\bstr\b|\bint\b|\bfloat\b|\bbool\b|boolean|"
    r"integer|Extra inputs|Field required|after validation|Value error|\bNone\b|\bTrue\b|\bFalse\b|<class|mapping"
)
COMMAND_LINE = re.compile(r"(?<![\w-])--[a-z]|[⟦⟧]")
ODD: list[Any] = [
    None,
    True,
    7,
    -1.5,
    1e300,
    10**30,
    "",
    "x" * 2_000,
    [],
    [1],
    [[]],
    {},
    {"a": 1},
    {"": None},
    "\ud800",
]


def models() -> Iterator[type[BaseModel]]:
    for module in (shared.contracts, shared.request, api.account_requests):
        for _, one in inspect.getmembers(module, inspect.isclass):
            if issubclass(one, Wire) and one.__module__ == module.__name__:
                yield one
    yield ImportForm


@pytest.mark.parametrize("model", list(models()), ids=lambda model: model.__name__)
def test_no_refusal_of_a_field_speaks_of_python(model: type[BaseModel]) -> None:
    names = [field.alias or name for name, field in model.model_fields.items()]
    sent: list[Any] = [*ODD, *({name: odd} for name in names for odd in ODD)]
    sent += [{name: {inner: odd}} for name in names for inner in ("epoch", "seq", "rate", "percent") for odd in ODD]
    refusals = 0
    for one in sent:
        try:
            validate(model, one)
        except InvalidRequest as refused:
            refusals += 1
            for said in (refused.message, *(error.message for error in refused.errors)):
                assert not PYTHON.search(said.partition(" (got ")[0]), said
    assert refusals >= len(ODD) or not names


@pytest.mark.parametrize("strategy", catalogue(), ids=lambda strategy: strategy.id)
def test_no_refusal_of_a_parameter_speaks_of_python(strategy: Any) -> None:
    for name in (*strategy.parameters.model_fields, "nosuch"):
        for odd in ODD:
            try:
                strategy.use({name: odd}, "params")
            except InvalidRequest as refused:
                for error in refused.errors:
                    assert not PYTHON.search(error.message.partition(" (got ")[0]), error.message


async def test_no_refusal_of_a_query_speaks_of_python() -> None:
    app = FastAPI()
    install_problems(app)

    @app.get("/")
    async def get(limit: int = Query(ge=1), name: str = Query(max_length=3), on: bool = Query()) -> None: ...

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway") as client:
        for query in ("", "?limit=x&name=long&on=maybe", "?limit=0&name=&on="):
            problem = (await client.get(f"/{query}")).json()
            assert problem["errors"]
            assert not PYTHON.search(problem["detail"]), problem


FILES = {
    "prices": "Date,Open,High,Low,Close,Adj Close\n2024-01-02,1,2,1,2,1\n2024-01-03,1,2,1,2,1\n",
    "dates": "Date,Open,High,Low,Close\n03/04/2024,1,2,1,2\n04/05/2024,1,2,1,2\n",
    "zone": "Time,Open,High,Low,Close\n2024-01-02 00:00:00,1,2,1,2\n2024-01-02 01:00:00,1,2,1,2\n",
    "one bar": "Date,Open,High,Low,Close\n2024-01-02,1,2,1,2\n",
    "no columns": "a,b,c\n1,2,3\n",
    "gaps": "Date,Open,High,Low,Close\n"
    + "".join(f"2024-{month:02}-{day:02},1,2,1,2\n" for month in (1, 6) for day in (1, 2, 3)),
}
READINGS = [
    Reading(symbol="X"),
    *(
        replace(Reading(symbol="X"), **odd)
        for name in ("interval", "time_zone", "time_unit", "date_order", "side", "price")
        for odd in [cast("Any", {name: "odd"})]
    ),
    Reading(symbol="a b"),
    Reading(symbol="X", columns="time,open"),
    Reading(symbol="X", columns="time=1,2"),
    Reading(symbol="X", side="mid", price="traded"),
    Reading(),
]


def test_no_refusal_of_a_form_speaks_of_the_command_line(tmp_path: Path) -> None:
    as_typed: set[str] = set()
    for name, text in FILES.items():
        path = tmp_path / f"{name.replace(' ', '_')} of mine.csv"
        path.write_text(text)
        for reading in READINGS:
            try:
                read_files([path], reading)
            except ImportRefused as refusal:
                # It comes from another process.
                answer = json.loads(bytes(respond(pickle.loads(pickle.dumps(refusal))).body))
                assert not COMMAND_LINE.search(answer["detail"]), answer
                for error in answer["errors"]:
                    assert not COMMAND_LINE.search(error["field"] + error["message"]), error
                as_typed |= set(re.findall(r"--[a-z-]+|⟦", refusal.message))
    assert "⟦" not in as_typed
    assert as_typed >= {"--price", "--date-order", "--time-zone", "--interval", "--columns", "--allow-gaps", "--symbol"}


def test_a_choice_is_worded_for_who_reads_it() -> None:
    text = "name it with ⟦time_zone⟧, or choose ⟦price traded⟧; accept it with ⟦allow_gaps⟧"
    assert as_options(text) == "name it with --time-zone, or choose --price traded; accept it with --allow-gaps"
    assert as_fields(text) == "name it with timeZone, or choose price=traded; accept it with allowGaps=true"
    refused = respond(ImportRefused("⟦side⟧ is odd"))
    assert json.loads(bytes(refused.body))["detail"] == "side is odd"
