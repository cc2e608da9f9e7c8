"""What is said, held against the documents of `docs/contract`, with unknown fields forbidden."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, cast

import jsonschema_rs

from deploy.contract.documents import ROOT


@cache
def asyncapi() -> dict[str, Any]:
    return json.loads((ROOT / "asyncapi.json").read_text(encoding="utf-8"))


@cache
def schema(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "schemas" / f"{name}.json").read_text(encoding="utf-8"))


@cache
def _closed(name: str) -> jsonschema_rs.Draft7Validator:
    return jsonschema_rs.Draft7Validator(cast("dict[str, Any]", closed(schema(name))), validate_formats=True)


def closed(node: object) -> object:
    """The schema that lets no field pass that it does not name, unless it says that there are others."""
    if isinstance(node, list):
        return [closed(one) for one in cast("list[object]", node)]
    if not isinstance(node, dict):
        return node
    made: dict[str, Any] = {
        word: value if word in ("default", "examples", "const", "enum") else closed(value)
        for word, value in cast("dict[str, object]", node).items()
    }
    return {"additionalProperties": False} | made if isinstance(made.get("properties"), dict) else made


def wrong(said: object, *names: str) -> str:
    """Why something is none of these messages; nothing where it is one of them."""
    reasons: list[str] = []
    for name in names:
        faults = [f"{'/'.join(map(str, one.instance_path))}: {one.message}" for one in _closed(name).iter_errors(said)]
        if not faults:
            return ""
        reasons.append(f"{name}: {'; '.join(faults)}"[:600])
    return "\n".join(reasons) or "there is no such message"


def check(said: object, *names: str) -> None:
    """Something is one of these messages."""
    assert not (found := wrong(said, *names)), f"{json.dumps(said)[:600]}\nis wrong as\n{found}"


def messages_at(channel: str) -> list[str]:
    """The names of the messages of a channel of the AsyncAPI document, by its key."""
    return list(asyncapi()["channels"][channel]["messages"])


def check_told(event: str, said: object) -> None:
    """What a gateway told a Socket.IO client."""
    check(said, *messages_at(f"socketio.{event.replace(':', '.')}"))


def check_acknowledged(event: str, said: object) -> None:
    reply = asyncapi()["operations"][f"socketio.{event.replace(':', '.')}.receive"]["reply"]
    check(said, *(one["$ref"].rpartition("/")[2] for one in reply["messages"]))


def check_frame(frame: dict[str, Any]) -> None:
    """What a gateway sent over `/ws`."""
    check(frame, *(name for name in messages_at("ws") if type_of(name) == frame["type"]))


def type_of(message: str) -> str | None:
    """Of a frame."""
    return schema(message)["properties"].get("type", {}).get("const")
