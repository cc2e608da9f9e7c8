"""The words of the rule language: every series and function there is, what it takes and what it means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Literal

from shared.bars import Bars
from shared.strategies.rule import market, steps, windows
from shared.strategies.rule.operators import Floats, Truth

PERIOD_MAX_BARS = 10_000

Kind = Literal["number", "condition"]


@dataclass(frozen=True, slots=True)
class Series:
    """A number of each bar. `of(bars)` gives float64[n]."""

    name: str
    of: Callable[[Bars], Floats]
    description: str


@dataclass(frozen=True, slots=True)
class Setting:
    """An argument that must be written as a number: a period, or how many deviations."""

    name: str
    least: float
    default: float | None = None
    most: float = PERIOD_MAX_BARS
    whole: bool = True

    @property
    def demand(self) -> str:
        return f"a {'whole ' if self.whole else ''}number from {self.least:,g} to {self.most:,g}"


@dataclass(frozen=True, slots=True)
class Function:
    """`of(bars, *numbers, *settings)` gives float64[n], or a `Truth` where it returns a condition."""

    name: str
    numbers: tuple[str, ...]
    settings: tuple[Setting, ...]
    of: Callable[..., Floats | Truth]
    description: str
    returns: Kind = "number"

    def least_back(self, settings: Sequence[float]) -> int:
        """How many bars before the first it is known of there are at least, where its numbers are known of all.

        A window of n bars looks n - 1 back, one that smooths another adds its own; of two averages the slow one counts.
        """
        named = [(one.name, int(value)) for one, value in zip(self.settings, settings, strict=True) if one.whole]
        if self.returns == "condition" and not named:
            return 1
        return sum(value if name == "bars" else value - 1 for name, value in named if name != "fast")

    @property
    def arguments(self) -> list[dict[str, Any]]:
        """As they are shown to users, in their order."""
        numbers = [{"name": name, "takes": "any number", "default": None} for name in self.numbers]
        settings = [{"name": one.name, "takes": one.demand, "default": one.default} for one in self.settings]
        return [*numbers, *settings]

    @property
    def signature(self) -> str:
        settings = (one.name if one.default is None else f"{one.name} = {one.default:g}" for one in self.settings)
        return f"{self.name}({', '.join((*self.numbers, *settings))})"


_X, _A_B = ("x",), ("a", "b")
_PERIOD, _PERIOD_14, _PERIOD_20 = Setting("period", 1), Setting("period", 2, 14), Setting("period", 2, 20)
_DEVIATIONS = Setting("deviations", 0.1, 2, most=10, whole=False)
_FAST, _SLOW, _SIGNAL = Setting("fast", 2, 12), Setting("slow", 3, 26), Setting("signal", 1, 9)
_BARS = Setting("bars", 1, 1)

# What stands between them, and what it means.
KEYWORDS = {
    "and": "Holds where both conditions do.",
    "or": "Holds where one of two conditions does.",
    "not": "Holds where the condition does not; what is unknown stays unknown.",
}
SIGNS = {
    "<": "The left is below the right.",
    "<=": "The left is below the right or equal to it.",
    ">": "The left is above the right.",
    ">=": "The left is above the right or equal to it.",
    "==": "Both are equal, but for 10⁻¹² of the larger.",
    "!=": "They differ by more than that.",
    "+": "Sum.",
    "-": "Difference, or the negative of what follows.",
    "*": "Product.",
    "/": "Quotient; unknown where the right is 0.",
}

SERIES: dict[str, Series] = {
    one.name: one
    for one in (
        Series("open", attrgetter("open"), "First price of the bar."),
        Series("high", attrgetter("high"), "Highest price of the bar."),
        Series("low", attrgetter("low"), "Lowest price of the bar."),
        Series("close", attrgetter("close"), "Last price of the bar."),
        Series("volume", attrgetter("volume"), "What was traded in the bar, in units of the base."),
        Series("hl2", market.hl2, "Middle of high and low."),
        Series("hlc3", market.hlc3, "Mean of high, low and close, the typical price."),
        Series("ohlc4", market.ohlc4, "Mean of open, high, low and close."),
    )
}

_AVERAGES = (
    Function("sma", _X, (_PERIOD,), windows.sma, "Simple average of the last `period` values of x (Murphy 1999)."),
    Function(
        *("ema", _X, (_PERIOD,), windows.ema),
        "Exponential average: it moves 2 / (period + 1) of the way to each x and begins with the simple average of the "
        "first `period` (Appel 2005).",
    ),
    Function(
        *("wma", _X, (_PERIOD,), windows.wma),
        "Average of the last `period` values of x with weights that rise from 1 to `period` (Murphy 1999).",
    ),
    Function(
        *("vwap", (), (Setting("period", 1, 20),), market.vwap),
        "Average of hlc3 over the last `period` bars weighted by volume; unknown where nothing was traded.",
    ),
)

_OSCILLATORS = (
    Function(
        *("rsi", _X, (_PERIOD_14,), windows.rsi),
        "Relative strength index, 100 x average gain / (average gain + average loss) with Wilder's smoothing; unknown "
        "until x moves (Wilder 1978).",
    ),
    Function(
        *("macd", _X, (_FAST, _SLOW), windows.macd),
        "Exponential average over `fast` bars less that over `slow` bars, both begun where the slow one begins (Appel "
        "1979).",
    ),
    Function(
        *("macd_signal", _X, (_FAST, _SLOW, _SIGNAL), windows.macd_signal),
        "Exponential average of macd over `signal` bars (Appel 1979).",
    ),
    Function(
        *("macd_histogram", _X, (_FAST, _SLOW, _SIGNAL), windows.macd_histogram),
        "macd less macd_signal (Appel 1979).",
    ),
    Function(
        *("stochastic_k", (), (Setting("period", 1, 14),), market.stochastic_k),
        "Where the close lies between the lowest low (0) and the highest high (100) of the last `period` bars, this "
        "one included; unknown where those are equal (Lane 1984).",
    ),
    Function(
        *("stochastic_d", (), (Setting("period", 1, 14), Setting("smooth", 1, 3)), market.stochastic_d),
        "Simple average of the last `smooth` values of stochastic_k (Lane 1984).",
    ),
    Function(
        *("cci", (), (_PERIOD_20,), market.cci),
        "Commodity channel index, (hlc3 - its average) / (0.015 x its mean absolute deviation) over `period` bars; "
        "unknown where they are equal (Lambert 1980).",
    ),
    Function(
        *("adx", (), (_PERIOD_14,), market.adx),
        "Average directional index, the strength of a trend in either direction from 0 to 100 (Wilder 1978).",
    ),
)

_WINDOWS = (
    Function(
        "highest", _X, (_PERIOD,), windows.highest, "Highest of the last `period` values of x, this one included."
    ),
    Function("lowest", _X, (_PERIOD,), windows.lowest, "Lowest of the last `period` values of x, this one included."),
    Function(
        *("stdev", _X, (_PERIOD_20,), windows.stdev),
        "Population standard deviation of the last `period` values of x.",
    ),
    Function(
        *("zscore", _X, (_PERIOD_20,), windows.zscore),
        "x less its average, in standard deviations, over the last `period` values; unknown where they are equal.",
    ),
    Function(
        *("bollinger_upper", _X, (_PERIOD_20, _DEVIATIONS), windows.bollinger_upper),
        "Average of the last `period` values of x plus `deviations` standard deviations (Bollinger 2001).",
    ),
    Function(
        *("bollinger_middle", _X, (_PERIOD_20,), windows.sma),
        "Average of the last `period` values of x, around which the bands lie (Bollinger 2001).",
    ),
    Function(
        *("bollinger_lower", _X, (_PERIOD_20, _DEVIATIONS), windows.bollinger_lower),
        "Average of the last `period` values of x less `deviations` standard deviations (Bollinger 2001).",
    ),
    Function(
        *("atr", (), (_PERIOD_14,), market.atr),
        "Average true range with Wilder's smoothing, in units of price (Wilder 1978).",
    ),
)

_STEPS = (
    Function("shift", _X, (Setting("bars", 0, 1),), steps.shift, "x as it was `bars` bars ago."),
    Function("change", _X, (_BARS,), steps.change, "x less what it was `bars` bars ago."),
    Function("percent_change", _X, (_BARS,), steps.percent_change, "100 x (x / what it was `bars` bars ago - 1)."),
    Function(
        *("crosses_above", _A_B, (), steps.crosses_above),
        "a is above b and was not at the bar before.",
        "condition",
    ),
    Function(
        *("crosses_below", _A_B, (), steps.crosses_below),
        "a is below b and was not at the bar before.",
        "condition",
    ),
    Function("rising", _X, (_BARS,), steps.rising, "x rose at each of the last `bars` bars.", "condition"),
    Function("falling", _X, (_BARS,), steps.falling, "x fell at each of the last `bars` bars.", "condition"),
)

_ARITHMETIC = (
    Function("abs", _X, (), steps.absolute, "x without its sign."),
    Function("min", _A_B, (), steps.lower, "The lower of a and b at the same bar."),
    Function("max", _A_B, (), steps.higher, "The higher of a and b at the same bar."),
)

FUNCTIONS: dict[str, Function] = {
    one.name: one for one in (*_AVERAGES, *_OSCILLATORS, *_WINDOWS, *_STEPS, *_ARITHMETIC)
}

# Those that remember all values there were, ever less: averages that are exponential or Wilder's.
RECURSIVE = frozenset({"ema", "rsi", "macd", "macd_signal", "macd_histogram", "atr", "adx"})
