"""The documents of `docs/contract` are those of the code, and say what is really said."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast, get_args

import httpx
import pytest
from pydantic import SecretStr

from api.app import create_app
from api.missed import SIGNED_IN
from api.pieces import read_news
from api.ws_frames import frames_of
from deploy.contract import messages
from deploy.contract.documents import documents, kept, write
from shared import package_version
from shared.contracts import Channel, Event
from shared.live import LIVE_MODELS
from shared.settings import Settings
from tests.conftest import JWT_SECRET
from tests.contract import (
    asyncapi,
    check,
    check_acknowledged,
    check_frame,
    check_told,
    closed,
    messages_at,
    schema,
    type_of,
    wrong,
)

ROOT = Path(__file__).parents[2]
RECORDED = ROOT / "tests" / "integration" / "conversations"
# What the recordings leave out, in its right form.
LEFT_OUT = (
    (r"<(backtest|result) (\d+)>", r"\1_\2"),
    (r"<instant>", "2026-01-31T12:00:00.123Z"),
    (r'"<(?:eta|duration)>"', "1.5"),
)
EVENT_TYPES = get_args(Event.model_fields["type"].annotation)


def recorded(name: str) -> Iterator[dict[str, Any]]:
    text = (RECORDED / f"{name}.jsonl").read_text(encoding="utf-8")
    for pattern, form in LEFT_OUT:
        text = re.sub(pattern, form, text)
    yield from map(json.loads, text.splitlines())


def literals(pattern: str, *paths: str) -> set[str]:
    """What the code of these files spells out."""
    return {found for path in paths for one in ROOT.glob(path) for found in re.findall(pattern, one.read_text())}


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return documents()


def test_the_documents_are_those_of_the_code(made: dict[str, str]) -> None:
    there = kept()
    assert sorted(made) == sorted(there), "run `make contract`"
    assert [path for path in made if made[path] != there[path]] == [], "run `make contract`"


def test_making_them_mends_what_differs_and_removes_what_is_of_no_message(made: dict[str, str], tmp_path: Path) -> None:
    assert write(made, tmp_path) == sorted(made)
    (tmp_path / "openapi.json").write_text("{}")
    (tmp_path / "schemas" / "Gone.json").write_text("{}")
    assert write(made, tmp_path) == ["openapi.json", "schemas/Gone.json"]
    assert write(made, tmp_path) == []
    assert kept(tmp_path) == made


@pytest.mark.parametrize("name", messages.models())
def test_each_schema_is_one_and_its_example_is_of_it(name: str) -> None:
    one = schema(name)
    assert one["description"]
    assert not re.search(r'"(\$defs|prefixItems|unevaluatedProperties|dependentRequired)":', json.dumps(one))
    for example in one["examples"]:
        check(example, name)
        messages.models()[name].model_validate_json(json.dumps(example))


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    document = asyncapi()
    references = set(re.findall(r'"\$ref": "([^"]+)"', json.dumps(document)))
    assert len(references) > 100
    files = {f"./{path}" for path in kept()}
    for reference in references:
        if reference.startswith("#"):
            found: Any = document
            for step in reference.split("/")[1:]:
                assert step in found, reference
                found = found[step]
        else:
            assert reference in files


def test_the_asyncapi_document_has_the_form_that_its_version_asks_for() -> None:
    """By hand: what `specs` of AsyncAPI says of these parts."""
    document = asyncapi()
    assert document["asyncapi"] == "3.0.0"
    assert set(document) <= {
        "asyncapi",
        "id",
        "info",
        "defaultContentType",
        "servers",
        "channels",
        "operations",
        "components",
    }
    assert {"title", "version"} <= set(document["info"])
    for server in document["servers"].values():
        assert (
            {"host", "protocol"}
            <= set(server)
            <= {*("host", "protocol", "protocolVersion", "pathname", "title", "description", "security")}
        )
    for channel in document["channels"].values():
        assert set(channel) <= {"address", "servers", "messages", "description"}
        assert channel["messages"]
    used: set[str] = set()
    for name, operation in document["operations"].items():
        assert operation["action"] in ("send", "receive")
        channel = operation["channel"]["$ref"]
        for part in (operation, operation.get("reply")):
            if part is None:
                continue
            for one in part["messages"]:
                assert one["$ref"].startswith(f"{part['channel']['$ref']}/messages/"), name
                used.add(one["$ref"])
        assert channel.startswith("#/channels/")
    there = {
        f"#/channels/{key}/messages/{name}" for key, one in document["channels"].items() for name in one["messages"]
    }
    assert used == there


def test_every_channel_event_and_frame_that_the_code_knows_is_documented() -> None:
    addresses = {
        server: {one["address"] for key, one in asyncapi()["channels"].items() if key.startswith(server)}
        for server in ("redis", "socketio")
    }
    assert addresses["redis"] == {one.value for one in Channel}
    assert set(LIVE_MODELS) == set(EVENT_TYPES)
    assert addresses["socketio"] >= {SIGNED_IN, *(f"backtest:{kind}" for kind in EVENT_TYPES)}
    spelled = literals(r"[\"']((?:backtest|auth):[a-z]+)[\"']", "api/*.py")
    assert len(spelled) > 10
    assert spelled - addresses["redis"] - addresses["socketio"] == set()
    handled = literals(r"\"(backtest:[a-z]+)\": self\._", "api/sockets.py")
    assert handled == set(messages.FROM_CLIENTS)
    actions = literals(r"(?m)^ {12}\"([a-z]+)\": self\._", "api/ws.py") | {"authenticate"}
    assert actions == set(messages.WS_REQUESTS)
    frames = {type_of(name) for name in messages_at("ws")} - {None}
    assert frames == messages.WS_FRAMES.keys() | messages.WS_SESSION_FRAMES.keys()
    spelled = literals(r"\"type\": \"([a-z_]+)\"", "api/ws.py", "api/ws_frames.py")
    assert len(spelled) > 5
    assert spelled - frames - {"websocket_send"} == set()


@pytest.mark.parametrize("name", [name for name in messages.models() if name.endswith("Event")])
def test_each_example_of_an_event_is_told_and_framed_as_documented(name: str) -> None:
    [example] = schema(name)["examples"]
    piece = read_news(Channel.EVENT, json.dumps(example))
    check_told(piece.event, json.loads(piece.text))
    for frame in frames_of(piece):
        check_frame(frame)


def test_what_was_recorded_on_the_channels_is_as_documented_and_so_is_what_becomes_of_it() -> None:
    seen: set[str] = set()
    for line in recorded("channels"):
        channel, payload = line["channel"], line["payload"]
        names = messages_at(f"redis.{channel.replace(':', '.')}")
        if channel == Channel.TASK:
            known = isinstance(payload, dict) and payload["backtestId"] != "bt_half"  # nonsense, as the scene says
            assert bool(wrong(payload, *names)) != known
            continue
        check(payload, *names)
        piece = read_news(Channel(channel), json.dumps(payload))
        check_told(piece.event, json.loads(piece.text))
        for frame in frames_of(piece):
            check_frame(frame)
            seen.add(frame["type"])
    assert seen == {"backtest_start", "backtest_progress", "backtest_complete", "backtest_error"}


@pytest.mark.parametrize("name", ["owner", "subscriber"])
def test_what_was_recorded_over_socket_io_is_as_documented(name: str) -> None:
    asked: dict[str, str] = {}
    told = 0
    for line in recorded(name):
        kind, data = line.get("sent") or line["got"], line["data"]
        if "sent" in line:
            asked[kind[2:]] = data[0]
        elif kind.startswith("43"):
            check_acknowledged(asked[kind[2:]], data[0])
        elif kind == "42":
            check_told(data[0], data[1])
            told += 1
    assert told > 5


async def test_the_document_of_http_is_the_one_that_a_gateway_serves() -> None:
    gateway = create_app(Settings.model_validate({"jwt_secret": SecretStr(JWT_SECRET)}))
    transport = httpx.ASGITransport(cast("Any", gateway))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        served = (await client.get("/openapi.json")).json()
    kept_one = json.loads(kept()["openapi.json"])
    assert served.pop("info") == kept_one.pop("info") | {"version": package_version()}
    assert served == kept_one


@pytest.mark.parametrize(
    ("said", "field"),
    [({"kind": 1}, "kind"), ({"metrics": {"sharpe": 1}}, "metrics"), ({"openTrades": [{"size": 1}]}, "openTrades")],
)
def test_a_field_that_no_document_names_is_found(said: dict[str, Any], field: str) -> None:
    [example] = schema("StateTold")["examples"]
    check_told("backtest:state", example)
    broken = example | {name: one | example[name] if isinstance(one, dict) else one for name, one in said.items()}
    assert field in wrong(broken, "StateTold")


def test_what_says_that_there_are_other_fields_stays_open() -> None:
    assert closed({"properties": {}, "additionalProperties": True}) == {"properties": {}, "additionalProperties": True}
    assert closed({"properties": {}}) == {"properties": {}, "additionalProperties": False}
