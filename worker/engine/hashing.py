"""`resultHash`: one name for everything a run computed.

SHA-256 over, in this order and without padding:
1. b"backfleet-result-2\\n", the number of trades, the number of bars and that of the bars before them as int64;
2. every column of the trades, in the order of `Trades`, as int64 or float64;
3. the first and the last bar's time as int64 (the bars between are named by `datasetHash`), equity as float64;
4. the metrics as JSON with sorted names and no spaces, numbers rounded to 12 significant digits: powers and roots may
   differ in the last bit between two machines' math libraries, trades and equity may not.
All numbers are little-endian.
"""

from __future__ import annotations

import hashlib
import json
import struct

import numpy as np
from numpy.typing import NDArray

from worker.engine.metrics import Metrics
from worker.engine.trades import Trades

_DOMAIN = b"backfleet-result-2\n"


def hash_result(
    trades: Trades, time_ms: NDArray[np.int64], equity: NDArray[np.float64], metrics: Metrics, warmup_bars: int
) -> str:
    """ "sha256:" and 64 hexadecimal digits."""
    digest = hashlib.sha256(_DOMAIN + struct.pack("<qqq", trades.total, equity.shape[0], warmup_bars))
    for column in trades:
        digest.update(_little_endian(column))
    if equity.shape[0]:
        digest.update(struct.pack("<qq", int(time_ms[0]), int(time_ms[-1])))
    digest.update(_little_endian(equity))
    rounded = {name: _rounded(value) for name, value in metrics.items()}
    digest.update(json.dumps(rounded, sort_keys=True, allow_nan=False, separators=(",", ":")).encode())
    return f"sha256:{digest.hexdigest()}"


def _rounded(value: float | int | None) -> float | int | None:
    return float(f"{value:.12g}") + 0.0 if isinstance(value, float) else value  # + 0.0 makes -0.0 a zero


def _little_endian(column: NDArray[np.int64] | NDArray[np.float64]) -> memoryview:
    return np.ascontiguousarray(column, column.dtype.newbyteorder("<")).data
