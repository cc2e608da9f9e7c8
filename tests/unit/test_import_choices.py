"""Files that can be read in several ways: the refusal offers answers, and whoever takes one gets on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.market_data.uploads import ImportForm
from api.problems import Problem, problem_of
from deploy.cli import main
from shared.bars import Bars
from shared.candles import BarConflict, merge_bars
from shared.candles.files.parsing import read_files
from shared.choices import as_fields, as_options
from shared.client.answers import refusal_of
from shared.errors import ImportRefused, InvalidRequest
from shared.renaming import in_words
from shared.wire import validate

HEAD = "time,open,high,low,close,volume\n"
TWO = """\
Price,Close,Close,High,High,Low,Low,Open,Open,Volume,Volume
Ticker,AAPL,MSFT,AAPL,MSFT,AAPL,MSFT,AAPL,MSFT,AAPL,MSFT
Date,,,,,,,,,,
2024-01-02,2,3,3,4,1,2,2,3,5,6
2024-01-03,2,3,3,4,1,2,2,3,5,6
"""
DAYS = ("2024-01-02", "2024-01-03")
LOCAL = ("2024-01-02 10:00", "2024-01-02 11:00")
CELLS = [one.replace(" ", ",") for one in LOCAL]
HOURS = [f"2024-01-0{day}T{hour:02}:00:00Z" for day in (1, 2) for hour in range(24)]


def rows(*times: str, values: str = "2,3,1,2,5", parted: str = ",") -> str:
    return "".join(f"{time}{parted}{values}\n" for time in times)


# What is asked for: a file, what is sent with it, how many answers there are, and how many of them lead on.
ASKED: dict[str, tuple[str, dict[str, str], int, int]] = {
    "dateOrder": (HEAD + rows("03/04/2024", "04/04/2024"), {}, 2, 2),
    "dateOrder that is wrong": (HEAD + rows("03/04/2024", "04/04/2024"), {"dateOrder": "ymd"}, 2, 2),
    "side": (rows("20240101 21:00", "20240101 22:00", values="1.1,1.3,1.0,1.2,4,2.1,2.3,2.0,2.2,6"), {}, 3, 3),
    "price": (HEAD.replace("volume", "volume,adj close") + rows(*DAYS, values="2,3,1,2,5,1"), {}, 2, 2),
    "decimal": (HEAD.replace(",", ";") + rows(*DAYS, values="1,234;1,234;1,234;1,234;1", parted=";"), {}, 2, 2),
    "priceScale": (rows("19980102 00:00", "19980103 00:00", values="9731,9765,9634,9750,21"), {}, 2, 2),
    "columns": (rows(*DAYS, values="2,2,2,2,5"), {}, 2, 2),
    "columns without volume": (rows(*DAYS, values="2,2,2,2"), {}, 2, 2),
    "columns and a time of day": (rows(*CELLS, values="2,2,2,2,5"), {"timeZone": "UTC"}, 2, 2),
    "timeZone": (HEAD + rows(*LOCAL), {}, 9, 9),
    "timeZone that is near": (HEAD + rows(*LOCAL), {"timeZone": "Europe/Berlim"}, 3, 3),
    "interval": (HEAD + rows("2024-01-01"), {}, 16, 10),
    "interval that is none": (HEAD + rows("2024-01-01T00:00:00Z", "2024-01-01T00:07:00Z"), {}, 16, 1),
    "timeUnit": (HEAD + rows("99996400000", "100000000000"), {}, 5, 1),
    "allowGaps": (HEAD + rows(*HOURS[:20], *HOURS[23:]), {}, 1, 1),
    "symbol": (TWO, {}, 2, 2),
}


def ask(path: Path, fields: Mapping[str, str]) -> list[dict[str, Any]]:
    """What a form with these fields is asked; nothing where its file can be read."""
    try:
        read_files([path], validate(ImportForm, fields).reading)
    except ImportRefused as refusal:
        problem = problem_of(refusal)
        Problem.model_validate(problem)
        return [one for one in problem["errors"] if one.get("choices")] or [{"choices": []}]
    return []


@pytest.mark.parametrize("asked", ASKED)
def test_each_question_has_answers_that_lead_on(asked: str, tmp_path: Path) -> None:
    text, sent, answers, right = ASKED[asked]
    path = tmp_path / "X.csv"
    path.write_text(text)
    question = ask(path, sent)[0]
    assert question["field"] == asked.partition(" ")[0]
    assert question["code"] in ("choose", "invalid")
    assert len(question["choices"]) == answers
    assert all(one["value"] and one["label"] for one in question["choices"])
    led_on = 0
    for choice in question["choices"]:
        fields = sent | {question["field"]: choice["value"]}
        while (asked_next := ask(path, fields)) and asked_next[0]["choices"] and len(fields) < 5:
            fields |= {asked_next[0]["field"]: asked_next[0]["choices"][0]["value"]}
            if fields.keys() == sent.keys() | {question["field"]}:
                break  # it asks the same again: that was no answer
        led_on += not asked_next
    assert led_on >= right


def test_stored_bars_with_other_values_are_a_question_and_two_files_that_differ_none(tmp_path: Path) -> None:
    bars = Bars(np.array([0, 60_000]), *(np.array([1.0, 2.0]) for _ in range(5)))
    other = bars._replace(volume=np.array([1.0, 3.0]))
    with pytest.raises(BarConflict) as refused:
        merge_bars(bars, other, "X 1m")
    [question] = refused.value.errors
    assert (question.field, [one.value for one in question.choices]) == ("--on-conflict", ["keep", "replace"])
    for number, close in enumerate("23"):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "X.csv").write_text(HEAD + rows(*DAYS, values=f"2,3,1,{close},5"))
    with pytest.raises(BarConflict) as refused:
        read_files([tmp_path / str(number) / "X.csv" for number in range(2)])
    assert refused.value.errors == ()


def test_the_command_line_lists_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "X.csv").write_text(ASKED["dateOrder"][0])
    assert main(["run", "--data", str(tmp_path / "X.csv"), "--strategy", "buy_and_hold"]) == 2
    listed = capsys.readouterr().err.splitlines()[1]
    assert listed == "backfleet: --date-order: dmy (Day first: 31/12/2024), mdy (Month first: 12/31/2024)"


def test_what_may_be_anything_is_asked_without_answers_and_a_statement_asks_nothing() -> None:
    [open_question] = ImportRefused("name it with ⟦?symbol⟧").for_form().errors
    assert (open_question.field, open_question.choices) == ("symbol", ())
    assert "choices" not in open_question.as_wire()
    assert ImportRefused("⟦side bid⟧ is for quotes; leave it out").errors == ()


def test_words_are_those_of_the_edge_and_answers_the_same_everywhere() -> None:
    text = "accept it with ⟦?allow_gaps⟧, ⟦?price traded⟧ or ⟦?interval 1h|4h⟧"
    assert as_options(text) == "accept it with --allow-gaps, --price traded or --interval"
    assert as_fields(text) == "accept it with allowGaps=true, price=traded or interval"
    said = problem_of(ImportRefused(text))
    with pytest.raises(InvalidRequest) as refused, in_words({"allowGaps": "allow_gaps"}):
        raise refusal_of(422, said)  # as a client of the gateway has it, in the words of an edge of its own
    answer = pytest.importorskip("shared.mcp.answer", reason="the extra `mcp` is not installed")
    first = answer.refused(refused.value).structured_content["error"]["errors"][0]
    assert (first["field"], "allow_gaps=true" in first["message"]) == ("allow_gaps", True)
    assert first["choices"] == [{"value": "true", "label": "Import it with its gaps"}]
