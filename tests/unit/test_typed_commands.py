"""Commands as lines of text: what they mean, and what is refused and how."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import InvalidRequest
from worker.typed_commands import command_id_of, read_command


@pytest.mark.parametrize(
    ("line", "means"),
    [
        (b"pause", {"action": "pause"}),
        (b"  RESUME\r", {"action": "resume"}),
        (b"stop", {"action": "stop"}),
        (b"step", {"action": "step"}),
        (b"step 10", {"action": "step", "bars": 10}),
        (b"step 2.0", {"action": "step", "bars": 2}),
        (b"speed 50", {"action": "speed", "speed": 50.0}),
        (b"speed max", {"action": "speed", "speed": "max"}),
        (b"seek 0", {"action": "seek", "bar": 0}),
        (b"seek 2024-06-01", {"action": "seek", "time": "2024-06-01"}),
        (b"seek 2024-06-01T12:00:00+02:00", {"action": "seek", "time": "2024-06-01T10:00:00Z"}),
        (
            b'{"action": "stop", "closeOpenTrades": false, "commandId": "c1"}',
            {"action": "stop", "closeOpenTrades": False, "commandId": "c1"},
        ),
    ],
)
def test_a_line_means_a_command(line: bytes, means: dict[str, Any]) -> None:
    assert read_command(line).model_dump(mode="json", by_alias=True, exclude_unset=True) == means


@pytest.mark.parametrize(
    ("line", "field", "part"),
    [
        (b"fly", "action", "there is no command 'fly'; write pause"),
        (b"\xff", "$", "not UTF-8"),
        (b"[1]", "action", "there is no command '[1]'"),
        (b"pause now", "$", "followed by 'now'"),
        (b"step 1 2", "$", "followed by '2'"),
        (b"step x", "bars", 'whole number (got "x")'),
        (b"step 0", "bars", "(got 0)"),
        (b"step " + b"9" * 5_000, "bars", "whole number"),
        (b"speed", "speed", "from 0.1, or max"),
        (b"speed nan", "speed", "from 0.1"),
        (b"seek", "$", "one of bar, an index from 0, and time"),
        (b"seek -1", "bar", "(got -1)"),
        (b"seek 1e999", "bar", "whole number"),
        (b"seek yesterday", "time", "2024-01-31"),
        (b"{", "$", "Expecting"),
        (b'{"action": "step", "bras": 1}', "bras", "did you mean bars?"),
        (b'{"action": "watch"}', "action", "'pause'"),
    ],
)
def test_nonsense_is_refused_by_the_field_and_the_remedy(line: bytes, field: str, part: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_command(line)
    [error] = refusal.value.errors
    assert (error.field, part in error.message) == (field, True), error.message


def test_whoever_named_a_command_that_is_refused_is_told_by_its_name() -> None:
    assert command_id_of(b'{"action": "fly", "commandId": "c1"}') == "c1"
    assert [command_id_of(line) for line in (b"fly", b"[1]", b'{"commandId": 7}', b'{"commandId": "\\ud800"}')] == [
        None
    ] * 4
