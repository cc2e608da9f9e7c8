"""The rule language: what each word computes, how text is read, what is refused where, and that no text does harm."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bars import Bars
from shared.errors import InvalidRequest
from shared.misread import Misread
from shared.strategies import NO_OPINION, catalogue, find, resolve
from shared.strategies.rule import language
from shared.strategies.rule.functions import FUNCTIONS, SERIES, Function, Setting
from shared.strategies.rule.language import (
    COMPARISONS,
    DEPTH_MAX,
    NODES_MAX,
    PERIODS_MAX_BARS,
    TEXT_MAX_CHARS,
    Node,
    parse,
)
from tests.engine.markets import bars_of, random_walk

TOTAL = 250
_ = NO_OPINION


def market(seed: int, total: int = TOTAL) -> Bars:
    """A random walk whose volume changes and is now and then nothing."""
    random = np.random.default_rng(seed + 1_000)
    volume = random.lognormal(3.0, 1.0, total) * (random.random(total) < 0.8)
    return random_walk(total, seed)._replace(volume=volume)


def closes(*prices: float) -> Bars:
    return bars_of([(price, price, price, price) for price in prices])


def said(bars: Bars, long: str = "", short: str = "", exit: str = "") -> list[int]:
    return find("rule").use({"long": long, "short": short, "exit": exit}, "rule").signals(bars).tolist()


# Each function against a plain calculation: a list with NaN where nothing is known

Plain = list[float]


def windows(x: Plain, period: int, of: Callable[[Plain], float]) -> Plain:
    return [of(x[bar - period + 1 : bar + 1]) if bar >= period - 1 else nan for bar in range(len(x))]


def smoothed(x: Plain, first: int, period: int, share: float) -> Plain:
    """From bar `first`, the mean of the `period` values up to it; then `share` of the way to each value."""
    found = [nan] * len(x)
    for bar in range(first, len(x)):
        last = found[bar - 1]
        found[bar] = statistics.fmean(x[bar - period + 1 : bar + 1]) if bar == first else last + share * (x[bar] - last)
    return found


def columns(bars: Bars) -> tuple[Plain, Plain, Plain]:
    return bars.high.tolist(), bars.low.tolist(), bars.close.tolist()


def ranges(bars: Bars) -> Plain:
    high, low, close = columns(bars)
    return [nan] + [max(high[i], close[i - 1]) - min(low[i], close[i - 1]) for i in range(1, len(close))]


def typical(bars: Bars) -> Plain:
    return [statistics.fmean(three) for three in zip(*columns(bars), strict=True)]


def plain_rsi(_bars: Bars, x: Plain, period: int) -> Plain:
    steps = [nan] + [now - before for before, now in pairwise(x)]
    gains = smoothed([max(step, 0.0) for step in steps], period, period, 1 / period)
    losses = smoothed([max(-step, 0.0) for step in steps], period, period, 1 / period)
    return [100 * gain / (gain + loss) for gain, loss in zip(gains, losses, strict=True)]


def plain_macd(_bars: Bars, x: Plain, fast: int, slow: int, signal: int = 1, part: int = 0) -> Plain:
    quick, calm = (smoothed(x, slow - 1, period, 2 / (period + 1)) for period in (fast, slow))
    line = [a - b for a, b in zip(quick, calm, strict=True)]
    slowed = smoothed(line, slow + signal - 2, signal, 2 / (signal + 1))
    return [(a, b, a - b)[part] for a, b in zip(line, slowed, strict=True)]


def plain_cci(bars: Bars, period: int) -> Plain:
    def of(window: Plain) -> float:
        mean = statistics.fmean(window)
        return (window[-1] - mean) / (0.015 * statistics.fmean(abs(one - mean) for one in window))

    return windows(typical(bars), period, of)


def plain_adx(bars: Bars, period: int) -> Plain:
    """Wilder's, as TA-Lib begins it: sums of the first `period - 1` moves, smoothed from the next bar on."""
    high, low, _close = columns(bars)
    true = ranges(bars)
    plus = minus = reach = 0.0
    index = [nan] * bars.total
    strengths: Plain = []
    for bar in range(1, bars.total):
        up, down = high[bar] - high[bar - 1], low[bar - 1] - low[bar]
        keep = 1.0 if bar < period else 1.0 - 1.0 / period
        plus = plus * keep + (up if up > down and up > 0 else 0.0)
        minus = minus * keep + (down if down > up and down > 0 else 0.0)
        reach = reach * keep + true[bar]
        if bar >= period:
            strengths.append(100 * abs(plus - minus) / (plus + minus))
        if bar == 2 * period - 1:
            index[bar] = statistics.fmean(strengths)
        elif bar >= 2 * period:
            index[bar] = (index[bar - 1] * (period - 1) + strengths[-1]) / period
    assert reach > 0.0
    return index


def plain_stochastic(bars: Bars, period: int, smooth: int = 1) -> Plain:
    high, low, close = columns(bars)
    tops, bottoms = windows(high, period, max), windows(low, period, min)
    share = [100 * (c - b) / (t - b) for c, t, b in zip(close, tops, bottoms, strict=True)]
    return windows(share, smooth, statistics.fmean)


def plain_vwap(bars: Bars, period: int) -> Plain:
    volume = bars.volume.tolist()
    value = windows([p * v for p, v in zip(typical(bars), volume, strict=True)], period, sum)
    return [v / s if s > 0.0 else nan for v, s in zip(value, windows(volume, period, sum), strict=True)]


def back(x: Plain, bars: int) -> Plain:
    return ([nan] * bars + x)[: len(x)]


def run_of(x: Plain, steps: int) -> Plain:
    """1 where each of the last steps went up, 0 where one is known not to, NaN where that cannot be known."""
    found: Plain = []
    for bar in range(len(x)):
        ups = [x[at] > x[at - 1] for at in range(max(bar - steps + 1, 1), bar + 1)]
        found.append(0.0 if not all(ups) else 1.0 if bar >= steps else nan)
    return found


def crossing(a: Plain, b: Plain) -> Plain:
    gap = [one - other for one, other in zip(a, b, strict=True)]
    return [nan] + [float(before <= 0 < now) for before, now in pairwise(gap)]


PLAIN: dict[str, Callable[..., Plain]] = {
    "sma": lambda _, x, n: windows(x, n, statistics.fmean),
    "ema": lambda _, x, n: smoothed(x, n - 1, n, 2 / (n + 1)),
    "wma": lambda _, x, n: windows(x, n, lambda w: sum(v * k for k, v in enumerate(w, 1)) / (n * (n + 1) / 2)),
    "vwap": plain_vwap,
    "rsi": plain_rsi,
    "macd": plain_macd,
    "macd_signal": lambda bars, x, *periods: plain_macd(bars, x, *periods, part=1),
    "macd_histogram": lambda bars, x, *periods: plain_macd(bars, x, *periods, part=2),
    "stochastic_k": plain_stochastic,
    "stochastic_d": plain_stochastic,
    "cci": plain_cci,
    "adx": plain_adx,
    "highest": lambda _, x, n: windows(x, n, max),
    "lowest": lambda _, x, n: windows(x, n, min),
    "stdev": lambda _, x, n: windows(x, n, statistics.pstdev),
    "zscore": lambda _, x, n: windows(x, n, lambda w: (w[-1] - statistics.fmean(w)) / statistics.pstdev(w)),
    "bollinger_upper": lambda _, x, n, k: windows(x, n, lambda w: statistics.fmean(w) + k * statistics.pstdev(w)),
    "bollinger_middle": lambda _, x, n: windows(x, n, statistics.fmean),
    "bollinger_lower": lambda _, x, n, k: windows(x, n, lambda w: statistics.fmean(w) - k * statistics.pstdev(w)),
    "atr": lambda bars, n: smoothed(ranges(bars), n, n, 1 / n),
    "shift": lambda _, x, n: back(x, n),
    "change": lambda _, x, n: [now - then for now, then in zip(x, back(x, n), strict=True)],
    "percent_change": lambda _, x, n: [100 * (now - then) / then for now, then in zip(x, back(x, n), strict=True)],
    "crosses_above": lambda _, a, b: crossing(a, b),
    "crosses_below": lambda _, a, b: crossing(b, a),
    "rising": lambda _, x, n: run_of(x, n),
    "falling": lambda _, x, n: run_of([-one for one in x], n),
    "abs": lambda _, x: [abs(one) for one in x],
    "min": lambda _, a, b: [min(pair) for pair in zip(a, b, strict=True)],
    "max": lambda _, a, b: [max(pair) for pair in zip(a, b, strict=True)],
}


def settings_of(function: Function, quick: bool) -> list[float]:
    """Small ones or the defaults, where there are any."""
    small = {"fast": 3, "slow": 7, "signal": 4, "period": 5, "bars": 2, "smooth": 3, "deviations": 1.5}
    return [small[one.name] if quick or one.default is None else one.default for one in function.settings]


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_gives_what_a_plain_calculation_gives(name: str, quick: bool) -> None:
    function = FUNCTIONS[name]
    bars = market(3)
    of = {"x": bars.close, "a": bars.close, "b": bars.open}
    numbers = [of[one] for one in function.numbers]
    literals = [int(v) if v == int(v) else v for v in settings_of(function, quick)]
    expected = PLAIN[name](bars, *(one.tolist() for one in numbers), *literals)
    found = function.of(bars, *numbers, *literals)
    if isinstance(found, tuple):
        assert not (found.yes & found.no).any()
        found = np.where(found.yes, 1.0, np.where(found.no, 0.0, nan))
        assert {0.0, 1.0} <= set(expected), "the example shows too little"
    assert len(expected) == TOTAL
    assert found.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-9, nan_ok=True)
    assert sum(map(isnan, expected)) < TOTAL / 2


@pytest.mark.parametrize("name", SERIES)
def test_a_series_is_what_its_name_says(name: str) -> None:
    bars = market(1, 40)
    plain = {
        **bars._asdict(),
        "hl2": (bars.high + bars.low) / 2,
        "hlc3": np.array(typical(bars)),
        "ohlc4": (bars.open + bars.high + bars.low + bars.close) / 4,
    }
    assert SERIES[name].of(bars).tolist() == pytest.approx(plain[name].tolist())


WITH_MEMORY = [name for name, one in FUNCTIONS.items() if one.numbers == ("x",) and one.settings]


@pytest.mark.parametrize("name", WITH_MEMORY)
@pytest.mark.parametrize("hole", [1, 3])
def test_a_function_begins_anew_after_what_is_unknown(name: str, hole: int) -> None:
    """An unknown value in the middle does not poison the rest; what comes after is as if nothing had been before."""
    function = FUNCTIONS[name]
    bars = market(5, 120)
    x = bars.close.copy()
    x[:4] = nan  # as an indicator begins
    x[60 : 60 + hole] = nan
    literals = settings_of(function, quick=True)
    periods = [int(one) if one == int(one) else one for one in literals]

    def of(values: Any) -> Any:
        found = function.of(bars.first(len(values)), values, *periods)
        return np.where(found.yes, 1.0, np.where(found.no, 0.0, nan)) if isinstance(found, tuple) else found

    whole = of(x)
    for start, end in ((4, 60), (60 + hole, 120)):
        alone = of(x[start:end])
        known = ~np.isnan(alone)
        assert known.sum() > 30
        assert whole[start:end][known].tobytes() == alone[known].tobytes()
    assert np.isnan(whole[4:60]).sum() == np.isnan(of(x[4:60])).sum()


@pytest.mark.parametrize("name", ["sma", "highest", "stdev", "bollinger_middle"])
def test_a_run_as_long_as_the_period_gives_one_value(name: str) -> None:
    bars = closes(*[1.0, 4.0, 2.0, 9.0] * 2)
    x = bars.close.copy()
    x[[0, 4]] = nan
    expected = PLAIN[name](bars, [4.0, 2.0, 9.0], 3)[-1]
    found: Any = FUNCTIONS[name].of(bars, x, 3)
    assert found.tolist() == pytest.approx([nan] * 3 + [expected] + [nan] * 3 + [expected], nan_ok=True)


@pytest.mark.parametrize("total", range(8))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_too_few_bars_are_no_error(name: str, total: int) -> None:
    function = FUNCTIONS[name]
    bars = market(2, total)
    numbers = [bars.close, bars.open][: len(function.numbers)]
    found = function.of(bars, *numbers, *map(int, settings_of(function, quick=False)))
    assert {len(one) for one in (found if isinstance(found, tuple) else [found])} == {total}


def test_a_market_that_stands_still_has_no_index() -> None:
    """Where nothing is divided by nothing an index is unknown, also after the rounding of earlier moves has faded."""
    walk, still = market(1, 50), 0.1
    prices = np.concatenate([walk.close * 0.001, np.full(2_000, still)])
    bars = bars_of([(p, p, p, p) for p in prices.tolist()])
    for name, of in (("cci", ()), ("stochastic_k", ()), ("zscore", (bars.close,))):
        with np.errstate(invalid="ignore"):
            found = FUNCTIONS[name].of(bars, *of, 20)
        assert np.isnan(found[70:]).all(), name
        assert np.isfinite(found[20:50]).all(), name
    for name in ("macd", "macd_signal", "macd_histogram"):
        lines: Any = FUNCTIONS[name].of(bars, bars.close, *(3, 6, 3)[: len(FUNCTIONS[name].settings)])
        assert set(lines[300:].tolist()) == {0.0}, name
    frozen = said(bars, "rsi(close, 3) != shift(rsi(close, 3))")
    assert 1 in frozen[:50]
    assert set(frozen[52:]) == {_}
    assert set(said(closes(*[0.1] * 60), "rsi(close, 14) >= 0")) == {_}


# Reading


ALIKE = [
    ("1 + 2 * 3 > 0", "(1 + (2 * 3)) > 0"),
    ("1 * 2 + 3 > 0", "(1 * 2) + 3 > 0"),
    ("8 - 4 - 2 > 0", "(8 - 4) - 2 > 0"),
    ("8 - 4 + 2 > 0", "(8 - 4) + 2 > 0"),
    ("8 / 4 / 2 > 0", "(8 / 4) / 2 > 0"),
    ("8 / 4 * 2 > 0", "(8 / 4) * 2 > 0"),
    ("-close * 2 > 0", "(-close) * 2 > 0"),
    ("1 - -close > 0", "1 - (-close) > 0"),
    ("- -close > 0", "-(-close) > 0"),
    ("close < 1 + open", "close < (1 + open)"),
    ("close > 1 or open > 1 and low > 1", "close > 1 or (open > 1 and low > 1)"),
    ("close > 1 and open > 1 or low > 1", "(close > 1 and open > 1) or low > 1"),
    ("close > 1 and open > 1 and low > 1", "((close > 1) and (open > 1)) and low > 1"),
    ("not close > 1 and open > 1", "(not (close > 1)) and open > 1"),
    ("not not close > 1", "not (not (close > 1))"),
    ("rsi(close) > 1", "rsi(close, 14) > 1"),
    ("macd_signal(close, 5) > 1", "macd_signal(close, 5, 26, 9) > 1"),
    ("atr() > 1", "atr(14) > 1"),
    ("bollinger_upper(close) > 1", "bollinger_upper(close, 20, 2.0) > 1"),
    ("close>1e1", "\n close\t>\r\n 10.0 "),
    ("close > .5", "close > 0.50"),
    ("close > 5.", "close > 005"),
]


@pytest.mark.parametrize(("short", "long"), ALIKE)
def test_operators_bind_as_in_arithmetic(short: str, long: str) -> None:
    assert parse(short) == parse(long)


def test_different_texts_have_different_trees() -> None:
    texts = [
        "8 - (4 - 2) > 0",
        "8 - 4 - 2 > 0",
        "8 - 4 + 2 > 0",
        "not (close > 1 and open > 1)",
        "close > 1",
        "close >= 1",
    ]
    assert len({parse(text) for text in texts}) == len(texts)


def test_arithmetic_is_that_of_numbers() -> None:
    for text in (
        "2 + 3 * 4 == 14",
        "8 - 4 - 2 == 2",
        "8 / 4 / 2 == 1",
        "-2 * -3 == 6",
        "7 / 2 == 3.5",
        "-(1 + 1) < -1.9",
    ):
        assert said(closes(1.0), text) == [1]
        assert said(closes(1.0), f"not {text}") == [_]


@pytest.mark.parametrize(
    ("text", "at", "says"),
    [
        ("close > ", 9, 'expected a number, a series, a function, "-" or "(", found the end'),
        ("close", 1, "expected a condition such as close > open for the whole text, found a number"),
        ("  rsi(close)", 3, "expected a condition"),
        ("close > 1 open", 11, 'found "open"'),
        ("close > 1 AND open > 1", 11, "small letters"),
        ("close > 1 && open > 1", 11, "use and"),
        ("close > 1 | open > 1", 11, "use or"),
        ("!(close > 1)", 1, "use not"),
        ("close = 1", 7, "use =="),
        ("close[1] > 1", 6, "use shift(x, bars)"),
        ("(close > 1", 11, 'expected ")" to close the one at character 1, found the end'),
        ("close > 1)", 10, "that nothing opened"),
        ("close > 1 and and", 15, 'found "and"'),
        ("()", 2, 'found ")"'),
        ("smma(close, 3) > 1", 1, "did you mean sma? functions are sma, ema"),
        ("1 > clsoe", 5, "did you mean close? series are open, high"),
        ("1 > Close", 5, "did you mean close?"),
        ("1 > qqqqq", 5, 'found "qqqqq"; series are'),
        ("sma > 1", 1, "sma is a function, expected sma(x, period)"),
        ("1 > rsi", 5, "expected rsi(x, period = 14)"),
        ("close(3) > 1", 1, "leave the parentheses out"),
        ("sma(close) > 1", 10, 'expected period of sma(x, period), found ")"'),
        ("sma() > 1", 5, "expected x of"),
        ("sma(close 3) > 1", 11, 'expected "," before period'),
        ("sma(close, 3, 4) > 1", 13, "takes no more"),
        ("sma(close, 3", 13, 'expected ")" to close sma(x, period), found the end'),
        ("sma(close, close) > 1", 12, "expected a whole number from 1 to 10,000 for period"),
        ("sma(close, 2.5) > 1", 12, 'found "2.5"'),
        ("sma(close, 1e1) > 1", 12, 'found "1e1"'),
        ("sma(close, 0) > 1", 12, 'found "0"'),
        ("sma(close, 10001) > 1", 12, 'found "10001"'),
        ("sma(close, 2 * 3) > 1", 14, 'expected ")"'),
        ("shift(close, -1) > 1", 14, "from 0 to 10,000"),
        ("shift(close, -1) > 1", 14, "nothing looks at later bars"),
        ("change(close, 0) > 1", 15, "from 1 to 10,000"),
        ("bollinger_upper(close, 20, 10.5) > 1", 28, "expected a number from 0.1 to 10 for deviations"),
        ("1 > macd(close, 26, 12)", 5, "found fast 26 and slow 12"),
        ("macd(close, 26) > 1", 1, "found fast 26 and slow 26"),
        ("sma(close > 1, 3) > 1", 5, "expected a number for x of sma(x, period), found a condition"),
        ("crosses_above(close, open > 1)", 22, "expected a number for b"),
        ("close > 1 > 2", 11, "comparisons do not chain"),
        ("(close > 1) == (open > 1)", 1, 'expected a number for the left of "=="'),
        ("1 + (open > 1) > 2", 5, 'expected a number for the right of "+"'),
        ("rising(close) * 2 > 2", 1, 'expected a number for the left of "*"'),
        ("-rising(close) > 2", 2, 'expected a number for the right of "-"'),
        ("close and open > 1", 1, 'expected a condition such as close > open for the left of "and"'),
        ("open > 1 or 1", 13, 'for the right of "or", found a number'),
        ("not close", 5, 'for the right of "not", found a number'),
        ("1e999 > close", 1, "below 1.8e308"),
        ("close > \uff11", 9, r"found '\uff11'"),
        ("\u200bclose > 1", 1, r"found '\u200b'"),
        ("close\u00a0> 1", 6, r"found '\xa0'"),
        ("close.__class__ > 1", 6, "found '.'"),
        ("'a' > 1", 1, 'found "\'"'),
        ("lambda: 1", 7, "found ':'"),
        ("close > 1\x00", 10, r"found '\x00'"),
    ],
)
def test_a_mistake_is_named_with_its_character(text: str, at: int, says: str) -> None:
    with pytest.raises(Misread) as caught:
        parse(text)
    message, place = str(caught.value), caught.value.place
    assert message.startswith(f"at character {at}: ")
    assert says in message
    assert place.start == at - 1 <= place.end <= len(text)


@pytest.mark.parametrize(
    ("text", "marked", "near"),
    [
        ("1 > clsoe", "clsoe", ["close"]),
        ("Sma(close, 3) > 1", "Sma", ["sma", "wma", "max"]),
        ("crosses(close, open)", "crosses", ["crosses_below", "crosses_above", "close"]),
        ("1 > qqqqq", "qqqqq", []),
        ("close > 1 AND open > 1", "AND", ["and"]),
        ("close = 1", "=", ["=="]),
        ("close.x > 1", ".", []),
        ("close > ", "", []),
        ("(close > 1", "", []),
        ("sma(close, close) > 1", "close", []),
        ("sma(close > 1, 3) > 1", "close > 1", []),
        ("1 > macd(close, 26, 12)", "macd(close, 26, 12)", []),
        ("(close > 1) == (open > 1)", "(close > 1)", []),
        ("1 + (open > 1) > 2", "(open > 1)", []),
        ("close and open > 1", "close", []),
        ("not close", "close", []),
        ("rsi(close) ", "rsi(close)", []),
        ("sma > 1", "sma", []),
        ("1e999 > close", "1e999", []),
    ],
)
def test_a_mistake_is_marked_from_its_beginning_to_its_end(text: str, marked: str, near: list[str]) -> None:
    with pytest.raises(Misread) as caught:
        parse(text)
    place = caught.value.place
    assert (text[place.start : place.end], list(place.near)) == (marked, near)


@pytest.mark.parametrize("field", ["long", "short", "exit"])
def test_the_mistake_is_that_of_its_field(field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve(["rule"], {"rule": {"long": "close > 1", field: "close > "}})
    [error] = caught.value.errors
    assert error.field == f"strategyParams.rule.{field}"
    assert error.message.startswith("at character 9: expected a number")


@pytest.mark.parametrize(
    ("within", "beyond", "says"),
    [
        ("close > 1" + " " * (TEXT_MAX_CHARS - 9), "close > 1" + " " * (TEXT_MAX_CHARS - 8), "at most 2,000"),
        ("(" * DEPTH_MAX + "close > 1" + ")" * DEPTH_MAX, "(" * (DEPTH_MAX + 1), "nest"),
        ("not " * DEPTH_MAX + "close > 1", "not " * (DEPTH_MAX + 1) + "close > 1", "nest"),
        ("-" * DEPTH_MAX + "1 > 0", "-" * (DEPTH_MAX + 1) + "1 > 0", "nest"),
        ("abs(" * DEPTH_MAX + "1" + ")" * DEPTH_MAX + "> 0", "abs(" * (DEPTH_MAX + 1) + "1", "nest"),
        ("1" + "+ 1" * (NODES_MAX // 2 - 2) + "> 0", "1" + "+ 1" * (NODES_MAX // 2) + "> 0", "more than 200"),
        (
            "sma(close, 10000) > sma(open, 10000)",
            "sma(close, 10000) > sma(open, 9999) + atr(2)",
            f"{PERIODS_MAX_BARS:,} bars",
        ),
    ],
)
def test_what_is_too_large_is_refused(within: str, beyond: str, says: str) -> None:
    said(closes(1.0, 2.0), within)
    with pytest.raises(ValueError, match=says):
        parse(beyond)


def test_the_longest_chain_is_within_everybodys_recursion() -> None:
    """A chain of operators is a tree as deep as it is long."""
    chain = "1" + "-1" * (NODES_MAX // 2 - 2) + " < 0"
    assert said(closes(1.0), chain, chain.replace("<", ">")) == [1]


# What holds


STATES = {"true": "1 > 0", "false": "1 < 0", "unknown": "1 / 0 > 0"}


def state_of(text: str) -> str:
    yes, no = (said(closes(1.0), one) == [1] for one in (text, f"not ({text})"))
    assert not (yes and no)
    return "true" if yes else "false" if no else "unknown"


@pytest.mark.parametrize("a", STATES)
@pytest.mark.parametrize("b", STATES)
def test_unknown_stays_unknown_where_it_matters(a: str, b: str) -> None:
    rank = {"false": 0, "unknown": 1, "true": 2}
    assert state_of(f"{STATES[a]} and {STATES[b]}") == min(a, b, key=rank.__getitem__)
    assert state_of(f"{STATES[a]} or {STATES[b]}") == max(a, b, key=rank.__getitem__)
    assert state_of(f"not ({STATES[a]})") == {"true": "false", "false": "true", "unknown": "unknown"}[a]


@pytest.mark.parametrize(
    "number",
    [
        "0 / 0",
        "1 / 0",
        "-1 / (close - close)",
        "1e308 * 10",
        "1e308 + 1e308",
        "sma(close, 2)",
        "shift(close, 3)",
        "rsi(close)",
    ],
)
def test_a_comparison_with_what_is_unknown_is_unknown(number: str) -> None:
    for sign in ("<", "<=", ">", ">=", "==", "!="):
        assert state_of(f"{number} {sign} 1") == state_of(f"1 {sign} {number}") == "unknown"
    for text in (
        "crosses_above(#, 1)",
        "crosses_below(1, #)",
        "rising(#)",
        "falling(#)",
        "max(#, 1) > 0",
        "abs(#) > 0",
    ):
        assert state_of(text.replace("#", number)) == "unknown"


def test_a_crossing_from_the_unknown_is_none() -> None:
    assert said(closes(5, 5, 5, 5, 5), "crosses_above(sma(close, 3), 2)") == [_] * 5
    assert said(closes(1, 1, 1, 9, 9), "crosses_above(sma(close, 3), 2)") == [_, _, _, 1, _]
    assert said(closes(9, 9, 9, 1, 1), "not crosses_above(sma(close, 3), 2)") == [_, _, _, 1, _]


def test_equal_within_rounding_is_equal() -> None:
    bars = closes(*[0.1] * 5)
    assert said(bars, "close * 3 == 0.3", "close * 3 > 0.3") == [1, _, _, _, _]
    assert said(bars, "close * 3 - 0.3 != 0 or crosses_above(close * 3, 0.3) or rising(close)") == [_] * 5


def test_windows_include_the_present_bar() -> None:
    bars = closes(1, 2, 3, 2)
    assert said(bars, "close == highest(close, 2)") == [_, 1, _, _]
    assert said(bars, "close > highest(close, 2)") == [_] * 4
    assert said(bars, "close > highest(shift(close), 2)") == [_, _, 1, _]


@pytest.mark.parametrize(
    ("long", "short", "exit", "expected"),
    [  # closes        5  9  9  9  5  1  1  5  9
        ("close > 8", "", "", [_, 1, _, _, _, _, _, _, 1]),  # told where it begins, each time
        ("", "close > 8", "", [_, -1, _, _, _, _, _, _, -1]),
        ("close > 8", "close < 2", "", [_, 1, _, _, _, -1, _, _, 1]),
        ("close > 8", "", "not close > 8", [0, 1, _, _, 0, _, _, _, 1]),
        ("close > 4", "close > 8", "", [1, _, _, _, 1, _, _, 1, _]),  # both: no opinion
        ("close > 4", "", "close > 8", [1, 0, _, _, 1, _, _, 1, 0]),  # exit is stronger
        ("close > 4", "close > 4", "close > 8", [_, 0, _, _, _, _, _, _, 0]),
        ("close > 4", "", "shift(close) > 8", [1, _, 0, _, _, _, _, 1, _]),  # an unknown exit is none
    ],
)
def test_an_opinion_is_told_when_it_begins(long: str, short: str, exit: str, expected: list[int]) -> None:
    assert said(closes(5, 9, 9, 9, 5, 1, 1, 5, 9), long, short, exit) == expected


@pytest.mark.parametrize("periods", [(10, 30), (3, 8), (1, 2)])
@pytest.mark.parametrize("seed", range(3))
def test_a_crossover_written_as_a_rule_is_the_crossover(seed: int, periods: tuple[int, int]) -> None:
    fast, slow = periods
    lines = f"sma(close, {fast}), sma(close, {slow})"
    rounded = random_walk(2_000, seed, volatility=0.002)
    for bars in (random_walk(2_000, seed), rounded._replace(close=rounded.close.round())):  # the lines often touch
        built_in = find("sma").use({"fast": fast, "slow": slow}, "sma").signals(bars).tolist()
        assert said(bars, f"crosses_above({lines})", f"crosses_below({lines})") == built_in
        assert built_in.count(1) > 10


def test_the_defaults_are_an_example_for_a_rule_without_any_condition() -> None:
    bars = random_walk(1_000, 1)
    assert find("rule").use({}, "").signals(bars).tolist() == find("sma").use({}, "").signals(bars).tolist()
    [use] = resolve(["rule"], {"rule": {"short": "close > 1"}})
    assert use.params.model_dump() == {"long": "", "short": "close > 1", "exit": ""}
    for nothing in ({"exit": "close > 1"}, {"long": " ", "short": "\n"}):
        with pytest.raises(InvalidRequest, match=r"strategyParams\.rule\.long: long is empty and so is short"):
            resolve(["rule"], {"rule": nothing})


def test_what_occurs_several_times_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    ema = FUNCTIONS["ema"]

    def counted(bars: Bars, x: Any, period: int) -> Any:
        asked.append(period)
        return ema.of(bars, x, period)

    monkeypatch.setitem(FUNCTIONS, "ema", replace(ema, of=counted))
    said(
        market(1),
        "ema(close, 5) > ema(ema(close, 5), 3) and ema(close, 5) > 1",
        "ema(close, 5) < 1",
        "ema(ema(close, 5), 3) == 1",
    )
    assert sorted(asked) == [3, 5]


# No text does harm


def test_nothing_that_runs_text_is_named_where_rules_are_read() -> None:
    folder = Path(language.__file__).parent
    sources = [path.read_text() for path in sorted(folder.glob("*.py"))]
    names = {node.id for text in sources for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    assert len(sources) == 8
    assert names.isdisjoint({"eval", "exec", "compile", "getattr", "globals", "vars", "__import__", "open"})


def test_every_word_is_described() -> None:
    [shown] = [one.language for one in catalogue() if one.language]
    assert find("rule").language is shown
    assert [one["name"] for one in shown["functions"]] == list(FUNCTIONS) == list(PLAIN)
    assert [one["name"] for one in shown["series"]] == list(SERIES)
    assert shown["parameters"] == ["long", "short", "exit"]
    words = [*shown["keywords"], *shown["operators"], *shown["series"], *shown["functions"]]
    assert all(one["description"].endswith(".") for one in words)
    assert [one["name"] for one in shown["keywords"]] == ["and", "or", "not"]
    assert {one["name"] for one in shown["operators"]} == {*COMPARISONS, *"+-*/"}
    arguments = {one["name"]: one["arguments"] for one in shown["functions"]}
    assert arguments["rsi"] == [
        {"name": "x", "takes": "any number", "default": None},
        {"name": "period", "takes": "a whole number from 2 to 10,000", "default": 14},
    ]
    signatures = {one["name"]: one["signature"] for one in shown["functions"]}
    assert signatures["rsi"] == "rsi(x, period = 14)"
    assert signatures["crosses_above"] == "crosses_above(a, b)"
    assert signatures["atr"] == "atr(period = 14)"


def test_every_example_in_the_readme_can_be_read() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    block = readme.split('"strategyParams": {"rule": ', 1)[1].split("```", 1)[0]
    params = ast.literal_eval(block.strip().removesuffix("}"))
    assert set(params) == {"long", "exit"}
    assert {1, 0} <= set(find("rule").use(params, "").signals(random_walk(3_000, 1, volatility=0.03)).tolist())


WORDS = (
    *(*FUNCTIONS, *SERIES, *language.COMPARISONS, *language.WORDS),
    *(
        "+",
        "-",
        "*",
        "/",
        "(",
        ")",
        ",",
        "0",
        "1",
        "2",
        "14",
        "0.5",
        "1e308",
        ".",
        "=",
        "!",
        "lambda",
        "__class__",
        "\u0000",
    ),
)
BARS = market(11, 70)


def accepted(text: str) -> bool:
    """Whether the text is a rule. If it is, its signals are well formed and the same whatever comes later."""
    try:
        parse(text)
        refusal = ""
    except ValueError as error:
        refusal = str(error)
    if refusal:
        assert refusal.startswith("at character ")
        return False
    use = find("rule").use({"long": text, "exit": f"not ({text})" if len(text) < 1_900 else ""}, "rule")
    whole = use.signals(BARS)
    assert whole.dtype == np.int8
    assert whole.shape == (BARS.total,)
    assert set(whole.tolist()) <= {0, 1, NO_OPINION}
    for cut in (0, 1, 2, 9, 33, 69):
        assert use.signals(BARS.first(cut)).tobytes() == whole[:cut].tobytes()
    return True


bounded = settings(max_examples=300)


@bounded
@given(st.text(max_size=200))
def test_any_text_is_refused_or_read(text: str) -> None:
    accepted(text)


@bounded
@given(st.lists(st.sampled_from(WORDS), max_size=120).map(" ".join))
def test_any_words_are_refused_or_read(text: str) -> None:
    accepted(text)


def setting_values(one: Setting) -> st.SearchStrategy[float]:
    if one.name in ("fast", "slow"):
        return st.integers(2, 4).map(float) if one.name == "fast" else st.integers(5, 9).map(float)
    return st.integers(int(one.least), 9).map(float) if one.whole else st.sampled_from([0.1, 1.0, 2.5, 10.0])


def calls(returns: str, parts: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    functions = [one for one in FUNCTIONS.values() if one.returns == returns]

    def of(function: Function) -> st.SearchStrategy[Node]:
        numbers = st.tuples(*(parts for _one in function.numbers))
        literals = st.tuples(*(setting_values(one) for one in function.settings))
        return st.builds(Node, st.just(function.name), numbers, literals)

    return st.sampled_from(functions).flatmap(of)


def joined(signs: Sequence[str], parts: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.builds(Node, st.sampled_from(signs), st.tuples(parts, parts))


VALUES = st.sampled_from([0.0, 1.0, 3.0, 0.1, 50.0, 99.5, 1e16, 1e-7, 1e308])
NUMBERS = st.recursive(
    st.sampled_from([Node(name) for name in SERIES]) | VALUES.map(lambda value: Node("number", settings=(value,))),
    lambda parts: (
        joined("+-*/", parts) | calls("number", parts) | st.builds(Node, st.just("negative"), st.tuples(parts))
    ),
    max_leaves=8,
)
CONDITIONS = st.recursive(
    joined(language.COMPARISONS, NUMBERS) | calls("condition", NUMBERS),
    lambda parts: joined(("and", "or"), parts) | st.builds(Node, st.just("not"), st.tuples(parts)),
    max_leaves=4,
)


def printed(node: Node) -> str:
    """A text of the tree, with parentheses around every operator."""
    parts = [printed(one) for one in node.parts]
    if node.name == "number":
        return repr(node.settings[0])
    if node.name in SERIES:
        return node.name
    if node.name in FUNCTIONS:
        literals = [f"{int(one)}" if one == int(one) else repr(one) for one in node.settings]
        return f"{node.name}({', '.join(parts + literals)})"
    if node.name == "negative":
        return f"(-{parts[0]})"
    return f"({node.name} {parts[0]})" if node.name == "not" else f"({parts[0]} {node.name} {parts[1]})"


def depth(node: Node) -> int:
    return 1 + max(map(depth, node.parts), default=0)


@settings(max_examples=150)
@given(CONDITIONS.filter(lambda tree: depth(tree) <= 9))
def test_a_tree_that_is_printed_is_read_as_itself(tree: Node) -> None:
    text = printed(tree)
    assert parse(text) == tree
    assert accepted(text)
