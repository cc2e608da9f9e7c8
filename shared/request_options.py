"""A request for a backtest out of the options of a command line, the same ones for every command that takes one.

What takes time to import is imported when a request is read: asking for help must not wait for it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, cast

from shared.errors import InvalidRequest, MalformedMessage

VALUES = "A VALUE is JSON where it is JSON, and text where it is not: 10, true, '{\"percent\": 2}', close."
_OF_AGENTS = "ai_trader"  # the strategy of a request that names an agent instead
# Fields of the request that have an option of their own.
_OPTION_OF = {
    "symbol": "--symbol",
    "interval": "--interval",
    "startDate": "--from",
    "endDate": "--to",
    "strategies": "--strategy",
    "strategyParams": "--param",
    "warmupBars": "--warmup-bars",
}


def add_request_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--symbol", metavar="SYMBOL", help="which market")
    parser.add_argument("--interval", metavar="INTERVAL", help="length of its bars: 1m, 1h, 1d, …")
    parser.add_argument("--from", "--start-date", dest="start", metavar="DATE", help="first date or instant")
    parser.add_argument("--to", "--end-date", dest="end", metavar="DATE", help="exclusive end")
    parser.add_argument(
        "--warmup-bars", metavar="N", help="most bars before the first that indicators begin with (default: all of use)"
    )
    parser.add_argument("--strategy", action="append", metavar="NAME", help="repeatable: several are combined")
    parser.add_argument(
        "--param", action="append", default=[], metavar="[STRATEGY.]NAME=VALUE", help="a parameter of a strategy"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", help="any other field of a request, dotted inside"
    )
    parser.add_argument(
        "--request",
        type=Path,
        metavar="FILE.json",
        help="a request as it is posted, `-` for standard input; options override",
    )


def read_request(asked: argparse.Namespace, most_bytes: int) -> dict[str, Any]:
    """The body of a request that the options amount to: what `--request` names, overridden by the others.

    Raises `InvalidRequest` for options that cannot be understood; what they say is checked with the rest of the body.
    """
    body = _read_body(asked.request, most_bytes) if asked.request else {}
    given = {"symbol": asked.symbol, "interval": asked.interval, "startDate": asked.start, "endDate": asked.end}
    body |= {field: value for field, value in given.items() if value is not None}
    if asked.warmup_bars is not None:
        body["warmupBars"] = read_value(asked.warmup_bars)
    if asked.strategy:
        body["strategies"] = asked.strategy
        kept = body.get("strategyParams", {})
        if isinstance(kept, dict):
            of_strategy = cast("dict[str, Any]", kept)
            body["strategyParams"] = {name: of_strategy[name] for name in asked.strategy if name in of_strategy}
    for field in ("symbol", "interval"):  # They choose the bars, before the rest is checked.
        if not isinstance(body.get(field, ""), str):
            raise InvalidRequest.of(field, f"must be text (got {json.dumps(body[field])[:80]})")
    of_agent = "agentId" in body or any(text.startswith("agentId=") for text in asked.set)
    if "strategies" not in body and not of_agent:
        raise InvalidRequest.of("strategies", "there is none; name one with --strategy, for example sma_crossover")
    for text in asked.param:
        _put_param(body, text)
    for text in asked.set:
        path, value = _split("--set", text)
        _check_option(path)
        _put(body, path.split("."), value)
    return body


def _read_body(path: Path, most_bytes: int) -> dict[str, Any]:
    from shared.wire import parse_json

    try:
        if path == Path("-"):
            text = sys.stdin.buffer.read(most_bytes + 1)
        else:
            with path.open("rb") as file:
                text = file.read(most_bytes + 1)
    except OSError as error:
        raise InvalidRequest.of("--request", f"{path}: {error.strerror}; name a file of JSON") from error
    if len(text) > most_bytes:
        raise InvalidRequest.of("--request", f"{path} is larger than {most_bytes:,} bytes, see the gateway's limit")
    try:
        body = parse_json(text)
    except MalformedMessage as error:
        raise InvalidRequest.of("--request", f"{path} is {error.message}; correct it") from None
    if not isinstance(body, dict):
        raise InvalidRequest.of("--request", f"{path} holds a {type(body).__name__}; it must be a JSON object")
    return cast("dict[str, Any]", body)


def _split(option: str, text: str) -> tuple[str, Any]:
    """Name and value of `NAME=VALUE`; only the first `=` parts them."""
    name, sign, value = text.partition("=")
    name = name.strip()
    if not name or not sign:
        raise InvalidRequest.of(option, f"{text!r} is not of the form NAME=VALUE; write for example {option} seed=7")
    return name, read_value(value)


def read_value(text: str) -> Any:
    from shared.wire import parse_json

    try:
        return parse_json(text)
    except MalformedMessage:
        return text


def _put_param(body: dict[str, Any], text: str) -> None:
    path, value = _split("--param", text)
    named = body.get("strategies", [_OF_AGENTS])
    if not isinstance(named, list):
        return  # Refused with the rest of the body.
    strategies = [str(name) for name in cast("list[Any]", named)]
    strategy, _, name = path.rpartition(".")
    if not strategy and len(strategies) == 1:
        strategy = strategies[0]
    if strategy not in strategies:
        raise InvalidRequest.of(
            "--param",
            f"{text!r} is for none of the strategies ({', '.join(strategies)}); write STRATEGY.{name}=VALUE",
        )
    _put(body, ["strategyParams", strategy, name], value)


def _put(body: dict[str, Any], path: list[str], value: Any) -> None:
    """Sets what `path` leads to. Objects on the way are made where there are none."""
    place = body
    for name in path[:-1]:
        if not isinstance(place.get(name), dict):
            place[name] = {}
        place = place[name]
    place[path[-1]] = value


def _check_option(path: str) -> None:
    """Raises `InvalidRequest` where a field has an option of its own; unknown ones are refused with the whole body."""
    option = _OPTION_OF.get(path.partition(".")[0])
    if option:
        raise InvalidRequest.of("--set", f"{path} has an option of its own; use {option}")
