"""Sessions: backtests as older clients know them. A session is a backtest that is born paused; its first resume starts
it, so either API controls what the other began.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from api.auth import Identity
from api.commands import Commands
from api.listeners import Client
from api.pieces import STATE, Piece
from api.relay import Relay
from shared.errors import Busy
from shared.instants import iso_from_ms, read_instant, read_instant_ms, to_ms
from shared.lifecycle import TERMINAL, Status
from shared.records import BacktestRecord
from shared.steering import is_idle, speed_of

IDLE = "idle"
POINTS = 2_000
RECENT = 20
# Above all that a subscription waits for: the word of its run, and what is kept of what was said.
_STATE_WAIT_S = 10.0


def word_for(record: BacktestRecord, status: str | None = None) -> str:
    """What a session calls its status, which is the record's or a newer one."""
    status = status or record["status"]
    if status == Status.PAUSED and is_idle(record):
        return IDLE
    return Status.RUNNING.value if status == Status.PENDING else status


def session_as_wire(record: BacktestRecord) -> dict[str, Any]:
    """One of a list."""
    params = record["params"]
    return {
        "sessionId": record["_id"],
        "status": word_for(record),
        **{name: params[name] for name in ("symbol", "startDate", "endDate")},
        "progressPercent": record["progress"],
        "createdAt": iso_from_ms(record["createdAt"]),
    }


async def state_of(commands: Commands, relay: Relay, asker: Identity, session_id: str) -> dict[str, Any]:
    """The state as of the newest that is known: of what its run says when it is asked, of what it said last (`partial`
    then), or of its result. Raises `NotFound`, `Busy`, `StoreUnavailable`."""
    record = await commands.record(asker, session_id)
    begun = _before_the_first_bar(record)
    if record["resultId"]:
        return await _state_at_the_end(commands, asker, record, begun)
    if Status(record["status"]) not in TERMINAL:
        begun["totalCandles"] = await commands.total_bars(record)
        if not is_idle(record):
            told = await _ask(relay, asker, session_id)
            metrics = begun["metrics"] | told.pop("metrics", {})
            status = word_for(record, told.pop("status"))
            return begun | told | {"status": status, "metrics": metrics}
    return begun


async def _ask(relay: Relay, asker: Identity, session_id: str) -> dict[str, Any]:
    """What a subscriber is told first."""
    first: asyncio.Future[Piece] = asyncio.get_running_loop().create_future()

    async def hear(piece: Piece) -> None:
        if piece.event == STATE and not first.done():
            first.set_result(piece)

    async def drop() -> None:
        first.cancel()

    client = Client(asker.user_id, send=hear, drop=drop, topics=())
    relay.add(client)
    try:
        async with asyncio.timeout(_STATE_WAIT_S):
            await relay.subscribe(client, session_id, None)
            told = json.loads((await first).text)
    except TimeoutError:
        raise Busy(f"nobody says where session {session_id} stands; try again") from None
    finally:
        relay.remove(client)
    return {name: value for name, value in told.items() if name not in ("backtestId", "userId", "commandId")}


def _before_the_first_bar(record: BacktestRecord) -> dict[str, Any]:
    params = record["params"]
    capital = params.get("initialCapital", 10_000.0)
    counts = ("totalTrades", "winningTrades", "losingTrades")
    return {
        "epoch": record["epoch"],
        "seq": 0,
        "status": word_for(record),
        "currentTime": iso_from_ms(read_instant_ms("startDate", params["startDate"])),
        "currentCandleIndex": 0,
        "totalCandles": 0,
        "progressPercent": record["progress"],
        "currentCapital": capital,
        "peakCapital": capital,
        "drawdown": 0.0,
        "speed": speed_of(record),
        "openTrades": [],
        "recentSignals": [],
        "recentTrades": [],
        "metrics": {**dict.fromkeys(counts, 0), "winRate": 0.0, "totalPnl": 0.0, "equityCurve": []},
    }


async def _state_at_the_end(
    commands: Commands, asker: Identity, record: BacktestRecord, begun: dict[str, Any]
) -> dict[str, Any]:
    result = await commands.result(asker, record["_id"])
    found: dict[str, Any] = result["metrics"]
    closed = found.get("totalTrades") or 0
    equity = json.loads(await commands.equity(asker, record["_id"], POINTS))["points"]
    trades = json.loads(await commands.trades(asker, record["_id"], limit=RECENT, offset=max(0, closed - RECENT)))
    for trade in trades["items"]:
        del trade["index"]  # which the run itself does not tell of its trades
    curve = [[to_ms(read_instant(one["time"])), one["equity"]] for one in equity]
    known = [equity for _, equity in curve if equity is not None]
    last, peak = (known[-1], max(begun["peakCapital"], *known)) if known else (None, begun["peakCapital"])
    completed = record["status"] == Status.COMPLETED
    metrics = {
        **{name: found.get(name) or 0 for name in ("totalTrades", "winningTrades", "losingTrades")},
        "winRate": found.get("winRate") or 0.0,
        "totalPnl": (found.get("expectancy") or 0.0) * closed,
        "equityCurve": curve,
        **({"thinned": True} if len(curve) < result["totalBars"] else {}),
    }
    return begun | {
        "currentTime": equity[-1]["time"] if equity else begun["currentTime"],
        "currentCandleIndex": result["totalBars"],
        "totalCandles": result["totalBars"] if completed else await commands.total_bars(record),
        "currentCapital": last,
        "peakCapital": peak,
        "drawdown": 100 * (last / peak - 1) if last is not None and peak > last else 0.0,
        "recentTrades": trades["items"],
        "metrics": metrics,
        "resultId": record["resultId"],
    }
