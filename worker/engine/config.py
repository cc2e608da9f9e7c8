"""The configuration of a run, as plain numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.profiles import Profile
from shared.request import BacktestParams, FillAt, Intrabar, Level, SizingMode
from shared.strategies.signals import Combination
from worker.engine import layout as at

_SIZING: dict[SizingMode, int] = {
    "equity_fraction": at.EQUITY_FRACTION,
    "fixed_quantity": at.FIXED_QUANTITY,
    "fixed_notional": at.FIXED_NOTIONAL,
    "risk_fraction": at.RISK_FRACTION,
}
_INTRABAR: dict[Intrabar, int] = {
    "stop_first": at.STOP_FIRST,
    "target_first": at.TARGET_FIRST,
    "ohlc_path": at.OHLC_PATH,
}
_WHOLE_MAX = 10**22  # the largest power of ten that float64 holds


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How orders are sized, filled and charged. Checked where the request came in, not here.

    A level has at most one of its three sizes above zero: percent of the price, a distance, or average true ranges.
    """

    initial_capital: float = 10_000.0
    position_size_percent: float = 1.0  # share of equity per trade: 0.02 is 2 %
    max_open_trades: int = 1
    allow_short: bool = False
    stop_loss_percent: float = 0.0
    take_profit_percent: float = 0.0
    commission_rate: float = 0.0  # share of the traded value, per side
    slippage_bps: float = 0.0
    combine: Combination = "any"
    stop_loss_distance: float = 0.0
    stop_loss_atr: float = 0.0
    take_profit_distance: float = 0.0
    take_profit_atr: float = 0.0
    trailing_stop_percent: float = 0.0
    trailing_stop_distance: float = 0.0
    trailing_stop_atr: float = 0.0
    atr_period: int = 14
    commission_fixed: float = 0.0  # per side
    commission_minimum: float = 0.0  # per side
    spread_bps: float = 0.0
    fill_at: FillAt = "open"
    intrabar: Intrabar = "stop_first"
    sizing_mode: SizingMode = "equity_fraction"
    sizing_value: float = 0.0  # of the other modes; equity_fraction has position_size_percent
    lot_size: float = 0.0
    tick_size: float = 0.0
    leverage: float = 1.0
    maintenance_margin: float = 0.0  # share of exposure
    weights: tuple[float, ...] = ()  # one per strategy where combine is weighted
    profile: Profile = "backfleet"
    close_at_end: bool = True
    use_stop_orders: bool = True  # whether a stop that a strategy decided counts; levels above are those that do
    use_take_profits: bool = True
    periods_per_year: float = 0.0  # 0: as many as are seen

    @classmethod
    def from_params(cls, params: BacktestParams) -> EngineConfig:
        return cls(
            initial_capital=params.initial_capital,
            position_size_percent=params.position_size_percent,
            max_open_trades=params.max_open_trades,
            allow_short=params.allow_short,
            commission_rate=params.commission.rate,
            slippage_bps=params.slippage_bps,
            combine=params.combine,
            atr_period=params.atr_period,
            commission_fixed=params.commission.fixed,
            commission_minimum=params.commission.minimum,
            spread_bps=params.spread_bps,
            fill_at=params.fill_at,
            intrabar=params.intrabar,
            sizing_mode=params.sizing.mode if params.sizing else "equity_fraction",
            sizing_value=params.sizing.value if params.sizing else 0.0,
            lot_size=params.lot_size,
            tick_size=params.tick_size,
            leverage=params.leverage,
            maintenance_margin=params.maintenance_margin,
            weights=tuple(params.weights[name] for name in params.strategies) if params.weights else (),
            profile=params.profile,
            close_at_end=params.closes_at_end,
            use_stop_orders=params.use_stop_orders,
            use_take_profits=params.use_take_profits,
            periods_per_year=params.periods_per_year or 0.0,
            **_sizes(params.levels),
        )

    @property
    def needs_true_range(self) -> bool:
        return max(self.stop_loss_atr, self.take_profit_atr, self.trailing_stop_atr) > 0.0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def terms(self) -> NDArray[np.float64]:
        """The kernel's view of this configuration, float64[TERM_SLOTS]."""
        terms = np.empty(at.TERM_SLOTS)
        by_equity = self.sizing_mode == "equity_fraction"
        terms[at.SIZING_MODE] = _SIZING[self.sizing_mode]
        terms[at.SIZING_VALUE] = self.position_size_percent if by_equity else self.sizing_value
        terms[at.MAX_OPEN_TRADES] = self.max_open_trades
        terms[at.ALLOW_SHORT] = self.allow_short
        terms[at.STOP_KIND], terms[at.STOP_SIZE] = _level(
            self.stop_loss_percent, self.stop_loss_distance, self.stop_loss_atr
        )
        terms[at.TARGET_KIND], terms[at.TARGET_SIZE] = _level(
            self.take_profit_percent, self.take_profit_distance, self.take_profit_atr
        )
        terms[at.TRAIL_KIND], terms[at.TRAIL_SIZE] = _level(
            self.trailing_stop_percent, self.trailing_stop_distance, self.trailing_stop_atr
        )
        terms[at.FEE_RATE] = self.commission_rate
        terms[at.FEE_FIXED] = self.commission_fixed
        terms[at.FEE_MINIMUM] = self.commission_minimum
        terms[at.FILL_AT_CLOSE] = self.fill_at == "close"
        terms[at.LOT_UNITS], terms[at.LOT_SCALE] = _grid(self.lot_size)
        terms[at.TICK_UNITS], terms[at.TICK_SCALE] = _grid(self.tick_size)
        terms[at.LEVERAGE] = self.leverage
        terms[at.MAINTENANCE_SHARE] = self.maintenance_margin
        terms[at.OPENS_BEFORE_BAR] = np.inf
        terms[at.ORDER_SIZE : at.ORDER_TARGET + 1] = 0.0
        self._set_rules(terms)
        return terms

    def _set_rules(self, terms: NDArray[np.float64]) -> None:
        """Whose rules the fills follow; see `shared.profiles`."""
        slippage, spread = self.slippage_bps / 10_000.0, self.spread_bps / 10_000.0
        market = slippage + spread / 2.0
        costs, rules = {
            "backfleet": ((market, market, market, 0.0), (at.BY_EXPOSURE, at.FROM_FILL, 0, 0, 0)),
            "backtesting.py": ((spread, 0.0, 0.0, 0.0), (at.BY_WHOLE_UNITS, at.FROM_DECIDING_CLOSE, 0, 0, 1)),
            "vectorbt": ((slippage, slippage, 0.0, 0.0), (at.BY_CASH, at.FROM_ENTRY_CLOSE, 1, 1, 0)),
            "backtrader": ((slippage,) * 4, (at.BY_DECISION, at.FROM_DECIDING_CLOSE, 1, 0, 0)),
        }[self.profile]
        terms[at.ENTRY_COST_SHARE : at.TARGET_GAP_COST_SHARE + 1] = costs
        terms[at.SIZE_RULE : at.ASKS_FROM_SECOND_BAR + 1] = rules
        terms[at.INTRABAR] = _INTRABAR[self.intrabar] if self.profile == "backfleet" else at.STOP_BEFORE_GAP


def _sizes(levels: dict[str, Level]) -> dict[str, Any]:
    given = {name: level.model_dump(exclude_none=True) for name, level in levels.items()}
    return {f"{name}_{kind}": size for name, sizes in given.items() for kind, size in sizes.items()}


def _grid(step: float) -> tuple[float, float]:
    """A lot or a tick as units and scale: the fraction its digits say, where whole float64 hold it, else over one."""
    written = Fraction(repr(step))
    exact = max(written.numerator, written.denominator) <= _WHOLE_MAX
    units, scale = (float(written.numerator), float(written.denominator)) if exact else (step, 1.0)
    return (units, scale) if Fraction(units) / Fraction(scale) == written else (step, 1.0)


def _level(percent: float, distance: float, true_ranges: float) -> tuple[int, float]:
    if percent > 0.0:
        return at.SHARE_OF_PRICE, percent / 100.0
    if distance > 0.0:
        return at.PRICE_DISTANCE, distance
    return (at.TRUE_RANGES, true_ranges) if true_ranges > 0.0 else (at.NO_LEVEL, 0.0)
