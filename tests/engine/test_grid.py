"""Ticks and lots: what is on the grid in decimal digits stays what it is, what is not goes to the digits beside it."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tests.engine.markets import bars_of, flat, scripted
from tests.engine.runs import run
from worker.engine import layout as at
from worker.engine.config import EngineConfig
from worker.engine.fills import level_nb, market_fill_nb, size_by_exposure_nb

STEPS = ["0.01", "0.001", "0.05", "0.25", "0.3", "1e-8", "1", "2.5", "12345.678", "7e-12"]
EXPONENTS = st.integers(-8, 3)


def fill(price: float, side: int, tick: float, slippage_bps: float = 0.0) -> float:
    terms = EngineConfig(tick_size=tick, slippage_bps=slippage_bps).terms()
    return float(market_fill_nb(terms, price, side, at.ENTRY_COST_SHARE))


def bought(quantity: float, lot: float) -> float:
    config = EngineConfig(
        initial_capital=1e15, sizing_mode="fixed_quantity", sizing_value=quantity, lot_size=lot, leverage=125.0
    )
    state = np.zeros(at.STATE_SLOTS)
    state[at.CASH] = config.initial_capital
    return float(size_by_exposure_nb(state, config.terms(), 1.0, 1.0, np.inf))


@given(step=st.sampled_from(STEPS), steps=st.integers(1, 10**11), side=st.sampled_from([1, -1]))
@example(step="0.01", steps=115, side=1)
@example(step="0.001", steps=65_000_001, side=-1)
@example(step="0.001", steps=20_000_003, side=1)
@example(step="1e-8", steps=29_000_000, side=-1)
def test_what_is_on_the_grid_stays_there(step: str, steps: int, side: int) -> None:
    written = Decimal(step) * steps
    assume(len(written.normalize().as_tuple().digits) <= 15)  # which float64 always holds
    on_grid = float(written)
    assert fill(on_grid, side, float(step)) == on_grid
    assert bought(on_grid, float(step)) == on_grid


@given(digits=st.integers(1, 10**12), exponent=EXPONENTS, step=st.sampled_from(STEPS), side=st.sampled_from([1, -1]))
def test_what_is_not_goes_to_the_multiple_beside_it(digits: int, exponent: int, step: str, side: int) -> None:
    price = Decimal(digits).scaleb(exponent - 9)
    tick = Decimal(step)
    steps = price / tick
    assume(1 <= steps < 10**11)
    assume(len((tick * int(steps)).normalize().as_tuple().digits) <= 14)
    beside = {1: steps.to_integral_value(ROUND_CEILING), -1: steps.to_integral_value(ROUND_FLOOR)}
    assert fill(float(price), side, float(tick)) == float(beside[side] * tick)
    assert bought(float(price), float(tick)) == float(beside[-1] * tick)


def test_a_step_that_no_two_whole_numbers_hold_is_a_step_all_the_same() -> None:
    for step in (0.1234567890123456789, 1e-30, 5e-324, 3.0000000000000004):
        terms = EngineConfig(tick_size=step).terms()
        assert terms[at.TICK_UNITS] / terms[at.TICK_SCALE] == pytest.approx(step, rel=1e-15)
        assert level_nb(terms, at.PRICE_DISTANCE, 0.0, 7.0, 1.0) == pytest.approx(7.0, rel=0.3)


def test_a_fill_is_never_above_the_high_for_the_digits_of_its_tick() -> None:
    bars = bars_of([(1.15, 1.15, 1.15, 1.15)] * 4)
    config = EngineConfig(tick_size=0.01, lot_size=0.1, sizing_mode="fixed_quantity", sizing_value=0.3)
    [row] = run(bars, config, scripted({0: 1, 1: 0})).trades.as_rows()
    assert (row["entry_price"], row["exit_price"], row["quantity"]) == (1.15, 1.15, 0.3)


def test_a_size_of_satoshis_loses_none() -> None:
    config = EngineConfig(lot_size=1e-8, sizing_mode="fixed_quantity", sizing_value=0.29)
    assert run(flat(4), config, scripted({0: 1})).trades.quantity.tolist() == [0.29]
    sizes = [round(hundredths / 100, 2) for hundredths in range(1, 301)]
    assert [bought(size, 1e-8) for size in sizes] == sizes
