"""What a command does to a record, for every state it may find and everything that may be asked."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from shared.controls import Action
from shared.errors import Conflict
from shared.lifecycle import TERMINAL, Status
from shared.records import BacktestRecord, new_record
from shared.steering import REMEMBERED_MAX, effect_of, is_done, speed_of

ACTIONS = ("pause", "resume", "speed", "step", "seek", "stop")
# By state and by what waits in it: what comes of each action, in the order of `ACTIONS`. In small letters a refusal's
# code. Where a checkpoint makes a difference it stands behind the stroke.
TABLE = """
pending | -      | HOLD   not_paused KEEP KEEP KEEP END/KEEP
pending | speed  | HOLD   not_paused KEEP KEEP KEEP END/KEEP
pending | seek   | HOLD   not_paused KEEP KEEP KEEP END/KEEP
pending | pause  | HOLD   KEEP KEEP KEEP KEEP END/KEEP
pending | resume | HOLD   not_paused KEEP KEEP KEEP END/KEEP
pending | step   | HOLD   KEEP KEEP KEEP KEEP END/KEEP
pending | stop   | stopping stopping stopping stopping stopping stopping
running | -      | TELL   not_paused TELL TELL TELL TELL
running | speed  | TELL   not_paused TELL TELL TELL TELL
running | seek   | TELL   not_paused TELL TELL TELL TELL
running | pause  | paused TELL TELL TELL TELL TELL
running | resume | TELL   not_paused TELL TELL TELL TELL
running | step   | TELL   TELL TELL TELL TELL TELL
running | stop   | stopping stopping stopping stopping stopping stopping
held    | -      | paused TELL TELL TELL TELL TELL
held    | speed  | paused TELL TELL TELL TELL TELL
held    | seek   | paused TELL TELL TELL TELL TELL
held    | pause  | paused TELL TELL TELL TELL TELL
held    | resume | TELL   TELL TELL TELL TELL TELL
held    | step   | TELL   TELL TELL TELL TELL TELL
held    | stop   | stopping stopping stopping stopping stopping stopping
paused  | -      | paused QUEUE KEEP QUEUE QUEUE END/QUEUE
paused  | speed  | paused QUEUE KEEP QUEUE QUEUE END/QUEUE
paused  | seek   | paused QUEUE KEEP QUEUE QUEUE END/QUEUE
paused  | pause  | paused QUEUE KEEP QUEUE QUEUE END/QUEUE
paused  | resume | KEEP   QUEUE KEEP QUEUE QUEUE END/QUEUE
paused  | step   | KEEP   QUEUE KEEP QUEUE QUEUE END/QUEUE
paused  | stop   | stopping stopping stopping stopping stopping stopping
"""


def record_of(
    status: str, *waiting: str, checkpoint: bool = False, done: tuple[str, ...] = (), **params: Any
) -> BacktestRecord:
    """A record in this state ("held": paused, with its worker), of which these commands wait and those were done."""
    record = new_record(backtest_id="bt_1", user_id="ann", params=params, priority=0, now_ms=1)
    record["status"] = "paused" if status == "held" else status
    record["leaseExpiresAt"] = 9 if status in ("held", "running") else 0
    record["queueRank"] = 7 if status == "pending" else 0
    if checkpoint:
        record["checkpoint"] = {"position": {"bar": 5}, "playback": {"phase": "paused", "speed": 2.0}}
    asked = [*done, *waiting]
    record["controlDone"], record["controlSeq"] = len(done), len(asked)
    record["controlIds"] = [f"{seq}:{action}:c{seq}" for seq, action in enumerate(asked, 1)][-REMEMBERED_MAX:]
    record["controls"] = [{"seq": seq, "action": action} for seq, action in enumerate(asked, 1) if seq > len(done)]
    return record


def comes_of(record: BacktestRecord, action: Any) -> str:
    """The name of the effect, or the code of the refusal."""
    try:
        return effect_of(record, action).name
    except Conflict as error:
        [wrong] = error.errors
        return wrong.code


def rows() -> list[tuple[str, str, list[str]]]:
    found: list[tuple[str, str, list[str]]] = []
    for line in TABLE.strip().splitlines():
        status, waiting, effects = (part.strip() for part in line.split("|"))
        found.append((status, waiting, effects.split()))
    return found


def test_the_table_leaves_nothing_out() -> None:
    assert set(ACTIONS) == set(get_args(Action))
    states = {"pending", "running", "held", "paused"}
    assert {(status, waiting) for status, waiting, _ in rows()} == {
        (status, waiting) for status in states for waiting in (*ACTIONS, "-")
    }
    assert states | TERMINAL == {*Status, "held"}


@pytest.mark.parametrize(("status", "waiting", "effects"), rows())
@pytest.mark.parametrize("checkpoint", [False, True])
def test_what_comes_of_each_command(status: str, waiting: str, effects: list[str], checkpoint: bool) -> None:
    record = record_of(status, *([waiting] if waiting != "-" else []), checkpoint=checkpoint)
    expected = [one.split("/")[-1 if checkpoint else 0] for one in effects]
    assert [comes_of(record, action) for action in ACTIONS] == expected


@pytest.mark.parametrize("status", sorted(TERMINAL))
@pytest.mark.parametrize("action", ACTIONS)
def test_what_has_ended_hears_nothing_any_more(status: Status, action: str) -> None:
    for checkpoint in (False, True):
        assert comes_of(record_of(status.value, checkpoint=checkpoint), action) == "ended"


@pytest.mark.parametrize(
    ("record", "resume", "pause"),
    [
        # Of what was done only a resume is sure to last: a pause may be undone by a crash, a step may have arrived.
        (record_of("running", done=("pause", "resume")), "not_paused", "TELL"),
        (record_of("running", done=("resume", "pause")), "TELL", "TELL"),
        (record_of("running", done=("resume", "step")), "TELL", "TELL"),
        (record_of("running", done=("resume", *["speed"] * REMEMBERED_MAX)), "TELL", "TELL"),
        (record_of("running", startPaused=True), "TELL", "TELL"),
        (record_of("pending", done=("resume",), startPaused=True), "not_paused", "HOLD"),
        (record_of("held", done=("step",)), "TELL", "paused"),
        # The last that decides counts, whatever came after it.
        (record_of("running", "pause", "seek", "speed"), "TELL", "paused"),
        (record_of("held", "resume", "pause"), "TELL", "paused"),
    ],
)
def test_what_is_remembered_and_what_waits_tell_whether_it_goes_on(
    record: BacktestRecord, resume: str, pause: str
) -> None:
    assert (comes_of(record, "resume"), comes_of(record, "pause")) == (resume, pause)


def test_what_another_version_stored_is_passed_over() -> None:
    text: Any = "pause"
    record = record_of("running", "pause")
    record["controls"] += [text, {"action": "resume"}, {"seq": "9", "action": "resume"}]
    assert comes_of(record, "pause") == "paused"
    old: Any = dict(record_of("pending"))
    for name in ("controls", "controlSeq", "controlDone", "controlIds", "checkpoint"):
        del old[name]
    assert [comes_of(old, action) for action in ("pause", "stop")] == ["HOLD", "END"]


def test_a_command_is_done_as_soon_as_the_record_can_tell() -> None:
    done: dict[Action, tuple[BacktestRecord, ...]] = {
        "pause": (record_of("paused", "pause"), record_of("running", done=("pause",))),
        "speed": (record_of("paused", "speed"), record_of("pending", "speed"), record_of("completed", "speed")),
        "resume": (record_of("running", done=("resume",)), record_of("completed", "resume")),
        "stop": (record_of("stopped", "stop"),),
    }
    for action, records in done.items():
        assert all(is_done(record, 1, action) for record in records), action
    waits: dict[Action, tuple[BacktestRecord, ...]] = {
        "pause": (record_of("running", "pause"), record_of("held", "pause"), record_of("completed", "pause")),
        "speed": (record_of("running", "speed"),),
        "resume": (record_of("pending", "resume"), record_of("running", "resume")),
        "step": (record_of("pending", "step"),),
        "stop": (record_of("running", done=("stop",)), record_of("pending", "stop"), record_of("completed", "stop")),
    }
    for action, records in waits.items():
        assert not any(is_done(record, 1, action) for record in records), action


def test_a_checkpoint_without_a_position_has_nothing_to_make_a_result_of() -> None:
    record = record_of("paused")
    record["checkpoint"] = {"playback": {"phase": "paused", "speed": "max"}}
    assert comes_of(record, "stop") == "END"


def test_the_speed_is_what_was_asked_last() -> None:
    record = record_of("held", "speed", checkpoint=True, speed=7.0)
    assert speed_of(record) == 2.0, "that of the checkpoint: what waits names none"
    record["controls"][0]["speed"] = 3.5
    assert speed_of(record) == 3.5
    assert speed_of(record_of("pending", speed=7.0)) == 7.0
    assert speed_of(record_of("pending")) == "max"
