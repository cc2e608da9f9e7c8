"""The strategy of the catalogue that asks a language model."""

from __future__ import annotations

from shared.bars import Bars
from shared.strategies.strategy import Columns, Strategy
from shared.trader.indicators import compute_indicators
from shared.trader.parameters import AiTraderParameters
from shared.trader.prompt import inquire


def ai_trader_indicators(bars: Bars, params: AiTraderParameters) -> Columns:
    return compute_indicators(bars, params.indicators)


STRATEGY = Strategy(
    id="ai_trader",
    name="AI trader",
    description="Long, short or flat as a language model decides that is shown prices, indicators and the account.",
    parameters=AiTraderParameters,
    inquire=inquire,
    aliases=("ai",),
    indicators=ai_trader_indicators,
)
