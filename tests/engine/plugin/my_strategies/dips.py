from backfleet import Parameters, Strategy, View
from pydantic import Field


class DipsParameters(Parameters):
    every: int = Field(4, ge=1, le=500, description="Bars from one decision to the next.")


def decide(view: View) -> int | None:
    if view.open_trades and view.bar - view.open_trades[0].entry_bar >= 20:
        return 0
    return 1 if view.bars.close[-1] < view.bars.close[-10:].mean() else None


STRATEGY = Strategy("dips", "Dips", "Buys dips and holds them for 20 bars.", DipsParameters, decide=decide)
