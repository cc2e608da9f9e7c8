"""Frames come back as they went in, and plots keep what the eye looks for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic.alias_generators import to_camel

from shared.findings import plot_rows, trade_columns
from shared.frames import BLOCK_ROWS, Directory, decode_frame, encode_frame
from shared.instants import iso_from_ms
from shared.reasons import Reason
from shared.results import Result, ResultDocument, json_rows


def encode_as_before(columns: Mapping[str, NDArray[Any]]) -> bytes:
    """A frame as 0.1 and 0.2 packed it."""
    [rows] = {len(column) for column in columns.values()}
    header = json.dumps({"rows": rows, "columns": [[name, column.dtype.str] for name, column in columns.items()]})
    parts = [len(header).to_bytes(4, "little"), header.encode(), *(column.tobytes() for column in columns.values())]
    return zstandard.ZstdCompressor(level=1).compress(b"".join(parts))


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


def test_a_frame_of_an_older_version_is_still_read() -> None:
    columns = {"time_ms": np.arange(5_000), "kind": np.arange(5_000).astype(np.int8)}
    back = decode_frame(encode_as_before(columns))
    assert {name: column.tobytes() for name, column in back.items()} == {
        name: column.tobytes() for name, column in columns.items()
    }


@given(st.integers(0, 3 * BLOCK_ROWS), st.integers(0, 3 * BLOCK_ROWS + 5), st.integers(0, 2 * BLOCK_ROWS))
def test_any_rows_of_a_frame_are_read_from_their_blocks_alone(rows: int, begin: int, count: int) -> None:
    columns = {"a": np.arange(rows), "b": np.arange(rows).astype(np.float32) / 3}
    packed = encode_frame(columns)
    directory = Directory.read(packed)
    assert directory is not None
    wanted = range(min(begin, rows), min(begin + count, rows))
    first, end = directory.span(wanted)
    part = directory.unpack(packed[first:end], wanted)
    assert [column.dtype for column in part.values()] == [column.dtype for column in columns.values()]
    for name, column in columns.items():
        assert part[name].tolist() == column[wanted.start : wanted.stop].tolist()


TRADES = {
    "entry_time_ms": np.array([1_704_067_200_000, 1_704_067_200_001, 0]),
    "exit_time_ms": np.array([1_704_067_200_000, 1_704_070_800_000, 1_000]),
    "direction": np.array([1, -1, 1]),
    "pnl": np.array([1e16, np.nan, -0.0]),
    "fees": np.array([0.1, 1e-7, 1 / 3]),
    "entry_reason": np.array([1, 5, 8]),
    "strategy": np.array([0, -1, 1]),
}
NAMES = ["sma", 'of "quotes", \x00, é and %s']


def told_row_by_row(row: dict[str, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for name, value in row.items():
        shown = value
        if name.endswith("_ms"):
            shown = iso_from_ms(value)
        elif name.endswith("_reason"):
            shown = Reason(value).wire
        elif name == "direction":
            shown = "long" if value > 0 else "short"
        elif name == "strategy":
            shown = NAMES[value] if value >= 0 else None
        elif value != value:
            shown = None
        told[to_camel(name.removesuffix("_ms"))] = shown
    return told


def test_rows_are_written_to_the_byte_as_json_would_write_them() -> None:
    many = {name: np.tile(column, 700) for name, column in TRADES.items()}
    rows = zip(*(column.tolist() for column in many.values()), strict=True)
    wanted = [told_row_by_row(dict(zip(many, row, strict=True))) for row in rows]
    text = json.dumps(wanted, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    assert f"[{''.join(json_rows(trade_columns(many, NAMES)))}]" == text
    assert "".join(json_rows({"a": [], "b": []})) == ""


def test_a_result_of_the_first_version_is_answered_with_every_field() -> None:
    document: ResultDocument = {
        "_id": "res_1",
        "backtestId": "bt_1",
        "userId": "ann",
        "claimId": "claim_1",
        "createdAt": 1_704_067_200_000,
        "summary": {"totalReturn": 1.5},
        "metrics": {"profitFactor": None},
        "config": {"strategies": ["sma"]},
        "datasetHash": "sha256:0",
        "resultHash": "sha256:1",
        "engineVersion": "1",
        "seed": 0,
        "totalBars": 3,
        "equity": b"",
        "frames": {},
    }
    assert json.dumps(Result.of(document).as_wire()) == (
        '{"resultId": "res_1", "backtestId": "bt_1", "createdAt": "2024-01-01T00:00:00Z", '
        '"summary": {"totalReturn": 1.5}, "metrics": {"profitFactor": null}, "config": {"strategies": ["sma"]}, '
        '"datasetHash": "sha256:0", "resampledFrom": null, "resultHash": "sha256:1", "engineVersion": "1", '
        '"yearBasis": null, "seed": 0, '
        '"totalBars": 3, "warmupBars": null, "effectiveStart": null, "effectiveEnd": null, "warnings": []}'
    )
