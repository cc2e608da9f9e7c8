"""Frames come back as they went in, and plots keep what the eye looks for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.results import decode_frame, encode_frame, plot_rows


@given(st.integers(min_value=0, max_value=300), st.integers(min_value=0, max_value=2**32))
def test_a_frame_comes_back_bit_for_bit(rows: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    columns = {
        "time_ms": random.integers(0, 2**60, rows),
        "value": random.normal(size=rows),
        "kind": random.integers(-128, 127, rows).astype(np.int8),
    }
    back = decode_frame(encode_frame(columns))
    assert list(back) == list(columns)
    for name, column in columns.items():
        assert back[name].dtype == column.dtype
        assert back[name].tobytes() == column.tobytes()


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="equally long"):
        encode_frame({"a": np.zeros(2), "b": np.zeros(3)})


@given(st.integers(min_value=1, max_value=5_000), st.integers(min_value=4, max_value=500), st.integers(0, 2**32))
def test_a_plot_is_bounded_and_keeps_first_last_lowest_and_highest(rows: int, points_max: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=rows)
    shown = plot_rows(values, points_max)
    assert len(shown) <= points_max
    assert shown.tolist() == sorted(set(shown.tolist()))
    assert (shown[0], shown[-1]) == (0, rows - 1)
    assert (values[shown].min(), values[shown].max()) == (values.min(), values.max())


def test_a_plot_of_two_points_keeps_the_ends_and_fewer_are_refused() -> None:
    assert plot_rows(np.zeros(10), 3).tolist() == [0, 9]
    with pytest.raises(ValueError, match="at least 2"):
        plot_rows(np.zeros(10), 1)
