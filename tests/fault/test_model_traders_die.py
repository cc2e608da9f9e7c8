"""A backtest whose trader is a model, and all that can die while it thinks: no answered question is asked twice."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from api.auth import mint_token
from deploy.demo_bars import demo_series
from shared.contracts import Channel
from shared.findings import trade_columns
from shared.request import BacktestParams
from shared.settings import Settings
from shared.strategies import Decision, Strategy, View
from shared.wire import validate
from tests.conftest import Backends, on_one_pair
from tests.drawing import as_told
from tests.engine.deciders import Often, in_the_catalogue
from tests.fleet import Fleet, fleet_on, request
from tests.gateway import BACKTESTS, gateway_on, http_client
from tests.model_server import HOLD, Asked, ModelServer, serving
from worker.engine_loop import Run
from worker.pipe import Finished

EVERY = 6
DEADLINE_S = 90.0


def decided(close: float, before: float) -> Decision:
    """Long after a rise, short after a fall, with half of what there is; no opinion after neither."""
    if close == before:
        return Decision(None)
    signal = 1 if close > before else -1
    return Decision(signal, 0.5, close * (1 - 0.05 * signal), close * (1 + 0.1 * signal))


def as_model(asked: Asked) -> dict[str, Any]:
    """What `decided` decides, as a model answers who is shown the bars in a prompt."""
    rows = re.findall(r"^\d{4}-[^,]*,[^,]*,[^,]*,[^,]*,([^,]*),", asked.user, re.MULTILINE)
    said = decided(float(rows[-1]), float(rows[-2]))
    action = {1: "LONG", -1: "SHORT", None: "HOLD"}[said.signal]
    prices = {"stopLossPrice": said.stop_price, "takeProfitPrice": said.target_price}
    return {**HOLD, **prices, "action": action, "sizeFraction": said.size_fraction}


def as_plugin(view: View) -> Decision:
    return decided(*view.bars.close[[-1, -2]].tolist())


class Gated:
    """A model that counts its answers by bar, and holds some back until they are let through."""

    def __init__(self, *bars: int) -> None:
        self._reached = {bar: threading.Event() for bar in bars}
        self._open = {bar: threading.Event() for bar in bars}
        self.answered: Counter[int] = Counter()
        self.server = ModelServer(plan=lambda asked: self._answer)

    async def _answer(self, server: ModelServer, asked: Asked, http: web.Request) -> web.StreamResponse:
        if asked.bar in self._open:
            self._reached[asked.bar].set()
            await asyncio.to_thread(self._open[asked.bar].wait)
        if http.transport is not None and not http.transport.is_closing():  # Else nobody is there to hear it.
            self.answered[asked.bar] += 1
        return web.json_response(server.completion(asked, json.dumps(as_model(asked))))

    async def reached(self, bar: int) -> None:
        """Returns when that question was asked, and is held back."""
        assert await asyncio.to_thread(self._reached[bar].wait, DEADLINE_S), f"nobody asked at bar {bar}"
        self._reached[bar].clear()

    def let_through(self, bar: int) -> None:
        self._open[bar].set()


WORKER_DIES, ENGINE_DIES, GATEWAY_DIES, PAUSED, DRAINED = (599, 1199, 1499, 1799, 2399)


@pytest.fixture
def model() -> Iterator[Gated]:
    gated = Gated(WORKER_DIES, ENGINE_DIES, GATEWAY_DIES, PAUSED, DRAINED)
    with serving(gated.server):
        yield gated
        for one in (WORKER_DIES, ENGINE_DIES, GATEWAY_DIES, PAUSED, DRAINED):
            gated.let_through(one)


@pytest.fixture
async def fleet(backends: Backends, make_settings: Callable[..., Settings], tmp_path: Path) -> AsyncIterator[Fleet]:
    settings = make_settings(llm_private_urls=True, lease_ttl_s=3.0, lease_renew_s=0.5, pause_hold_s=0.2)
    async with fleet_on(settings, tmp_path, 500) as opened:
        await opened.candles.import_bars("AAPL", "1d", demo_series()[0].bars, "demo")
        yield opened


def asked_of(model: ModelServer, mode: str) -> dict[str, Any]:
    trader = {"model": "m", "provider": "local", "baseUrl": model.base_url, "every": EVERY, "mode": mode}
    return {
        "symbol": "AAPL",
        "interval": "1d",
        "startDate": "2000-03-01",
        "endDate": "2013-03-01",
        "strategies": ["ai_trader"],
        "strategyParams": {"ai_trader": trader | {"safetyMode": False}},
    }


@on_one_pair
async def test_no_answered_question_is_asked_twice_whatever_dies(fleet: Fleet, model: Gated) -> None:
    headers = {"Authorization": f"Bearer {mint_token(fleet.settings, 'ann', 600)}"}
    worker = fleet.start_worker(worker_slots=1)
    async with gateway_on(fleet.settings) as first, http_client(first, headers=headers) as http:
        answer = await http.post(BACKTESTS, json=asked_of(model.server, "record"))
        backtest_id = answer.json()["backtestId"]
        await model.reached(WORKER_DIES)
        worker.kill()
        worker = fleet.start_worker(worker_slots=1)
        model.let_through(WORKER_DIES)
        await model.reached(ENGINE_DIES)
        [engine] = worker.engine_pids()
        os.kill(engine, signal.SIGKILL)
        model.let_through(ENGINE_DIES)
        await model.reached(GATEWAY_DIES)
    model.let_through(GATEWAY_DIES)
    async with gateway_on(fleet.settings) as second, http_client(second, headers=headers) as http:
        await model.reached(PAUSED)
        for _ in range(2):
            assert (await http.post(f"{BACKTESTS}/{backtest_id}/pause")).status_code in (200, 202)
            model.let_through(PAUSED)
            assert (await http.post(f"{BACKTESTS}/{backtest_id}/resume")).status_code in (200, 202)
        await model.reached(DRAINED)
        worker.terminate()
        model.let_through(DRAINED)
        assert await worker.ended(DEADLINE_S) == 0
        fleet.start_worker(worker_slots=1)
        end = await fleet.end_of(backtest_id, DEADLINE_S)
        assert end["channel"] == Channel.COMPLETE, end
        trades = (await http.get(f"{BACKTESTS}/{backtest_id}/trades?limit=5000")).json()["items"]
        decisions = (await http.get(f"{BACKTESTS}/{backtest_id}/decisions?limit=500")).json()
    assert len(model.answered) == len(range(EVERY - 1, end["totalBars"], EVERY)) > 500
    assert set(model.answered.values()) == {1}
    assert len(decisions["items"]) == 500

    again = await fleet.submit(validate(BacktestParams, asked_of(model.server, "replay")))
    assert (await fleet.end_of(again["_id"], DEADLINE_S))["resultHash"] == end["resultHash"]
    assert set(model.answered.values()) == {1}
    assert as_told(trades) == trades_of_the_plugin(asked_of(model.server, "record"))


def trades_of_the_plugin(body: dict[str, Any]) -> list[dict[str, Any]]:
    """What the same logic comes to as a strategy that decides in the engine."""
    plugin = Strategy("as_plugin", "As a plug-in", "Does what the model does.", Often, decide=as_plugin)
    with in_the_catalogue(plugin):
        body |= {"strategies": ["as_plugin"], "strategyParams": {"as_plugin": {"every": EVERY}}}
        run = Run(validate(BacktestParams, body), demo_series()[0].bars)
        while not isinstance(finished := run.advance(10**6), Finished):
            pass  # A step ends early where strategies take long to decide.
    columns = trade_columns(finished.outcome.trades._asdict(), ["ai_trader"])
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@on_one_pair
async def test_a_run_that_waits_for_a_model_is_stopped_and_let_go_at_once(fleet: Fleet, model: Gated) -> None:
    """And what it asked is stored all the same, for whoever asks it next."""
    fleet.start_worker(worker_slots=1)
    headers = {"Authorization": f"Bearer {mint_token(fleet.settings, 'ann', 600)}"}
    async with gateway_on(fleet.settings) as url, http_client(url, headers=headers) as http:
        answer = await http.post(BACKTESTS, json=asked_of(model.server, "record"))
        backtest_id = answer.json()["backtestId"]
        await model.reached(WORKER_DIES)
        other = await fleet.submit(request(), user="bob")  # Its slot is another's meanwhile.
        assert (await fleet.end_of(other["_id"], DEADLINE_S))["channel"] == Channel.COMPLETE
        stopped = await http.post(f"{BACKTESTS}/{backtest_id}/stop", json={"closeOpenTrades": True})
        assert stopped.status_code in (200, 202)
        end = await fleet.end_of(backtest_id, DEADLINE_S)
    assert (end["channel"], end["stopped"]) == (Channel.COMPLETE, True)
    assert model.answered[WORKER_DIES] == 0
    model.let_through(WORKER_DIES)
    async with asyncio.timeout(DEADLINE_S):
        while (0, WORKER_DIES) not in await fleet.database.llm.decisions.of_backtest(backtest_id):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    again = await fleet.submit(validate(BacktestParams, asked_of(model.server, "record")))
    await model.reached(ENGINE_DIES)
    assert model.answered[WORKER_DIES] == 1
    record = await fleet.store.get(again["_id"], "ann")
    assert record["status"] == "running"
