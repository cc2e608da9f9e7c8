"""Its worker: a Celery task that runs backtesting.py over bars from MongoDB, which it reads once, and says so."""

from __future__ import annotations

import math
import warnings
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pandas as pd
import socketio
from backtesting import Backtest, Strategy
from backtesting.lib import crossover
from celery import Celery
from pymongo import MongoClient

from tests.bench.tutorial.places import DATABASE, EVENTS, MONGODB_URI, REDIS_URL, TASK

warnings.simplefilter("ignore")
app = Celery("tutorial", broker=REDIS_URL)
app.conf.update(task_ignore_result=True, task_acks_late=True, worker_prefetch_multiplier=4)
app.conf.broker_connection_retry_on_startup = True

FIGURES = {
    "totalReturn": "Return [%]",
    "sharpeRatio": "Sharpe Ratio",
    "maxDrawdown": "Max. Drawdown [%]",
    "winRate": "Win Rate [%]",
    "profitFactor": "Profit Factor",
    "totalTrades": "# Trades",
    "finalEquity": "Equity Final [$]",
}
TRADE_COLUMNS = ["Size", "EntryTime", "ExitTime", "EntryPrice", "ExitPrice", "PnL", "ReturnPct"]


@cache
def database() -> Any:
    """Opened in the process that runs tasks: a client does not survive a fork."""
    return MongoClient(MONGODB_URI)[DATABASE]


@cache
def events() -> socketio.RedisManager:
    return socketio.RedisManager(REDIS_URL, channel=EVENTS, write_only=True)


@cache
def bars_of(symbol: str, interval: str) -> pd.DataFrame:
    """One document for each series, in columns."""
    columns = database()["bars"].find_one({"symbol": symbol, "interval": interval})["columns"]
    return pd.DataFrame(columns | {"Time": pd.to_datetime(columns["Time"], unit="ms")}).set_index("Time")


def average(values: Any, length: int) -> Any:
    return pd.Series(values).rolling(length).mean()


class Crossover(Strategy):
    fast = 10
    slow = 30

    def init(self) -> None:
        self.short: Any = self.I(average, self.data.Close, self.fast)
        self.long: Any = self.I(average, self.data.Close, self.slow)

    def next(self) -> None:
        if crossover(self.short, self.long):
            self.buy()
        elif crossover(self.long, self.short):
            self.position.close()


@app.task(name=TASK)
def run_backtest(backtest_id: str) -> None:
    backtests = database()["backtests"]
    record = backtests.find_one_and_update({"_id": backtest_id}, {"$set": {"status": "running"}})
    params = record["params"]
    bars = bars_of(params["symbol"], params["interval"])
    chosen = params["strategyParams"][params["strategies"][0]]
    ran = Backtest(bars, Crossover, cash=10_000, commission=params["commission"]["rate"], finalize_trades=True)
    statistics: Any = ran.run(**chosen)
    figures = {name: float(statistics[theirs]) for name, theirs in FIGURES.items()}
    metrics = {name: value if math.isfinite(value) else None for name, value in figures.items()}
    result = {
        "_id": backtest_id,
        "metrics": metrics,
        "equity": statistics["_equity_curve"]["Equity"].tolist(),
        "trades": statistics["_trades"][TRADE_COLUMNS].to_dict("records"),
    }
    database()["results"].insert_one(result)
    ended = {"status": "completed", "completedAt": datetime.now(UTC)}
    backtests.update_one({"_id": backtest_id}, {"$set": ended})
    news = {"backtestId": backtest_id, "summary": {"totalReturn": metrics["totalReturn"]}}
    events().emit("backtest:complete", news, room=record["user"])
