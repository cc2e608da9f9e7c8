"""Commands that no gateway published: into the record once and in order, or refused in so many words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from shared.bus import Bus
from shared.contracts import Channel
from shared.controls import Control, ControlRequest
from shared.errors import Conflict, FieldError, InvalidRequest, NotFound, StoreUnavailable
from shared.steering import Steering
from shared.wire import decode
from worker import foreign
from worker.foreign import ForeignCommands

GOOD = {"backtestId": "bt_1", "userId": "ann", "action": "pause"}


class Fake:
    """A record that takes commands in, and a bus on which a worker is the one to act, or not."""

    def __init__(self) -> None:
        self.ours = True
        self.taken: list[tuple[str, str, dict[str, Any]]] = []
        self.errors: list[Exception] = []
        self.strangers: set[str] = set()
        self.said: list[dict[str, Any]] = []

    async def request(self, backtest_id: str, user_id: str, asked: ControlRequest) -> None:
        await asyncio.sleep(0)
        if user_id in self.strangers:
            raise NotFound(f"no backtest {backtest_id}")
        if self.errors:
            raise self.errors.pop(0)
        self.taken.append((backtest_id, user_id, asked.model_dump(by_alias=True, exclude_unset=True)))

    async def keeps_bell(self, name: str, holder: str, ttl_ms: int) -> bool:
        assert (name, holder) == ("control:bt_1", "w1")
        assert ttl_ms
        return self.ours

    async def say(self, messages: list[tuple[Channel, str]]) -> None:
        for channel, payload in messages:
            assert channel is Channel.EVENT
            self.said.append(json.loads(payload))


@asynccontextmanager
async def hearing(fake: Fake) -> AsyncIterator[ForeignCommands]:
    commands = ForeignCommands(cast("Steering", fake), cast("Bus", fake), "w1", now_ms=lambda: 0)
    async with commands.running():
        yield commands
        for _ in range(100):
            await asyncio.sleep(0)


async def heard(fake: Fake, *messages: dict[str, Any] | str) -> None:
    """As the bell passes them on."""
    async with hearing(fake) as commands:
        for one in messages:
            payload = one if isinstance(one, str) else json.dumps(one)
            try:
                commands.hear(decode(Control, payload))
            except InvalidRequest as error:
                commands.hear_malformed(payload, error)


async def test_commands_go_into_the_record_in_order() -> None:
    fake = Fake()
    actions = [{"action": "pause"}, {"action": "step", "bars": 3, "commandId": "c1"}, {"action": "resume", "later": 1}]
    await heard(fake, *(GOOD | one for one in actions))
    assert fake.taken == [
        ("bt_1", "ann", {"action": "pause"}),
        ("bt_1", "ann", {"action": "step", "bars": 3, "commandId": "c1"}),
        ("bt_1", "ann", {"action": "resume"}),
    ]
    assert fake.said == []


async def test_what_another_worker_deals_with_is_left_to_it() -> None:
    fake = Fake()
    fake.ours = False
    await heard(fake, GOOD, GOOD | {"action": "dance"})
    assert (fake.taken, fake.said) == ([], [])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("no backtest bt_1", [FieldError("backtestId", "no backtest bt_1", "not_found")]), "not_found"),
        (Conflict("backtest bt_1 is completed", [FieldError("action", "it has ended", "ended")]), "conflict"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_the_reason(
    error: Exception, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "_RETRIES_S", ())
    fake = Fake()
    fake.errors = [error, error]
    await heard(fake, GOOD | {"commandId": "c9"})
    [said] = fake.said
    assert (said["backtestId"], said["userId"], said["type"]) == ("bt_1", "ann", "refused")
    assert "seq" not in said
    assert (said["data"]["code"], said["data"]["commandId"], len(said["data"]["errors"])) == (code, "c9", 1)


async def test_commands_wait_for_a_backtest_whose_task_is_being_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "_RETRIES_S", (0.0, 0.0, 0.0))
    fake = Fake()
    fake.errors = [NotFound("no backtest bt_1"), NotFound("no backtest bt_1")]
    actions = ["pause", "resume", "stop"]
    await heard(fake, *(GOOD | {"action": action} for action in actions))
    assert [asked["action"] for _, _, asked in fake.taken] == actions, "none overtakes another"
    assert fake.said == []


async def test_who_names_the_backtest_of_somebody_else_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "_RETRIES_S", (60.0,))
    fake = Fake()
    fake.strangers = {"eve"}
    await heard(fake, *[GOOD | {"userId": "eve"}] * 2, GOOD)
    assert [user_id for _, user_id, _ in fake.taken] == ["ann"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"action": "dance"}, "action"),
        ({"action": None}, "action"),
        ({"action": "speed"}, "speed"),
        ({"action": "speed", "speed": 0}, "speed"),
        ({"action": "seek"}, "$"),
        ({"action": "seek", "bar": 1, "time": "2024-01-01"}, "$"),
        ({"action": "step", "bars": 0}, "bars"),
        ({"action": "step", "bars": "many"}, "bars"),
        ({"action": "pause", "bars": 3}, "bars"),
        ({"commandId": "no id"}, "commandId"),
        ({"commandId": 7}, "commandId"),
    ],
)
async def test_what_is_malformed_is_refused_with_its_field(changes: dict[str, Any], field: str) -> None:
    fake = Fake()
    await heard(fake, GOOD | changes)
    assert fake.taken == []
    [said] = fake.said
    assert said["data"]["code"] == "invalid_request"
    assert field in [one["field"] for one in said["data"]["errors"]], said


async def test_what_names_no_backtest_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    fake = Fake()
    await heard(fake, "no json", "[]", "{}", json.dumps({"backtestId": "no id", "action": "pause"}))
    assert (fake.taken, fake.said) == ([], [])
    assert "malformed message on backtest:control" in caplog.text


async def test_a_store_that_is_away_for_a_moment_costs_no_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreign, "_RETRIES_S", (0, 0))
    fake = Fake()
    fake.errors = [StoreUnavailable("away"), StoreUnavailable("away")]
    await heard(fake, GOOD)
    assert len(fake.taken) == 1
    fake.errors = [StoreUnavailable("away")] * 3
    await heard(fake, GOOD)
    assert (len(fake.taken), fake.said[0]["data"]["code"]) == (1, "store_unavailable")


async def test_what_finds_no_room_is_said_in_the_log_and_a_fault_of_ours_ends_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(foreign, "WAITING_MAX", 2)
    fake = Fake()
    fake.errors = [RuntimeError("ours")]
    await heard(fake, GOOD, GOOD, GOOD)
    assert len(fake.taken) == 1
    assert "was lost: 2 others wait" in caplog.text
    assert "could not be looked at" in caplog.text
