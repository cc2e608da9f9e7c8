"""How long a backtest would take, by what runs of its kind took."""

from __future__ import annotations

from typing import Any, cast

import pytest

from api.pace import RECENT_MS, Pace
from shared.errors import StoreUnavailable
from shared.overview import Overview, SmoothRun

NOW_MS = 1_800_000_000_000
SMA: dict[str, Any] = {"strategies": ["sma"], "strategyParams": {}}
RSI: dict[str, Any] = {"strategies": ["rsi"], "strategyParams": {}}


def trader(model: str, every: int = 1) -> dict[str, Any]:
    return {"strategies": ["ai_trader"], "strategyParams": {"ai_trader": {"model": model, "every": every}}}


class Remembered:
    """What ran, in the place of MongoDB."""

    def __init__(self, *runs: tuple[dict[str, Any], int, float], fails: bool = False) -> None:
        self.asked = 0
        self._runs = [SmoothRun(*one) for one in runs]
        self._fails = fails

    def now_ms(self) -> int:
        return NOW_MS

    async def smooth_runs(self, since_ms: int, _most: int) -> list[SmoothRun]:
        assert since_ms == NOW_MS - RECENT_MS
        self.asked += 1
        if self._fails:
            raise StoreUnavailable("away")
        return self._runs


def pace_of(*runs: tuple[dict[str, Any], int, float], fails: bool = False) -> Pace:
    return Pace(cast(Overview, Remembered(*runs, fails=fails)))


async def test_nothing_is_known_where_nothing_ran_or_nobody_answers() -> None:
    assert await pace_of().seconds(SMA, 1_000) is None
    assert await pace_of((SMA, 1_000, 1.0), fails=True).seconds(SMA, 1_000) is None


async def test_runs_of_one_length_are_taken_to_cost_by_the_bar() -> None:
    pace = pace_of((SMA, 1_000, 0.5), (SMA, 1_000, 0.25), (SMA, 1_100, 99.0))
    assert await pace.seconds(SMA, 4_000) == pytest.approx(2.0)


async def test_runs_of_several_lengths_say_what_a_bar_costs_and_what_every_run_does() -> None:
    runs = [(SMA, bars, 0.2 + bars / 1e6) for bars in (500, 500, 20_000, 1_000_000)]
    pace = pace_of(*runs, (SMA, 500, 30.0))  # one that was held up
    for bars, seconds in ((500, 0.2005), (2_000_000, 2.2)):
        assert await pace.seconds(SMA, bars) == pytest.approx(seconds, rel=0.01)


async def test_longer_runs_that_were_faster_make_no_time_run_backwards() -> None:
    found = await pace_of((SMA, 100, 2.0), (SMA, 10_000, 1.0)).seconds(SMA, 10**7)
    assert found == pytest.approx(1.5)


async def test_runs_of_the_same_strategies_count_else_those_of_the_same_form() -> None:
    pace = pace_of((SMA, 1_000, 1.0), (RSI, 1_000, 3.0), (trader("m"), 1_000, 900.0))
    assert await pace.seconds(RSI, 1_000) == pytest.approx(3.0)
    assert await pace.seconds(SMA | {"strategies": ["sma_crossover"]}, 1_000) == pytest.approx(1.0), "an alias of it"
    assert await pace.seconds({"strategies": ["macd"], "strategyParams": {}}, 1_000) == pytest.approx(2.0)


async def test_of_models_the_same_one_counts_by_how_often_it_is_asked() -> None:
    pace = pace_of((trader("m", every=10), 1_000, 100.0), (trader("other", every=10), 1_000, 1.0), (SMA, 1_000, 0.1))
    assert await pace.seconds(trader("m", every=10), 5_000) == pytest.approx(500.0)
    assert await pace.seconds(trader("m", every=100), 5_000) == pytest.approx(50.0)
    assert await pace.seconds(trader("new"), 5_000) is None


async def test_a_run_that_is_slowed_down_takes_as_long_as_its_speed_says() -> None:
    pace = pace_of((SMA, 1_000, 1.0))
    assert await pace.seconds(SMA | {"speed": 50.0}, 5_000) == pytest.approx(100.0)
    assert await pace.seconds(SMA | {"speed": 1e9}, 5_000) == pytest.approx(5.0)
    assert await pace_of().seconds(SMA | {"speed": 50.0}, 5_000) == pytest.approx(100.0)


async def test_a_strategy_that_is_gone_says_nothing_of_others_and_one_answer_serves_all() -> None:
    known = Remembered(({"strategies": ["gone"], "strategyParams": {}}, 1_000, 9.0), (SMA, 1_000, 1.0))
    pace = Pace(cast(Overview, known))
    for _ in range(2):
        assert await pace.seconds(SMA, 1_000) == pytest.approx(1.0)
    assert known.asked == 1
