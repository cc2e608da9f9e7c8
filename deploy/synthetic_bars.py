"""Minutes that no market ever traded, for whoever has no data yet: a walk that changes between regimes.

Every minute draws three 64-bit numbers of PCG64, whose raw stream NumPy promises never to change:

- With probability 1/720 the regime is drawn anew: calm, rising, falling or turbulent, with chances 3 : 1 : 1 : 1. That
  makes it a Markov chain, which stays half a day before the next draw on average.
- The close is the close before times 1 + drift + spread * z, where drift and spread are the regime's and z is the sum
  of eight 16-bit uniform numbers less its mean, divided by its standard deviation: nearly normal, within 4.9 of zero.
- High and low reach beyond open and close by up to half a spread each, a uniform share of it.
- Volume is the regime's activity times a curve over the day that is lowest at noon UTC and three times that at
  midnight, times 1 + |z|.

There is no exponential and no logarithm in it, which differ in their last bit from one machine to another: only what
IEEE 754 lays down to the bit, one operation after the other. Prices are rounded to a tick of 0.01, volumes to 0.001.
Fewer bars are the beginning of more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shared.bars import Bars
from shared.candles.files.parsing import ParsedSeries
from shared.errors import InvalidRequest

SYMBOL = "DEMO-1M"
BARS_DEFAULT = 500_000
BARS_MAX = 2_630_880  # the minutes of 2020 to 2024
SEED = 1

_START_MS = 1_577_836_800_000  # 2020-01-01T00:00Z
_MINUTE_MS = 60_000
_DAY_MINUTES = 1_440
_START_PRICE = 1_000.0
_PER_TICK, _PER_LOT = 100.0, 1_000.0
_CHANGES_EVERY = 720
# Calm, rising, falling, turbulent; of six equal chances calm has three.
_CHANCES = np.array([0, 0, 0, 1, 2, 3])
_DRIFT = np.array([0.0, 2e-5, -2e-5, 0.0])
_SPREAD = np.array([2e-4, 3e-4, 3e-4, 1e-3])
_ACTIVITY = np.array([2.0, 3.0, 3.0, 8.0])
_Z_MEAN, _Z_DEVIATION = 8 * 32_767.5, np.sqrt(8 * (65_536.0**2 - 1) / 12)


def synthetic_series(bars: int = BARS_DEFAULT, seed: int = SEED) -> ParsedSeries:
    """`DEMO-1M`, interval 1m, from 2020-01-01 on: the same bytes on every machine for the same number and seed.

    Raises `InvalidRequest` for fewer bars than one or more than `BARS_MAX`.
    """
    if not 1 <= bars <= BARS_MAX:
        raise InvalidRequest.of("--bars", f"{bars} is not between 1 and {BARS_MAX}, the minutes of 2020 to 2024")
    raw = np.random.PCG64(seed).random_raw(3 * bars).reshape(bars, 3)
    words = raw.astype("<u8").view("<u2").reshape(bars, 12).astype(np.float64)
    z = (words[:, :8].sum(axis=1) - _Z_MEAN) / _Z_DEVIATION  # whole numbers below 2**53: added exactly
    reach_up, reach_down = words[:, 8] / 65_536, words[:, 9] / 65_536
    regime = _regimes((raw[:, 2] >> np.uint64(32)).astype(np.int64))
    spread = _SPREAD[regime]
    walked = _START_PRICE * np.cumprod(1 + (_DRIFT[regime] + spread * z))
    opened = np.concatenate([[_START_PRICE], walked[:-1]])
    high = np.maximum(opened, walked) * (1 + spread * (reach_up / 2))
    low = np.minimum(opened, walked) * (1 - spread * (reach_down / 2))
    volume = _ACTIVITY[regime] * _day_curve(bars) * (1 + np.abs(z))
    # Rounding keeps the order of the four prices, so that every bar stays one.
    open_, high, low, close = (
        np.maximum(np.rint(column * _PER_TICK), 1) / _PER_TICK for column in (opened, high, low, walked)
    )
    time_ms = _START_MS + _MINUTE_MS * np.arange(bars, dtype=np.int64)
    source = f"synthetic: a regime-switching walk, seed {seed}"
    notes = ("synthetic bars: no market ever traded at these prices",)
    whole = Bars(time_ms, open_, high, low, close, np.rint(volume * _PER_LOT) / _PER_LOT)
    return ParsedSeries(SYMBOL, "1m", whole, source, notes)


def _regimes(draws: NDArray[np.int64]) -> NDArray[np.int64]:
    """The regime of each minute, from one 32-bit draw each. The first minute always draws one."""
    drawn = draws % _CHANGES_EVERY == 0
    drawn[0] = True
    at = np.flatnonzero(drawn)
    chosen = _CHANCES[draws[at] // _CHANGES_EVERY % len(_CHANCES)]
    lasts: NDArray[np.int64] = np.diff(at, append=len(draws))
    return np.repeat(chosen, lasts)


def _day_curve(bars: int) -> NDArray[np.float64]:
    """1 at noon, 3 at midnight, a parabola between."""
    from_noon = (np.arange(bars) % _DAY_MINUTES - _DAY_MINUTES // 2) / (_DAY_MINUTES // 2)
    return 1 + 2 * (from_noon * from_noon)
