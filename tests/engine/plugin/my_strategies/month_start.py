from backfleet import Bars, Parameters, Signals, Strategy, told_once
from pydantic import Field


class MonthStartParameters(Parameters):
    days: int = Field(3, ge=1, le=28, description="Days of the month to be long.")


def signals(bars: Bars, params: MonthStartParameters) -> Signals:
    day = bars.time_ms.astype("datetime64[ms]").astype("datetime64[D]")
    first_days = (day - day.astype("datetime64[M]")).astype(int) < params.days
    return told_once(first_days.astype("int8"))


STRATEGY = Strategy("month_start", "Month start", "Long in a month's first days.", MonthStartParameters, signals)
