"""The demo's daily bars are real, whole and adjusted; its minutes are the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest

from deploy.demo_bars import demo_series
from deploy.synthetic_bars import BARS_MAX, SYMBOL, synthetic_series
from shared.candles import first_fault
from shared.candles.manifest import first_manifest
from shared.errors import InvalidRequest
from shared.instants import iso_from_ms


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


def test_synthetic_minutes_are_the_same_bytes_on_every_machine() -> None:
    one = synthetic_series(100_000)
    manifest = first_manifest(one.symbol, one.interval, one.source, one.bars)
    assert manifest.dataset_hash == "sha256:32a652a5832ae19031d78097b2f6d2f53ea382ab5c559034548390995f6c486f"
    assert (one.symbol, one.interval, one.source[:10]) == (SYMBOL, "1m", "synthetic:")
    assert first_fault(one.bars, "1m", manifest.index.end_ms) is None
    assert manifest.gap_count == 0
    fewer = synthetic_series(30_000).bars
    for name, whole, part in zip(fewer._fields, one.bars, fewer, strict=True):
        assert whole[:30_000].tobytes() == part.tobytes(), name
    assert synthetic_series(1_000, seed=2).bars.close.tolist() != fewer.close[:1_000].tolist()


def test_synthetic_minutes_have_quiet_and_wild_days_and_busy_midnights() -> None:
    bars = synthetic_series(200_000).bars
    returns = np.diff(bars.close) / bars.close[:-1]
    by_hours = np.sort(np.array([part.std() for part in np.array_split(returns, 400)]))
    assert by_hours[-40] > 3 * by_hours[40]
    by_minute = bars.volume[: 138 * 1_440].reshape(138, 1_440).mean(axis=0)
    assert by_minute[:60].mean() == pytest.approx(3 * by_minute[690:750].mean(), rel=0.15)


@pytest.mark.parametrize("bars", [0, -5, BARS_MAX + 1])
def test_a_number_of_synthetic_minutes_out_of_bounds_is_refused(bars: int) -> None:
    with pytest.raises(InvalidRequest, match=f"--bars: {bars} is not between 1 and 2630880"):
        synthetic_series(bars)
