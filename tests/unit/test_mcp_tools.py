"""The tools of MCP without a gateway: what they take, what they ask, what they make of the answers."""

from __future__ import annotations

import asyncio
import io
import json
import math
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
from PIL import Image

from deploy import mcp_stdio
from shared.client.answers import RunEvent
from shared.errors import BackfleetError, InvalidRequest, NotFound, TooLarge, Unavailable
from shared.mcp import waiting
from shared.mcp.answer import JSON_MAX_CHARS, Answer, refused
from shared.mcp.equity_image import HEIGHT, WIDTH, draw_equity
from shared.mcp.explaining import explain
from shared.mcp.market_data import BARS_SENSIBLE, usual_interval
from shared.mcp.prompts import PROMPTS, say
from shared.mcp.results import chosen, compare
from shared.mcp.telling import Telling
from shared.mcp.tools import TOOLS, Call
from tests.agent import HOSTILE, RIGHT


class Desk:
    """Stands for a gateway: answers by path, keeps what it was asked, and says what it is told to say."""

    def __init__(self, answers: Mapping[str, Any] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[tuple[str, str, Any]] = []
        self.said: asyncio.Queue[RunEvent | None] = asyncio.Queue()
        self.heard = asyncio.Event()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        if not isinstance(body, bytes):
            json.dumps([body, dict(query or {}), dict(headers or {})], allow_nan=False)
        self.asked.append((method, path, body))
        if path not in self.answers:
            raise NotFound(f"no {path}")
        return self.answers[path]

    @asynccontextmanager
    async def hearing(self, backtest_id: str | None) -> AsyncGenerator[Callable[[], Awaitable[RunEvent | None]], None]:
        async def hear() -> RunEvent | None:
            if self.said.empty():
                self.heard.set()
            return await self.said.get()

        yield hear

    async def all_heard(self) -> None:
        self.heard.clear()
        await self.heard.wait()


async def silent(*_: Any) -> None:
    pass


def calling(desk: Desk) -> Call:
    return Call(desk, Telling(silent), silent)


async def test_every_argument_that_does_harm_is_a_refusal_and_never_a_surprise() -> None:
    assert TOOLS.keys() == RIGHT.keys()
    call = calling(Desk())
    for tool in TOOLS.values():
        for name in tool.arguments.model_fields:
            for value in [*HOSTILE, math.nan, math.inf, -math.inf]:
                with pytest.raises(BackfleetError):
                    await tool.call(call, {**RIGHT[tool.name], name: value})
        with pytest.raises(InvalidRequest, match="unknown field"):
            await tool.call(call, {**RIGHT[tool.name], "nonsense": 1})
    assert call.telling is not None
    await call.telling.close()


SERIES = [
    {"symbol": "A", "interval": "1m"},
    {"symbol": "A", "interval": "1h"},
    {"symbol": "A", "interval": "1d"},
    {"symbol": "B", "interval": "1m"},
]


@pytest.mark.parametrize(
    ("symbol", "end", "interval"),
    [("A", "2024-01-02", "1m"), ("A", "2025-01-01", "1h"), ("A", "2050-01-01", "1d"), ("B", "2025-01-01", "1m")],
)
async def test_the_interval_that_nobody_names_is_the_finest_that_suits_the_dates(
    symbol: str, end: str, interval: str
) -> None:
    desk = Desk({"/api/algo/data": {"items": SERIES}})
    assert await usual_interval(desk, symbol, "2024-01-01", end) == interval
    assert BARS_SENSIBLE < 366 * 24 * 60


async def test_a_symbol_without_bars_is_refused_with_those_that_have_some() -> None:
    with pytest.raises(InvalidRequest, match="there are bars of A, B: name one"):
        await usual_interval(Desk({"/api/algo/data": {"items": SERIES}}), "C", "2024-01-01", "2025-01-01")
    with pytest.raises(InvalidRequest, match="import_market_data"):
        await usual_interval(Desk({"/api/algo/data": {"items": []}}), "C", "2024-01-01", "2025-01-01")


def test_figures_are_found_by_either_spelling() -> None:
    metrics = {"totalReturn": 1.0, "sharpeRatio": None}
    assert chosen(metrics, ["total_return", "sharpeRatio"]) == {"total_return": 1.0, "sharpeRatio": None}
    assert chosen(metrics, []) == metrics
    with pytest.raises(InvalidRequest, match=r"metrics\.1.*did you mean sharpeRatio"):
        chosen(metrics, ["totalReturn", "sharpe_rato"])


def result_of(total: float, drawdown: float, trades: int, **config: Any) -> dict[str, Any]:
    request = {"symbol": "A", "interval": "1d", "startDate": "x", "endDate": "y", "strategies": ["sma"], **config}
    metrics = {"totalReturn": total, "maxDrawdown": drawdown, "volatility": -drawdown, "totalTrades": trades}
    return {
        "metrics": metrics,
        "config": request,
        "resultHash": f"{total}",
        "effectiveStart": "x",
        "effectiveEnd": "y",
    }


async def test_a_comparison_says_which_is_best_and_what_makes_it_unfair() -> None:
    desk = Desk(
        {
            "/api/algo/backtest/a/result": result_of(5.0, -20.0, 9),
            "/api/algo/backtest/b/result": result_of(3.0, -10.0, 4, symbol="B"),
        }
    )
    told = await compare(desk, ["a", "b"], ["totalReturn", "max_drawdown", "volatility", "totalTrades"])
    assert told["best"] == {"totalReturn": "a", "max_drawdown": "b", "volatility": "b"}
    assert told["notes"] == ["they differ in symbol: their figures are of different things"]


async def test_a_trade_is_explained_with_what_a_model_decided_from_its_signal_to_its_end() -> None:
    path = "/api/algo/backtest/bt_1"
    trade = {"entryBar": 5, "exitBar": 9, "entryTime": "2024-01-06T00:00:00Z", "exitTime": "2024-01-10T00:00:00Z"}
    answers = {
        f"{path}/trades": {"items": [trade], "total": 1},
        f"{path}/result": result_of(1.0, -1.0, 1),
        f"{path}/decisions": {"items": [{"bar": bar, "action": "HOLD"} for bar in range(20)]},
    }
    told = await explain(Desk(answers), "bt_1", 0, 3)
    assert [one["bar"] for one in told["decisions"]] == [4, 5, 6, 7, 8, 9]
    assert told["around_entry"] == [], "its bars are gone"
    del answers[f"{path}/decisions"]
    assert "decisions" not in await explain(Desk(answers), "bt_1", 0, 3)
    with pytest.raises(InvalidRequest, match="it made none"):
        await explain(Desk({f"{path}/trades": {"items": [], "total": 0}}), "bt_1", 7, 3)


@pytest.mark.parametrize("values", [[], [1.0], [5.0, 5.0], [1.0, 3.0, 2.0, None, 4.0], [0.0, -1.0], [1e300, 1e-300]])
def test_every_curve_can_be_drawn(values: list[float | None]) -> None:
    points = [{"time": f"2024-01-0{day + 1}T00:00:00Z", "equity": value} for day, value in enumerate(values)]
    picture = Image.open(io.BytesIO(draw_equity(points, "bt_1")))
    assert (picture.format, picture.size) == ("PNG", (WIDTH, HEIGHT))
    assert len(picture.convert("RGB").getcolors(1 << 20) or []) > 2


def test_a_list_is_wrapped_where_the_protocol_wants_an_object() -> None:
    assert Answer("backfleet://x", [1], "one").as_result().structured_content == {"result": [1]}
    assert Answer("backfleet://x", {"a": 1}, "one").as_result().structured_content == {"a": 1}


def test_an_answer_that_no_client_could_take_is_refused_with_what_to_lower() -> None:
    with pytest.raises(TooLarge, match="max_trades"):
        Answer("backfleet://x", {"a": "x" * JSON_MAX_CHARS}, "much").as_result()


async def test_who_waits_hears_now_and_then_that_he_still_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "SIGN_OF_LIFE_S", 0.01)
    desk, told = Desk({"/api/algo/backtest/bt_1": {"status": "pending", "progress": 0.0}}), list[float]()

    async def report(percent: float, _: str) -> None:
        told.append(percent)
        if len(told) == 3:
            desk.answers["/api/algo/backtest/bt_1"] = {"status": "completed", "progress": 100.0}
            desk.said.put_nowait(RunEvent("backtest:complete", {"backtestId": "bt_1"}))

    state = await waiting.wait_for_end(desk, "bt_1", 30.0, report)
    assert state["status"] == "completed"
    assert told == sorted(set(told))
    assert told[-1] == 100.0


def test_what_is_not_the_callers_fault_tells_nothing_of_our_servers() -> None:
    told = refused(Unavailable("mongodb://user:secret@host did not answer"))
    assert told.is_error
    assert "secret" not in told.model_dump_json()


async def test_of_much_that_is_said_the_newest_is_told_and_the_end_after_it() -> None:
    told: list[tuple[str, Any]] = []
    begun, go_on, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def tell(method: str, params: dict[str, Any]) -> None:
        told.append((method, params.get("progress")))
        begun.set()
        await go_on.wait()
        if method == "backtest/failed":
            over.set()

    desk, telling = Desk(), Telling(tell)
    async with asyncio.timeout(10):
        async with telling.expecting(desk) as follow:
            for progress in range(100):
                desk.said.put_nowait(RunEvent("backtest:progress", {"backtestId": "bt_1", "progress": progress}))
            desk.said.put_nowait(RunEvent("backtest:progress", {"backtestId": "bt_other", "progress": 1}))
            await desk.all_heard()
            follow("bt_1")
        await begun.wait()
        for progress in range(100, 200):
            desk.said.put_nowait(RunEvent("backtest:progress", {"backtestId": "bt_1", "progress": progress}))
        desk.said.put_nowait(RunEvent("backtest:error", {"backtestId": "bt_1", "error": "broken"}))
        desk.said.put_nowait(RunEvent("backtest:progress", {"backtestId": "bt_1", "progress": 300}))
        await desk.all_heard()
        go_on.set()
        await over.wait()
    await telling.close()
    methods = [method for method, _ in told if method != "notifications/message"]
    assert methods == ["backtest/progress", "backtest/failed"]
    assert dict(told)["backtest/progress"] == 99


async def test_an_end_that_was_missed_is_told_when_the_line_is_there_again() -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()

    async def tell(method: str, _: dict[str, Any]) -> None:
        heard.put_nowait(method)

    error = {"code": "stopped", "message": "it was stopped"}
    state = {"backtestId": "bt_1", "status": "stopped", "resultId": None, "error": error}
    desk, telling = Desk({"/api/algo/backtest/bt_1": state}), Telling(tell)
    async with telling.expecting(desk) as follow:
        follow("bt_1")
    desk.said.put_nowait(None)
    async with asyncio.timeout(10):
        assert await heard.get() == "backtest/failed"
    await telling.close()


def test_prompts_refuse_what_they_do_not_know() -> None:
    work = PROMPTS["research_strategy"]
    assert "AAPL" in say(work, {"symbol": "AAPL", "idea": "buy dips"})
    for wrong in ({}, {"symbol": "A", "other": "x"}, {"symbol": "x" * 5_000}):
        with pytest.raises(ValueError, match=r"missing|none of its|longer"):
            say(work, wrong)


def test_lines_are_cut_wherever_they_are_read_and_long_ones_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mcp_stdio, "LINE_MAX_BYTES", 8)
    pieces = iter([b"one\ntw", b"o\n", b"much too", b" long for us", b" all\nth", b"ree\nrest", b""])
    lines = list(mcp_stdio._split(lambda: next(pieces)))  # pyright: ignore[reportPrivateUsage]
    assert lines == [b"one", b"two", b"a line that is too long", b"three", b"rest"]


def test_neither_a_gateway_nor_a_worker_loads_mcp_before_somebody_asks() -> None:
    program = "import sys, api.app, worker.supervisor; print({'mcp', 'mcp_types', 'PIL'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"
