"""The demo's bars are real, whole and adjusted."""

from __future__ import annotations

import numpy as np
import pytest

from deploy.demo_bars import demo_series
from shared.contracts import iso_from_ms


def test_the_demo_series_are_thirteen_years_of_three_shares() -> None:
    pytest.importorskip("bokeh_sampledata")
    series = demo_series()
    assert [(one.symbol, one.interval, one.bars.total) for one in series] == [
        ("AAPL", "1d", 3270),
        ("IBM", "1d", 3270),
        ("MSFT", "1d", 3270),
    ]
    for one in series:
        assert iso_from_ms(int(one.bars.time_ms[0])) == "2000-03-01T00:00:00Z"
        assert iso_from_ms(int(one.bars.time_ms[-1])) == "2013-03-01T00:00:00Z"
        # Splits are adjusted for: Apple's real crash of 2000-09-29 (-52 %) is the worst day of all.
        assert np.min(one.bars.close[1:] / one.bars.close[:-1]) > 0.48
    assert series[0].bars.close[0] == pytest.approx(4.186663, rel=1e-6)
