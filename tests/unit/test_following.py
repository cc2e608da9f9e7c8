"""What a person sees of a backtest whose trader is a model, in lines and on a terminal."""

from __future__ import annotations

import io
from typing import Any, cast

import pytest
from rich.console import Console

from deploy.fleet_view import FleetStory
from deploy.following import LINE_EVERY_S, Story, follow
from shared.client.answers import RunEvent
from shared.client.fleet import Backfleet, Run

EVIL = "\x1b[31mred\x1b]0;owned\x07 \x9b2J [bold]<b>\u202e\nforged"
RECORD: dict[str, Any] = {
    "backtestId": "bt_1",
    "status": "running",
    "progress": 0.0,
    "params": {"strategies": ["ai_trader"], "symbol": "AAPL", "interval": "1d"},
}
TIME = "2024-01-05T00:00:00Z"
DECIDED: dict[str, Any] = {
    "bar": 4,
    "time": TIME,
    "strategy": "ai_trader",
    "action": "LONG",
    "confidence": 0.8,
    "reasoning": "Sold out.",
    "abstained": False,
    "reason": None,
    "safety": ["No stop was given."],
    "stored": False,
}


def heard(story: Story, name: str, data: dict[str, Any], at_s: float = 100.0) -> str | None:
    return story.hear(RunEvent(f"backtest:{name}", data), at_s)


def shown(renderable: Any) -> str:
    screen = io.StringIO()
    Console(file=screen, width=200, highlight=False, markup=False).print(renderable)
    return screen.getvalue()


def test_who_follows_sees_that_a_model_thinks_and_what_it_decides() -> None:
    story = Story(RECORD)
    thinking = {"bar": 4, "time": TIME, "strategy": "ai_trader"}
    assert heard(story, "thinking", thinking) is None
    assert story.line() == "  0.0 %  running  ai_trader thinks"
    assert "ai_trader thinks, " in shown(story.view())
    line = heard(story, "decision", DECIDED)
    assert line == "2024-01-05  LONG, 80% sure: Sold out.  [No stop was given.]"
    assert "thinks" not in story.line()
    assert line in shown(story.view())


def test_decisions_that_follow_one_another_fast_are_a_line_a_second() -> None:
    story = Story(RECORD)
    lines = [heard(story, "decision", DECIDED, 100.0 + n * LINE_EVERY_S / 10) for n in range(21)]
    assert [n for n, line in enumerate(lines) if line] == [0, 10, 20]
    quiet = DECIDED | {"action": "HOLD", "safety": []}
    assert heard(story, "decision", quiet, 200.0) is None
    assert story.decided.startswith("2024-01-05  HOLD, 80% sure")
    vain = quiet | {"abstained": True, "reason": "no answer within 60 s", "stored": True}
    assert heard(story, "decision", vain, 200.0) == (
        "2024-01-05  HOLD, from the store, no usable answer: no answer within 60 s"
    )


def test_nothing_that_a_model_or_a_user_wrote_moves_the_cursor() -> None:
    story = Story(RECORD | {"params": RECORD["params"] | {"symbol": EVIL}})
    heard(story, "thinking", {"strategy": EVIL})
    said = [
        story.line(),
        heard(story, "decision", DECIDED | {"reasoning": EVIL, "safety": [EVIL]}),
        heard(story, "refused", {"error": EVIL}),
        story.title,
    ]
    trade = {"entryTime": EVIL, "direction": EVIL, "quantity": 1, "entryPrice": 1.0}
    heard(story, "state", {"status": EVIL, "openTrades": [trade], "currentTime": EVIL})
    counts = {"running": 1, "paused": 0, "ended": {"completed": 0, "failed": 1, "stopped": 0}, "queue": []}
    run = {"backtestId": "bt_1", "userId": EVIL, "symbol": EVIL, "interval": "1d", "status": EVIL, "progress": 1.0}
    failed = {"backtestId": "bt_1", "at": TIME, "code": "x", "message": EVIL}
    fleet = FleetStory(counts | {"workers": [], "runs": [run | {"barsPerSecond": None}], "failures": [failed]})
    for text in (*said, shown(story.view()), shown(fleet.view())):
        assert text is not None
        assert not {one for one in text if one != "\n" and (ord(one) < 32 or 127 <= ord(one) < 160)}, repr(text)
        assert "\u202e" not in text
    assert shown(fleet.view()).count("[bold]<b>") == 4, "what looks like markup is shown as it is"


@pytest.mark.parametrize(("result_id", "words"), [("res_1", "failed, its result ends there"), (None, "has no result")])
async def test_one_that_had_failed_is_told_as_failed_also_where_it_has_a_result(
    result_id: str | None, words: str
) -> None:
    error = {"code": "abstained", "message": f"{EVIL} too often", "errors": []}

    class Ended(Run):
        async def state(self) -> dict[str, Any]:
            return RECORD | {"status": "failed", "resultId": result_id, "error": error}

    async with Backfleet("http://127.0.0.1:9", "t") as fleet:
        ended = Ended(fleet, "bt_1")
        ended.end = _ends(ended)  # pyright: ignore[reportAttributeAccessIssue] - without a line
        screen = io.StringIO()
        assert await follow(ended, Console(file=screen, width=200, highlight=False), as_json=False) == 1
    assert screen.getvalue().startswith(f"bt_1 {words}, abstained: ")
    assert "\x1b" not in screen.getvalue()


def _ends(run: Run) -> Any:
    async def end(*_: object) -> RunEvent:
        return run._end_of(await cast("Any", run).state())

    return end
