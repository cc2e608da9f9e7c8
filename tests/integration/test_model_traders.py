"""Backtests whose trader is a model, on real workers: what is asked, what is stored, and what comes of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contracts import Channel
from shared.settings import Settings
from tests.conftest import Backends, on_one_pair
from tests.fleet import Fleet, fleet_on, request
from tests.model_server import HOLD, Asked, ModelServer, serving

BARS = 600
EVERY = 6
ASKS = BARS // EVERY


def follows_the_last_two_closes(asked: Asked) -> dict[str, Any]:
    """Long after a rise, short after a fall; a stop at two percent."""
    *_, before, last = [float(row.split(",")[4]) for row in re.findall(r"^\d{4}-.*$", market_of(asked), re.MULTILINE)]
    action = "LONG" if last > before else "SHORT"
    stop = asked.close * (0.98 if action == "LONG" else 1.02)
    return {**HOLD, "action": action, "stopLossPrice": stop, "sizeFraction": 0.5, "reasoning": f"{before} then {last}"}


def market_of(asked: Asked) -> str:
    return asked.user.partition("bars, the latest last")[2]


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with serving(ModelServer(rule=follows_the_last_two_closes)) as server:
        yield server


@pytest.fixture
async def fleet(
    backends: Backends, make_settings: Callable[..., Settings], tmp_path: Path, model: ModelServer
) -> AsyncIterator[Fleet]:
    settings = make_settings(llm_private_urls=True)
    async with fleet_on(settings, tmp_path, BARS) as opened:
        yield opened


def trades_by(model: ModelServer, mode: str = "record", **changes: Any) -> Any:
    trader = {"model": "m", "provider": "local", "baseUrl": model.base_url, "every": EVERY, "mode": mode} | changes
    return request(strategies=["ai_trader"], strategyParams={"ai_trader": trader}, stopLoss=None)


@on_one_pair
async def test_a_model_trades_and_a_replay_asks_nobody_and_comes_to_the_same(fleet: Fleet, model: ModelServer) -> None:
    fleet.start_worker()
    first = await fleet.submit(trades_by(model))
    end = await fleet.end_of(first["_id"], 200)
    assert end["channel"] == Channel.COMPLETE, end
    assert len(model.asked) == ASKS
    again = await fleet.submit(trades_by(model, "replay"))
    assert (await fleet.end_of(again["_id"], 200))["resultHash"] == end["resultHash"]
    assert len(model.asked) == ASKS
    stored = await fleet.database.llm.decisions.page(again["_id"], after_bar=-1, limit=500)
    assert len(stored.items) == ASKS
    assert all(one["stored"] for one in stored.items)
