"""A run's mailbox: each command once, in order, whichever way the news of it came."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from shared.controls import Action, Control, command_of
from shared.playback import Command, Pause, Resume, Seek, Speed, Step, Stop
from shared.records import BacktestRecord, new_record
from shared.wire import validate
from worker.control import Mailbox, Mailboxes


def control(seq: int, action: str = "pause", **more: Any) -> dict[str, Any]:
    return {"backtestId": "bt_1", "userId": "ann", "seq": seq, "commandId": f"c{seq}", "action": action, **more}


def record(*controls: dict[str, Any], done: int = 0, backtest_id: str = "bt_1") -> BacktestRecord:
    made = new_record(backtest_id=backtest_id, user_id="ann", params={}, priority=0, now_ms=1)
    return {**made, "controls": list(controls), "controlDone": done}


def seqs(mailbox: Mailbox) -> list[int | None]:
    return [one.seq for one in mailbox.take()]


def test_what_waited_in_the_record_before_the_run_began_is_there() -> None:
    assert seqs(Mailbox(record(control(3), control(4), done=2))) == [3, 4]


def test_each_command_is_delivered_once_however_often_the_record_brings_it() -> None:
    mailbox = Mailbox(record())
    assert not mailbox.filled.is_set()
    mailbox.deliver(record(control(1)))
    mailbox.deliver(record(control(1), control(2)))
    assert mailbox.filled.is_set()
    assert seqs(mailbox) == [1, 2]
    assert not mailbox.filled.is_set()
    mailbox.deliver(record(control(1), control(2)))
    assert not mailbox.filled.is_set()
    assert seqs(mailbox) == []
    mailbox.deliver(record(control(1), control(2), control(3)))
    assert seqs(mailbox) == [3]


def test_what_was_heard_is_reported_until_the_record_knows_it() -> None:
    mailbox = Mailbox(record(control(1), control(2)))
    first, second = mailbox.take()
    assert mailbox.news_of_done == 0, "taken is not heard"
    mailbox.heard(first)
    assert mailbox.news_of_done == 1
    mailbox.heard(second)
    assert mailbox.news_of_done == 2
    mailbox.deliver(record(control(1), control(2), done=1))
    assert mailbox.news_of_done == 2
    mailbox.deliver(record(done=2))
    assert mailbox.news_of_done == 0


def test_a_command_that_cannot_be_read_keeps_nothing_else_away(caplog: pytest.LogCaptureFixture) -> None:
    text: Any = "pause"
    mailbox = Mailbox(record(control(1, "dance"), text, control(3)))
    assert seqs(mailbox) == [3]
    assert "action" in caplog.text


def test_a_record_of_an_older_version_has_no_mail() -> None:
    old: Any = dict(record())
    for name in ("controls", "controlDone"):
        del old[name]
    mailbox = Mailbox(old)
    assert (seqs(mailbox), mailbox.news_of_done) == ([], 0)


def test_a_ring_reaches_the_run_it_names_and_no_other() -> None:
    mailboxes = Mailboxes()
    with mailboxes.open(record()) as one, mailboxes.open(record(backtest_id="bt_2")) as other:
        mailboxes.ring("bt_1")
        mailboxes.ring("bt_3")
        assert (one.rung.is_set(), other.rung.is_set()) == (True, False)
        mailboxes.ring_all()
        assert other.rung.is_set()
        one.rung.clear()
    mailboxes.ring("bt_1")
    assert not one.rung.is_set(), "its run is over"


def test_a_run_that_ends_late_takes_no_mailbox_from_the_one_that_followed_it() -> None:
    mailboxes = Mailboxes()
    earlier, later = mailboxes.open(record()), mailboxes.open(record())
    earlier.__enter__()
    box = later.__enter__()
    earlier.__exit__(None, None, None)
    mailboxes.ring("bt_1")
    assert box.rung.is_set()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (control(1, "pause"), Pause()),
        (control(1, "resume"), Resume()),
        (control(1, "stop"), Stop(close_open_trades=True)),
        (control(1, "stop", closeOpenTrades=False), Stop(close_open_trades=False)),
        (control(1, "speed", speed=2.5), Speed(2.5)),
        (control(1, "speed"), Speed(None)),
        (control(1, "step", bars=7), Step(7)),
        (control(1, "step"), Step(1)),
        (control(1, "seek", bar=0), Seek(0)),
    ],
)
def test_every_action_is_a_command_of_the_run(said: dict[str, Any], meant: Command) -> None:
    assert command_of(validate(Control, said)) == meant


def test_no_action_is_left_without_a_command() -> None:
    actions = get_args(Action)
    assert {type(command_of(validate(Control, control(1, action)))) for action in actions} == set(Command.__args__)
