"""How the best-known programs define a figure otherwise, and what each definition gives for the same run.

A test runs the programs and holds both values against what stands here.
"""

from __future__ import annotations

from typing import NamedTuple

EXAMPLE = """The same name does not mean the same figure in every program. Where backtesting.py 0.6.6 or vectorbt 1.2
defines one otherwise, it is said how, with both values of one run: the daily bars of IBM from `make demo`,
`sma_crossover` with 10 and 30 bars, shorts, 0.1 % commission and a capital of a million, under the profile of that
program, which makes the trades the same. What is not named means the same there, or is not there."""


class Elsewhere(NamedTuple):
    """What `called` is in `program`, and the values of the example, in four digits: by our definition and by theirs."""

    program: str
    called: str
    how: str
    ours: str
    theirs: str

    def sentence(self) -> str:
        return (
            f"- {self.program} `{self.called}`: {self.how}. On the example {self.theirs}, by the definition here "
            f"{self.ours}."
        )


BACKTESTING_PY = "backtesting.py"
VECTORBT = "vectorbt"
_YEAR_OF_BARS = "365 days of bars make a year, also where shares trade on 252"

ELSEWHERE: dict[str, tuple[Elsewhere, ...]] = {
    "cagr": (
        Elsewhere(
            BACKTESTING_PY,
            "Return (Ann.) [%]",
            "the geometric mean of day returns to the power of 252 (365 with weekends); its `CAGR [%]` is the one here",
            "3.579",
            "3.587",
        ),
        Elsewhere(VECTORBT, "annualized_return()", f"a share, not percent; {_YEAR_OF_BARS}", "3.193", "0.04666"),
    ),
    "volatility": (
        Elsewhere(
            BACKTESTING_PY,
            "Volatility (Ann.) [%]",
            "that of returns compounded over a year, which grows with their mean",
            "24.88",
            "26.2",
        ),
        Elsewhere(VECTORBT, "annualized_volatility()", f"a share, not percent; {_YEAR_OF_BARS}", "24.99", "0.301"),
    ),
    "sharpeRatio": (
        Elsewhere(
            BACKTESTING_PY, "Sharpe Ratio", "`Return (Ann.)` / `Volatility (Ann.)`, both compounded", "0.2653", "0.1369"
        ),
        Elsewhere(VECTORBT, "sharpe_ratio()", _YEAR_OF_BARS, "0.2502", "0.3015"),
    ),
    "sortinoRatio": (
        Elsewhere(
            BACKTESTING_PY,
            "Sortino Ratio",
            "`Return (Ann.)`, compounded, instead of the mean",
            "0.3882",
            "0.2107",
        ),
        Elsewhere(VECTORBT, "sortino_ratio()", _YEAR_OF_BARS, "0.3668", "0.4419"),
    ),
    "calmarRatio": (
        Elsewhere(
            BACKTESTING_PY, "Calmar Ratio", "`Return (Ann.)` instead of growth by the calendar", "0.07751", "0.07768"
        ),
        Elsewhere(VECTORBT, "calmar_ratio()", _YEAR_OF_BARS, "0.06345", "0.09273"),
    ),
    "maxDrawdownDuration": (
        Elsewhere(
            VECTORBT, "stats()['Max Drawdown Duration']", "bars times their distance, not calendar time", "3796", "2615"
        ),
    ),
    "alpha": (
        Elsewhere(
            BACKTESTING_PY,
            "Alpha [%]",
            "total return less beta x buy and hold, over the whole run and not a year",
            "8.021",
            "77.01",
        ),
        Elsewhere(VECTORBT, "alpha()", f"a share, compounded over a year; {_YEAR_OF_BARS}", "7.77", "0.1194"),
    ),
    "beta": (Elsewhere(BACKTESTING_PY, "Beta", "of logarithmic returns of bars", "-0.1346", "-0.1382"),),
    "profitFactor": (
        Elsewhere(BACKTESTING_PY, "Profit Factor", "sums returns of trades, not money", "1.122", "1.281"),
    ),
    "averageTrade": (
        Elsewhere(
            BACKTESTING_PY,
            "Avg. Trade [%]",
            "the geometric mean; its `Expectancy [%]` is the one here",
            "0.5738",
            "0.3674",
        ),
    ),
    "averageHolding": (Elsewhere(BACKTESTING_PY, "Avg. Trade Duration", "rounded up to whole bars", "37.28", "38"),),
    "kelly": (Elsewhere(BACKTESTING_PY, "Kelly Criterion", "a share, not percent", "4.32", "0.0432"),),
    "totalFees": (
        Elsewhere(
            BACKTESTING_PY,
            "Commissions [$]",
            "leaves the entry of a trade that is still open out",
            "4.488e+05",
            "4.472e+05",
        ),
    ),
    "exposure": (
        Elsewhere(
            BACKTESTING_PY,
            "Exposure Time [%]",
            "leaves a trade that is still open out, and counts the bar at whose open one was closed",
            "98.9",
            "98.87",
        ),
        Elsewhere(VECTORBT, "position_coverage()", "a share; bars at whose close a position is held", "98.9", "0.9893"),
    ),
}
