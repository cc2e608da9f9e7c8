"""What the answers about a result look like, for /docs. They are built by hand; tests hold them against them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.routes.answers import Answer

_MS = "When the bar of each opens, milliseconds since 1970."


class EquityCurves(Answer):
    """Curves of the run, one entry for each point."""

    time: list[int] = Field(description=_MS)
    equity: list[float | None] = Field(description="Cash and open trades at the bar's close, money.")
    drawdown: list[float | None] = Field(description="Equity below its highest point so far, a fraction, at most 0.")
    buy_and_hold: list[float | None] | None = Field(
        description="The initial capital, held in the symbol since the first bar, money; null where the bars are gone."
    )
    exposure: list[float | None] | None = Field(
        description="Value of open trades / equity; null where the bars are gone, or trades were left open at the end."
    )


class MonthReturn(Answer):
    """Of one month (UTC)."""

    year: int = Field(description="Which.", examples=[2024])
    month: int = Field(ge=1, le=12, description="Which.")
    return_: float | None = Field(alias="return", description="A fraction; null once equity was not above zero.")


class YearReturn(Answer):
    """Of one year (UTC)."""

    year: int = Field(description="Which.", examples=[2024])
    return_: float | None = Field(alias="return", description="A fraction; null once equity was not above zero.")


class Bins(Answer):
    """How many trades are in each bin; both empty without a trade."""

    edges: list[float] = Field(description="Of the bins, one more than there are: multiples of their width.")
    counts: list[int] = Field(description="How many trades are from an edge to below the next.")


class RollingSharpe(Answer):
    """The Sharpe ratio of the last days, one entry for each window."""

    time: list[int] = Field(description="When the last bar of each opens, milliseconds since 1970.")
    value: list[float | None] = Field(description="Annualised; null where returns do not vary.")
    window_returns: int = Field(description="How many returns between day ends a window has.")
    window_days: int = Field(description="How many days that are, about.")


class Excursions(Answer):
    """How far prices went while trades were open, one entry for each trade: fractions of the entry price."""

    mae: list[float] = Field(description="Furthest against it, at most 0.")
    mfe: list[float] = Field(description="Furthest for it, at least 0.")
    return_: list[float | None] = Field(alias="return", description="Gain after fees / entry value, a fraction.")
    index: list[int] = Field(description="Number of the trade in the order they were closed, from 0.")
    total: int = Field(
        ge=0, description="How many trades there are: of more than 5,000 the outermost, and some between."
    )


class ExitGroup(Answer):
    """Trades that closed for one reason."""

    reason: str = Field(description="Which.", examples=["stop_loss"])
    count: int = Field(description="How many.")
    pnl: float | None = Field(description="Sum of what they gained after fees, money.")


class SideGroup(Answer):
    """Trades of one side."""

    side: Literal["long", "short"] = Field(description="Which.")
    trades: int = Field(description="How many.")
    wins: int = Field(description="How many of them gained.")
    pnl: float | None = Field(description="Sum of what they gained after fees, money.")


class WeekdayGroup(Answer):
    """Trades that were entered on one day of the week (UTC)."""

    key: Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"] = Field(
        description="Which."
    )
    trades: int = Field(description="How many.")
    pnl: float | None = Field(description="Sum of what they gained after fees, money.")


class HourGroup(Answer):
    """Trades that were entered in one hour of the day (UTC)."""

    key: int = Field(ge=0, le=23, description="Which.")
    trades: int = Field(description="How many.")
    pnl: float | None = Field(description="Sum of what they gained after fees, money.")


class Streaks(Answer):
    """Most trades in a row, in the order they were closed."""

    longest_winning: int = Field(description="That each gained.")
    longest_losing: int = Field(description="That each lost.")


class AmbiguousBar(Answer):
    """A bar in which one trade reached both its target and its stop or liquidation."""

    time: int = Field(description="When it opens, milliseconds since 1970.")


class AmbiguousBars(Answer):
    """Bars in which the order of things is a guess."""

    items: list[AmbiguousBar] | None = Field(description="At most 1,000 of them; null where it is not known which.")
    total: int | None = Field(description="How many the run counted.")


class Analysis(Answer):
    """What a page draws of a result. Formulas and sources: docs/metrics.md."""

    backtest_id: str = Field(description="Which backtest.", examples=["bt_01m7xy1ymv1kn41cwsxzn6z2tf"])
    result_hash: str = Field(description="Of the result that it was computed of.")
    points: int = Field(description="`maxPoints` as asked for.")
    equity: EquityCurves = Field(description="At most so many points, the lowest of the drawdown among them.")
    monthly: list[MonthReturn] = Field(description="In order of time; they compound to the total return.")
    yearly: list[YearReturn] = Field(description="In order of time; they compound to the total return.")
    returns_histogram: Bins = Field(description="Of the trades' returns after fees, fractions.")
    hold_histogram: Bins = Field(description="Of how many bars trades were held.")
    rolling_sharpe: RollingSharpe | None = Field(description="Null where there are fewer than 20 daily returns.")
    excursions: Excursions | None = Field(description="Null where the bars are gone.")
    trades_by_exit: list[ExitGroup] = Field(description="By why they closed.")
    by_side: list[SideGroup] = Field(description="Long, and short.")
    by_weekday: list[WeekdayGroup] = Field(description="Monday first.")
    by_hour: list[HourGroup] = Field(description="All 24.")
    streaks: Streaks = Field(description="Of trades that gained, and that lost.")
    ambiguous_bars: AmbiguousBars = Field(description="Where it is a guess whether stop or target came first.")
