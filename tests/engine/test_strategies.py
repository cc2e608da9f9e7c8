"""The catalogue: what it says about itself, what it refuses, and that no strategy sees the future."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bson.int64 import Int64

from shared.bars import Bars
from shared.errors import InvalidRequest
from shared.strategies import NO_OPINION, Strategy, catalogue, combine, find, resolve
from shared.strategies.causality import first_peek
from tests.engine.markets import bars_of, flat, random_walk

QUICK: dict[str, dict[str, Any]] = {
    "sma_crossover": {"fast": 3, "slow": 8},
    "rsi": {"period": 4, "oversold": 35.0, "overbought": 65.0},
    "buy_and_hold": {},
    "ema_crossover": {"fast": 3, "slow": 8},
    "macd": {"fast": 3, "slow": 6, "signal": 3},
    "bollinger": {"period": 6, "deviations": 1.2},
    "donchian": {"entry": 6, "exit": 3},
    "momentum": {"period": 4, "threshold": 0.2},
    "mean_reversion": {"period": 6, "entry": 1.3, "exit": 0.2},
    "supertrend": {"period": 4, "multiplier": 1.2},
    "rule": {
        "long": "crosses_above(macd(close, 3, 6), macd_signal(close, 3, 6, 3)) or ema(close, 3) - sma(close, 5) > 0",
        "short": "crosses_below(rsi(close, 4), 45) or cci(6) < -100 or zscore(close, 6) < -1.5",
        "exit": "close > bollinger_upper(close, 6, 1.2) or sma(stochastic_k(4), 3) > 80 or vwap(3) > wma(hlc3, 5)",
    },
}


SIGNALLING = [one for one in catalogue() if one.form == "signals"]


def bounds_of(form: dict[str, Any]) -> set[str]:
    """What the schema of a field must say beside its type."""
    if "enum" in form or form["type"] == "boolean":
        return set()
    return {"string": {"maxLength"}, "array": {"maxItems"}}.get(form["type"], {"minimum", "maximum"})


def signals_of(name: str, bars: Bars, **params: Any) -> list[int]:
    return find(name).use(params, name).signals(bars).tolist()


@pytest.mark.parametrize("strategy", SIGNALLING, ids=lambda strategy: strategy.id)
@pytest.mark.parametrize("seed", range(3))
def test_no_strategy_sees_the_future(strategy: Strategy, seed: int) -> None:
    """What a strategy says about the first k bars is the same whether or not there are more."""
    bars = random_walk(200, seed)
    for params in (QUICK[strategy.id], {}):
        use = strategy.use(params, strategy.id)
        whole = use.signals(bars)
        assert whole.dtype == np.int8
        assert set(whole.tolist()) <= {-1, 0, 1, NO_OPINION}
        assert first_peek(use, bars, whole, range(201)) is None


@pytest.mark.parametrize("strategy", catalogue(), ids=lambda strategy: strategy.id)
def test_every_parameter_explains_itself(strategy: Strategy) -> None:
    schema = strategy.parameters_schema
    json.dumps(schema, allow_nan=False)
    assert strategy.description.endswith(".")
    assert set(schema["properties"] if schema.get("properties") else {}) == set(strategy.default_parameters)
    for name, field in schema.get("properties", {}).items():
        form = next((one for one in field.get("anyOf", ()) if one["type"] != "null"), field)
        assert bounds_of(form) <= set(form), name
        assert {"default", "description"} <= set(field), name
        assert field["description"].endswith(".")
        assert strategy.default_parameters[name] == field["default"]


def test_one_strategy_under_two_names_is_refused_and_both_are_named() -> None:
    with pytest.raises(InvalidRequest) as refused:
        resolve(["rsi", "sma", "sma_crossover"], {})
    [error] = refused.value.errors
    assert (error.field, error.code) == ("strategies.2", "repeated")
    assert "sma_crossover and sma are the same strategy" in error.message


def test_names_and_aliases_are_all_different() -> None:
    names = [name for strategy in catalogue() for name in (strategy.id, *strategy.aliases)]
    assert len(names) == len(set(names))
    assert find("sma") is find("sma_crossover")
    assert {"sma", "rsi", "buy_and_hold"} <= set(names)


def test_crossings_are_those_of_plain_averages() -> None:
    bars = random_walk(400, 2)
    fast, slow = 5, 12
    prices = bars.close.tolist()

    def average(bar: int, period: int) -> float:
        return sum(prices[bar - period + 1 : bar + 1]) / period

    expected = [NO_OPINION] * 400
    for bar in range(slow, 400):
        before = average(bar - 1, fast) - average(bar - 1, slow)
        now = average(bar, fast) - average(bar, slow)
        if before <= 0 < now:
            expected[bar] = 1
        elif before >= 0 > now:
            expected[bar] = -1
    assert signals_of("sma", bars, fast=fast, slow=slow) == expected
    assert expected.count(1) > 10


def test_an_average_of_one_bar_is_the_price() -> None:
    bars = bars_of([(p, p, p, p) for p in (10.0, 9.0, 8.0, 9.0, 8.0)])
    assert signals_of("sma", bars, fast=1, slow=2) == [2, 2, 2, 1, -1]


def test_the_relative_strength_index_is_wilders() -> None:
    bars = random_walk(400, 3)
    period, low, high = 6, 35.0, 65.0
    changes = np.diff(bars.close).tolist()
    gain = sum(max(c, 0.0) for c in changes[:period]) / period
    loss = sum(max(-c, 0.0) for c in changes[:period]) / period
    index = {period: 100 * gain / (gain + loss)}
    for bar in range(period + 1, 400):
        gain = (gain * (period - 1) + max(changes[bar - 1], 0.0)) / period
        loss = (loss * (period - 1) + max(-changes[bar - 1], 0.0)) / period
        index[bar] = 100 * gain / (gain + loss)
    expected = [NO_OPINION] * 400
    for bar in range(period + 1, 400):
        if index[bar - 1] <= low < index[bar]:
            expected[bar] = 1
        elif index[bar - 1] >= high > index[bar]:
            expected[bar] = -1
    assert signals_of("rsi", bars, period=period, oversold=low, overbought=high) == expected
    assert expected.count(1) > 5
    assert expected.count(-1) > 5


@pytest.mark.parametrize("price", [0.1, 1e-9, 123.456, 1e12])
@pytest.mark.parametrize("name", sorted(set(QUICK) - {"buy_and_hold"}))
def test_a_price_that_stands_still_says_nothing(name: str, price: float) -> None:
    """Also after it moved: the running sums inside indicators keep rounding errors, which are no crossings."""
    walk = random_walk(60, 4)
    still = flat(3_000, price)
    assert set(signals_of(name, still, **QUICK[name])) == {NO_OPINION}
    scale = price / float(walk.close[-1])
    columns = zip(walk[1:], still[1:], strict=True)
    moved = Bars(still.time_ms, *(np.concatenate([column[:60] * scale, fixed[60:]]) for column, fixed in columns))
    # The averages meet once the slow one has forgotten the walk; nothing may happen after that.
    assert set(signals_of(name, moved, **QUICK[name])[80:]) == {NO_OPINION}


@pytest.mark.parametrize("total", range(12))
@pytest.mark.parametrize("name", QUICK)
def test_fewer_bars_than_an_indicator_needs_give_no_signal(name: str, total: int) -> None:
    said = signals_of(name, random_walk(total, 1), **({} if name != "buy_and_hold" else QUICK[name]))
    assert len(said) == total
    assert set(said[1:]) <= {NO_OPINION}


def refusal(strategies: list[str], params: dict[str, dict[str, Any]]) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        resolve(strategies, params)
    return {error.field: error.message for error in caught.value.errors}


def test_every_wrong_field_is_listed_at_once() -> None:
    found = refusal(
        ["sma", "nonsense", "rsi"],
        {
            "sma": {"fast": "ten", "slow": 10_001, "typo": 1},
            "rsi": {"period": 1.5, "oversold": float("nan"), "overbought": True},
            "macd": {},
        },
    )
    assert set(found) == {
        "strategyParams.sma.fast",
        "strategyParams.sma.slow",
        "strategyParams.sma.typo",
        "strategies.1",
        "strategyParams.rsi.period",
        "strategyParams.rsi.oversold",
        "strategyParams.rsi.overbought",
        "strategyParams.macd",
    }
    assert "10001" in found["strategyParams.sma.slow"]
    assert "fast, slow" in found["strategyParams.sma.typo"]
    assert '"nonsense"' in found["strategies.1"]
    assert "buy_and_hold" in found["strategies.1"]


@pytest.mark.parametrize(
    ("name", "params", "field"),
    [
        ("sma", {"fast": 50}, "strategyParams.sma.fast"),  # against the default of slow
        ("sma", {"fast": 30, "slow": 30}, "strategyParams.sma.fast"),
        ("sma", {"fast": 0}, "strategyParams.sma.fast"),
        ("sma", {"fast": None}, "strategyParams.sma.fast"),
        ("sma", {"fast": 10.5}, "strategyParams.sma.fast"),
        ("sma", {"fast": True}, "strategyParams.sma.fast"),
        ("sma", {"fast": [10]}, "strategyParams.sma.fast"),
        ("sma", {"Fast": 10}, "strategyParams.sma.Fast"),
        ("rsi", {"oversold": 80}, "strategyParams.rsi.oversold"),
        ("rsi", {"overbought": 101}, "strategyParams.rsi.overbought"),
        ("rsi", {"oversold": float("inf")}, "strategyParams.rsi.oversold"),
        ("ema", {"fast": 26}, "strategyParams.ema.fast"),
        ("macd", {"fast": 26}, "strategyParams.macd.fast"),
        ("macd", {"signal": 0}, "strategyParams.macd.signal"),
        ("bollinger", {"deviations": 0}, "strategyParams.bollinger.deviations"),
        ("turtle", {"exit": 21}, "strategyParams.turtle.exit"),
        ("momentum", {"threshold": -1}, "strategyParams.momentum.threshold"),
        ("mean_reversion", {"exit": 2.0}, "strategyParams.mean_reversion.exit"),
        ("supertrend", {"multiplier": 1e9}, "strategyParams.supertrend.multiplier"),
        ("buy_and_hold", {"period": 1}, "strategyParams.buy_and_hold.period"),
    ],
)
def test_a_wrong_parameter_is_refused_by_name(name: str, params: dict[str, Any], field: str) -> None:
    assert list(refusal([name], {name: params})) == [field]


def test_no_strategy_at_all_is_refused() -> None:
    assert list(refusal([], {})) == ["strategies"]


def test_uses_keep_the_order_and_the_names_of_the_request() -> None:
    uses = resolve(["rsi", "sma"], {"sma": {"fast": Int64(5)}})  # numbers as MongoDB's driver hands them back
    assert [(use.name, use.strategy.id) for use in uses] == [("rsi", "rsi"), ("sma", "sma_crossover")]
    assert uses[1].params.model_dump() == {"fast": 5, "slow": 30}


TRUTH = [
    # voices over three bars            any         all         majority
    (((1, 2, 2), (2, 2, 1)), (1, 2, 1), (0, 2, 1), (0, 2, 1)),
    (((1, 2, -1), (-1, 2, 2)), (2, 2, -1), (0, 2, -1), (0, 2, -1)),
    (((1, 0, 2), (0, 2, 1)), (1, 0, 1), (0, 0, 0), (0, 0, 0)),
    (((1, 2, 2), (1, 2, -1), (2, 2, 2)), (1, 2, -1), (0, 2, 0), (1, 2, 0)),
    (((1, 2, 2), (1, 2, -1), (-1, 2, -1)), (2, 2, -1), (0, 2, 0), (1, 2, -1)),
    (((2, 2, 2), (2, 2, 2)), (2, 2, 2), (2, 2, 2), (2, 2, 2)),
]


@pytest.mark.parametrize(("voices", "by_any", "by_all", "by_majority"), TRUTH)
def test_several_voices_become_one_by_the_table(
    voices: tuple[tuple[int, ...], ...], by_any: tuple[int, ...], by_all: tuple[int, ...], by_majority: tuple[int, ...]
) -> None:
    stack = [np.array(voice, np.int8) for voice in voices]
    assert tuple(combine(stack, "any").tolist()) == by_any
    assert tuple(combine(stack, "all").tolist()) == by_all
    assert tuple(combine(stack, "majority").tolist()) == by_majority


@pytest.mark.parametrize(("voices", "by_any", "by_all", "by_majority"), TRUTH)
def test_equal_weights_are_a_majority(
    voices: tuple[tuple[int, ...], ...], by_any: Any, by_all: Any, by_majority: Any
) -> None:
    stack = [np.array(voice, np.int8) for voice in voices]
    assert tuple(combine(stack, "weighted", [0.1] * len(stack)).tolist()) == by_majority


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((3.0, 1.0, 1.0), (1, 2, 1, 0)),  # the first decides alone
        ((2.0, 1.0, 1.0), (0, 2, 0, 0)),  # half is not more than half
        ((0.3, 0.1, 0.2), (0, 2, 0, 0)),  # nor when rounding makes it a little more
        ((1.0, 2.0, 2.0), (0, 2, -1, 0)),
        ((1.0, 1.0, 9.0), (0, 2, -1, 0)),
    ],
)
def test_more_than_half_of_the_weight_decides(weights: tuple[float, ...], expected: tuple[int, ...]) -> None:
    stack = [np.array(voice, np.int8) for voice in ((1, 2, 2, 0), (2, 2, -1, 2), (2, 2, -1, 0))]
    assert tuple(combine(stack, "weighted", weights).tolist()) == expected


def test_one_voice_is_itself() -> None:
    voice = np.array([1, 2, 0, -1], np.int8)
    for how in ("any", "all", "majority"):
        assert combine([voice], how).tolist() == voice.tolist()


def test_looking_at_the_catalogue_loads_neither_numba_nor_talib() -> None:
    program = (
        "import sys; from shared.strategies import catalogue, resolve; "
        "[s.parameters_schema for s in catalogue()]; resolve(['sma'], {}); "
        "sys.exit(1 if {'numba', 'talib', 'worker', 'pandas'} & set(sys.modules) else 0)"
    )
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", program], cwd=root, timeout=60, check=False).returncode == 0
