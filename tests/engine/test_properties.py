"""What holds of every run, whatever the market, the configuration and the signals.

Markets have gaps, flat stretches and spikes; configurations use every rule; signals are arbitrary. Where a figure is
recomputed, it is from the trades alone.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shared.bars import Bars
from shared.reasons import Reason
from shared.strategies import NO_OPINION, StrategyUse, catalogue
from tests.engine.deciders import carried_over
from tests.engine.markets import flat, scripted, times
from tests.engine.runs import quick_uses, run
from worker.engine.config import EngineConfig
from worker.engine.delta import Outcome
from worker.engine.simulation import Simulation

BARS_MAX = 90
SIGNALS_CUT = 5  # signals of a run beside which it is cut
examples = settings(max_examples=120)


def market(total: int, seed: int, volatility: float, calm: float, wild: float) -> Bars:
    """A walk in which a share `calm` of bars stands still, and a share `wild` begins with a gap or holds a spike."""
    random = np.random.default_rng(seed)
    still = np.repeat(random.random(total) < calm, 3)[:total]  # so that stretches are flat, not only bars

    def some(of: float) -> NDArray[np.bool_]:
        return ~still & (random.random(total) < of)

    moves, gaps = random.normal(0.0, volatility, total), random.normal(0.0, 3.0 * volatility, total)
    moves[still], gaps[~some(wild)] = 0.0, 0.0
    close = 100.0 * np.exp(np.cumsum(moves + gaps))
    opened = close / np.exp(moves)
    opened[still] = close[still]
    reach = np.where(some(wild), 5.0, 0.5) * volatility * ~still
    high = np.maximum(opened, close) * (1.0 + reach * random.random(total))
    low = np.minimum(opened, close) / (1.0 + reach * random.random(total))
    return Bars(times(total), opened, high, low, close, np.ones(total))


def speech(total: int, seed: int, share: float) -> NDArray[np.int8]:
    """Signals at random: a share of bars has an opinion, of any kind."""
    random = np.random.default_rng(seed)
    said = random.choice(np.array([1, -1, 0], np.int8), total, p=[0.4, 0.4, 0.2])
    said[random.random(total) >= share] = NO_OPINION
    return said


SEEDS = st.integers(0, 10_000)
SHARES = st.sampled_from([0.0, 0.1, 0.4])
MARKETS = st.builds(
    market, st.integers(2, BARS_MAX), SEEDS, st.sampled_from([0.002, 0.02, 0.3]), calm=SHARES, wild=SHARES
)
VOICES = st.builds(speech, st.just(BARS_MAX), SEEDS, st.sampled_from([0.1, 0.5, 1.0]))


@st.composite
def levels(draw: st.DrawFn, name: str) -> dict[str, Any]:
    """No level, or one of a kind."""
    kinds = {"percent": [0.1, 2.0, 20.0], "distance": [0.25, 3.0, 150.0], "atr": [0.5, 2.0]}
    kind = draw(st.sampled_from(["", *kinds]))
    return {f"{name}_{kind}": draw(st.sampled_from(kinds[kind]))} if kind else {}


@st.composite
def configurations(draw: st.DrawFn) -> EngineConfig:
    """Any configuration that a request can ask for, near enough to the markets that its rules come into play."""
    leverage = draw(st.sampled_from([1.0, 3.0, 20.0]))
    stops = draw(levels("stop_loss")) | draw(levels("take_profit")) | draw(levels("trailing_stop"))
    sizes = {"equity_fraction": 0.0, "fixed_quantity": 30.0, "fixed_notional": 2_500.0, "risk_fraction": 0.01}
    modes = [mode for mode in sizes if mode != "risk_fraction" or any("stop" in name for name in stops)]
    mode: Any = draw(st.sampled_from(modes))
    return EngineConfig(
        position_size_percent=draw(st.sampled_from([0.02, 0.3, 1.0, leverage])) if mode == "equity_fraction" else 1.0,
        sizing_mode=mode,
        sizing_value=sizes[mode],
        max_open_trades=draw(st.sampled_from([1, 2, 7])),
        allow_short=draw(st.booleans()),
        commission_rate=draw(st.sampled_from([0.0, 0.001, 0.05])),
        commission_fixed=draw(st.sampled_from([0.0, 1.5])),
        commission_minimum=draw(st.sampled_from([0.0, 7.0])),
        slippage_bps=draw(st.sampled_from([0.0, 5.0, 200.0])),
        spread_bps=draw(st.sampled_from([0.0, 8.0])),
        fill_at=draw(st.sampled_from(["open", "close"])),
        intrabar=draw(st.sampled_from(["stop_first", "target_first", "ohlc_path"])),
        lot_size=draw(st.sampled_from([0.0, 0.25])),
        tick_size=draw(st.sampled_from([0.0, 0.5])),
        leverage=leverage,
        maintenance_margin=draw(st.sampled_from([0.0, 0.5])) / leverage,
        atr_period=draw(st.sampled_from([2, 9])),
        **stops,
    )


def without_costs(config: EngineConfig) -> EngineConfig:
    none: dict[str, Any] = {"commission_rate": 0.0, "commission_fixed": 0.0, "commission_minimum": 0.0}
    return dataclasses.replace(config, slippage_bps=0.0, spread_bps=0.0, tick_size=0.0, **none)


def left_open(bars: Bars, config: EngineConfig, *uses: StrategyUse) -> Outcome:
    """A run over all bars that leaves open what is open."""
    simulation = Simulation.start(bars, config, uses)
    simulation.advance(bars.total)
    return simulation.finish(close_open_trades=False)


def played(bars: Bars, config: EngineConfig, said: NDArray[np.int8]) -> Outcome:
    return run(bars, config, scripted(said[: bars.total]))


@dataclasses.dataclass(frozen=True)
class Ledger:
    """One row per trade, closed or open: what it did to cash and when. An open one exits after the last bar."""

    entry_bar: NDArray[np.int64]
    exit_bar: NDArray[np.int64]
    net: NDArray[np.float64]  # quantity, below zero for shorts
    entry_price: NDArray[np.float64]
    exit_price: NDArray[np.float64]
    entry_fee: NDArray[np.float64]
    exit_fee: NDArray[np.float64]

    @property
    def rounding(self) -> float:
        """How far sums of these values in another order may lie apart."""
        turnover = np.abs(self.net) * (self.entry_price + self.exit_price)
        return 1e-12 * (10_000.0 + float(turnover.sum()))

    def equity(self, close: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cash and positions at every bar's close."""
        bar = np.arange(close.shape[0])[:, None]
        entered, left = bar >= self.entry_bar, bar >= self.exit_bar
        paid = entered * (self.net * self.entry_price + self.entry_fee)
        received = left * (self.net * self.exit_price - self.exit_fee)
        held = (entered & ~left) * self.net * close[:, None]
        return 10_000.0 + (received - paid + held).sum(axis=1)


def fee_of(config: EngineConfig, value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(value * config.commission_rate + config.commission_fixed, config.commission_minimum)


def ledger_of(outcome: Outcome, config: EngineConfig, bars: Bars) -> Ledger:
    trades, still = outcome.trades, outcome.open_trades
    entry_fee = fee_of(config, trades.quantity * trades.entry_price)
    return Ledger(
        np.array([*trades.entry_bar, *(one.entry_bar for one in still)], np.int64),
        np.array([*trades.exit_bar, *(bars.total for _ in still)], np.int64),
        np.array([*(trades.direction * trades.quantity), *(one.direction * one.quantity for one in still)]),
        np.array([*trades.entry_price, *(one.entry_price for one in still)]),
        np.array([*trades.exit_price, *(0.0 for _ in still)]),
        np.array([*entry_fee, *(one.entry_fee for one in still)]),
        np.array([*(trades.fees - entry_fee), *(0.0 for _ in still)]),
    )


@examples
@given(
    bars=MARKETS,
    config=configurations(),
    cuts=st.lists(st.integers(0, BARS_MAX), max_size=5),
    combine=st.sampled_from(["any", "all", "majority", "weighted"]),
)
def test_any_split_with_positions_between_gives_the_same_hash(
    bars: Bars, config: EngineConfig, cuts: list[int], combine: Any
) -> None:
    config = dataclasses.replace(config, combine=combine, weights=(2.0, 3.0))
    simulation = Simulation.start(bars, config, quick_uses())
    for cut in cuts:
        simulation.advance(cut)
        simulation = carried_over(simulation, bars)
    simulation.advance(bars.total)
    assert simulation.finish().result_hash == run(bars, config, *quick_uses()).result_hash


@examples
@given(bars=MARKETS, config=configurations(), said=VOICES)
def test_equity_stands_still_without_a_price_move_a_trade_or_a_fee(
    bars: Bars, config: EngineConfig, said: NDArray[np.int8]
) -> None:
    outcome = played(bars, config, said)
    traded = np.zeros(bars.total, np.bool_)
    traded[outcome.trades.entry_bar] = traded[outcome.trades.exit_bar] = True
    exposed = np.zeros(bars.total, np.bool_)
    for entry, left in zip(outcome.trades.entry_bar, outcome.trades.exit_bar, strict=True):
        exposed[entry : left + 1] = True
    moved = np.diff(bars.close, prepend=100.0) != 0.0
    still = ~traded & ~(exposed & moved)
    before = np.concatenate([[10_000.0], outcome.equity[:-1]])
    assert (outcome.equity[still] == before[still]).all()


@examples
@given(bars=MARKETS, config=configurations(), said=VOICES, close_open_trades=st.booleans())
def test_cash_and_positions_are_equity_at_every_bar(
    bars: Bars, config: EngineConfig, said: NDArray[np.int8], close_open_trades: bool
) -> None:
    outcome = played(bars, config, said)
    if not close_open_trades:
        outcome = left_open(bars, config, scripted(said[: bars.total]))
    ledger = ledger_of(outcome, config, bars)
    assert outcome.equity == pytest.approx(ledger.equity(bars.close), rel=1e-12, abs=ledger.rounding)


@examples
@given(bars=MARKETS, config=configurations(), said=VOICES)
def test_fees_are_what_was_agreed_and_add_up(bars: Bars, config: EngineConfig, said: NDArray[np.int8]) -> None:
    outcome = played(bars, config, said)
    trades = outcome.trades
    assert (trades.fees >= 0.0).all()
    sides = fee_of(config, trades.quantity * trades.entry_price) + fee_of(config, trades.quantity * trades.exit_price)
    assert trades.fees == pytest.approx(sides, rel=1e-12)
    assert outcome.metrics["totalFees"] == pytest.approx(float(trades.fees.sum()), rel=1e-12)


@examples
@given(bars=MARKETS, config=configurations().map(without_costs), said=VOICES)
def test_without_costs_a_fill_is_at_its_price_and_inside_its_bar(
    bars: Bars, config: EngineConfig, said: NDArray[np.int8]
) -> None:
    outcome = played(bars, config, said)
    trades = outcome.trades
    market_price = bars.close if config.fill_at == "close" else bars.open
    assert (trades.entry_price == market_price[trades.entry_bar]).all()
    assert (trades.exit_price >= bars.low[trades.exit_bar]).all()
    assert (trades.exit_price <= bars.high[trades.exit_bar]).all()
    ordered = np.isin(trades.exit_reason, [Reason.SIGNAL, Reason.REVERSAL])
    assert (trades.exit_price[ordered] == market_price[trades.exit_bar[ordered]]).all()
    ended = trades.exit_reason == Reason.END_OF_DATA
    assert (trades.exit_price[ended] == bars.close[-1]).all()


@examples
@given(bars=MARKETS, config=configurations().map(without_costs), said=VOICES, leverage=st.sampled_from([3.0, 20.0]))
def test_a_liquidation_leaves_the_maintenance_margin_or_happens_at_a_worse_open(
    bars: Bars, config: EngineConfig, said: NDArray[np.int8], leverage: float
) -> None:
    config = dataclasses.replace(config, leverage=leverage, maintenance_margin=0.5 / leverage)
    outcome = played(bars, config, said)
    trades = outcome.trades
    liquidated = trades.exit_reason == Reason.LIQUIDATION
    for bar in np.unique(trades.exit_bar[liquidated]):
        at = liquidated & (trades.exit_bar == bar)
        [price] = np.unique(trades.exit_price[at])
        # Without costs nothing that is bought afterwards at this close changes equity.
        left, margin = outcome.equity[bar], config.maintenance_margin * trades.quantity[at].sum() * price
        rounding = ledger_of(outcome, config, bars).rounding
        if price == bars.open[bar]:
            assert left <= margin + rounding
        else:
            assert left == pytest.approx(margin, rel=1e-9, abs=rounding)


@pytest.mark.parametrize("strategy", [one for one in catalogue() if one.form == "signals"], ids=lambda one: one.id)
@settings(max_examples=10)
@given(
    bars=st.builds(market, st.integers(60, 160), SEEDS, st.just(0.02), calm=SHARES, wild=SHARES),
    config=configurations(),
    share=st.floats(0.0, 1.0),
)
def test_the_first_bars_of_a_run_do_not_know_of_those_to_come(
    strategy: Any, bars: Bars, config: EngineConfig, share: float
) -> None:
    use = strategy.use({}, strategy.id)
    whole = left_open(bars, config, use)
    ledger = ledger_of(whole, config, bars)
    spoken = np.flatnonzero(use.signals(bars) != NO_OPINION)[:SIGNALS_CUT]
    # A cut beside a signal is where a look ahead would show.
    for until in {round(share * bars.total), *spoken.tolist(), *(spoken + 1).tolist()}:
        part = left_open(bars.first(until), config, use)
        assert part.equity.tobytes() == whole.equity[:until].tobytes()
        before = whole.trades.exit_bar < until
        assert [column.tobytes() for column in part.trades] == [column[before].tobytes() for column in whole.trades]
        assert len(part.open_trades) == np.sum((ledger.entry_bar < until) & (ledger.exit_bar >= until))


@examples
@given(config=configurations(), said=VOICES)
def test_a_flat_market_earns_exactly_minus_its_fees(config: EngineConfig, said: NDArray[np.int8]) -> None:
    config = dataclasses.replace(config, slippage_bps=0.0, spread_bps=0.0, tick_size=0.0)
    bars = flat(BARS_MAX)
    outcome = played(bars, config, said)
    trades = outcome.trades
    assert (trades.pnl == -trades.fees).all()
    entered = np.arange(BARS_MAX)[:, None] >= trades.entry_bar
    left = np.arange(BARS_MAX)[:, None] >= trades.exit_bar
    fee = trades.fees / 2.0  # a flat market charges both sides alike
    paid = ((entered * fee) + (left * fee)).sum(axis=1)
    assert outcome.equity == pytest.approx(10_000.0 - paid, rel=1e-12, abs=ledger_of(outcome, config, bars).rounding)


@examples
@given(bars=MARKETS, config=configurations(), said=VOICES, power=st.sampled_from([-20, -1, 1, 13]))
def test_another_unit_of_price_and_quantity_changes_no_bit_of_equity(
    bars: Bars, config: EngineConfig, said: NDArray[np.int8], power: int
) -> None:
    """Powers of two are exact, so nothing but a constant in a unit of price or quantity could make a difference."""
    factor = 2.0**power
    prices = ("tick_size", "stop_loss_distance", "take_profit_distance", "trailing_stop_distance")
    scaled = {name: getattr(config, name) * factor for name in prices} | {"lot_size": config.lot_size / factor}
    if config.sizing_mode == "fixed_quantity":
        scaled["sizing_value"] = config.sizing_value / factor
    wide = bars._replace(**{name: getattr(bars, name) * factor for name in ("open", "high", "low", "close")})
    ours, theirs = played(bars, config, said), played(wide, dataclasses.replace(config, **scaled), said)
    assert ours.equity.tobytes() == theirs.equity.tobytes()
    assert (ours.trades.quantity == theirs.trades.quantity * factor).all()
    assert (ours.trades.exit_price == theirs.trades.exit_price / factor).all()
    assert (ours.trades.exit_reason == theirs.trades.exit_reason).all()


def test_the_drawn_runs_reach_every_rule() -> None:
    """Guards the properties above: a rule that no draw reaches would hold of nothing."""
    seen: set[int] = set()
    totals = {"trades": 0, "unfilled": 0, "ambiguous": 0}

    @settings(max_examples=500)
    @given(bars=MARKETS, config=configurations(), said=VOICES)
    def look(bars: Bars, config: EngineConfig, said: NDArray[np.int8]) -> None:
        assume(bars.total > 10)
        outcome = played(bars, config, said)
        seen.update(outcome.trades.exit_reason.tolist())
        totals["trades"] += outcome.trades.total
        totals["unfilled"] += int(outcome.metrics["unfilledOrders"] or 0)
        totals["ambiguous"] += int(outcome.metrics["ambiguousBars"] or 0)

    look()
    assert seen >= set(Reason) - {Reason.STOPPED_BY_USER}
    assert min(totals.values()) > 20
    assert totals["trades"] > 1_000
