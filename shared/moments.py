"""Mean and deviation, by NumPy's pairwise sums, whose order does not depend on the processor."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# A spread this small beside its mean is rounding, and a ratio over it means nothing.
NOISE_SHARE = 1e-12


def mean_of(values: Floats) -> float:
    return float(values.sum()) / values.shape[0]


def deviation_of(values: Floats) -> float:
    """Sample standard deviation (n - 1)."""
    spread = values - mean_of(values)
    return math.sqrt(float((spread * spread).sum()) / (values.shape[0] - 1))
