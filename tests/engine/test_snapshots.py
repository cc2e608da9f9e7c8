"""A run that is cut, carried elsewhere and continued is the run that was never cut."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bars import Bars
from shared.strategies import resolve
from tests.engine.markets import random_walk, times
from tests.engine.runs import CONFIGS, EVERYTHING, PROFILES, STOPS, quick_uses, run
from worker.engine import Simulation, SnapshotUnfit


@settings(max_examples=80)
@given(
    cuts=st.lists(st.integers(0, 300), max_size=6),
    name=st.sampled_from(sorted(CONFIGS | PROFILES)),
    seed=st.integers(0, 5),
    combine=st.sampled_from(["any", "all", "majority", "weighted"]),
)
def test_any_split_with_snapshots_between_gives_the_same_hash(
    cuts: list[int], name: str, seed: int, combine: str
) -> None:
    bars = random_walk(300, seed)
    config = dataclasses.replace((CONFIGS | PROFILES)[name], combine=combine, weights=(2.0, 3.0))
    whole = run(bars, config, *quick_uses())
    simulation = Simulation.start(bars, config, quick_uses())
    for cut in cuts:  # in any order: going back is no step
        simulation.advance(cut)
        simulation = Simulation.restore(simulation.snapshot(), bars)
    simulation.advance(bars.total)
    parts = simulation.finish()
    assert parts.result_hash == whole.result_hash
    assert parts.equity.tobytes() == whole.equity.tobytes()
    assert [c.tobytes() for c in parts.trades] == [c.tobytes() for c in whole.trades]


def test_a_snapshot_of_a_snapshot_is_the_same_bytes() -> None:
    bars = random_walk(200, 1)
    simulation = Simulation.start(bars, EVERYTHING, quick_uses(), seed=7)
    simulation.advance(120)
    blob = simulation.snapshot()
    assert Simulation.restore(blob, bars).snapshot() == blob


def test_a_run_restored_in_another_process_gives_the_same_hash(tmp_path: Path) -> None:
    bars = random_walk(400, 3)
    whole = run(bars, EVERYTHING, *quick_uses())
    simulation = Simulation.start(bars, EVERYTHING, quick_uses())
    simulation.advance(173)
    (tmp_path / "blob").write_bytes(simulation.snapshot())
    np.savez(tmp_path / "bars.npz", *bars)
    program = (
        "import sys, numpy as np, pathlib\n"
        "from shared.bars import Bars\n"
        "from worker.engine import Simulation\n"
        "home = pathlib.Path(sys.argv[1])\n"
        "with np.load(home / 'bars.npz') as file: bars = Bars(*(file[name] for name in file.files))\n"
        "simulation = Simulation.restore((home / 'blob').read_bytes(), bars)\n"
        "simulation.advance(bars.total)\n"
        "sys.stdout.write(simulation.finish().result_hash)\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], cwd=root, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == whole.result_hash


def damaged(blob: bytes) -> bytes:
    return blob[:200] + bytes([blob[200] ^ 1]) + blob[201:]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (damaged, "damaged"),
        (lambda blob: blob[:-1], "damaged"),
        (lambda blob: blob[:10], "cut short"),
        (lambda blob: b"GARBAGE" + blob[7:], "not a snapshot"),
    ],
)
def test_a_snapshot_that_is_not_whole_is_refused(spoil: Callable[[bytes], bytes], message: str) -> None:
    bars = random_walk(100, 1)
    simulation = Simulation.start(bars, STOPS, quick_uses())
    simulation.advance(60)
    with pytest.raises(SnapshotUnfit, match=message) as refusal:
        Simulation.restore(spoil(simulation.snapshot()), bars)
    assert not refusal.value.fault


def test_a_snapshot_of_other_bars_is_refused() -> None:
    bars = random_walk(100, 1)
    simulation = Simulation.start(bars, STOPS, quick_uses())
    simulation.advance(60)
    with pytest.raises(SnapshotUnfit, match="ran over bars"):
        Simulation.restore(simulation.snapshot(), bars.first(99))


def test_a_snapshot_of_another_engine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bars = random_walk(100, 1)
    simulation = Simulation.start(bars, STOPS, quick_uses())
    monkeypatch.setattr("worker.engine.simulation.ENGINE_VERSION", "0-other")
    blob = simulation.snapshot()
    monkeypatch.undo()
    with pytest.raises(SnapshotUnfit, match="0-other"):
        Simulation.restore(blob, bars)


def test_the_hash_is_what_it_was_when_this_engine_version_was_named() -> None:
    """When this fails although nothing is wrong, results have changed: raise ENGINE_VERSION and renew the hash."""
    cents, price, prices = 1, 10_000, [10_000]
    for _ in range(499):
        cents = cents * 1_103_515_245 + 12_345 & 0x7FFFFFFF
        price = max(price + (cents >> 16) % 201 - 100, 1_000)
        prices.append(price)
    close = np.array(prices) / 100
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) + 0.25, np.minimum(opened, close) - 0.25
    bars = Bars(times(500), opened, high, low, close, np.ones(500))
    uses = resolve(["sma"], {"sma": {"fast": 3, "slow": 8}})
    assert run(bars, EVERYTHING, *uses).result_hash == (
        "sha256:97ae3eaee94aab2b856a046bbd242a9f001818a6a6aab1942edb79280b040538"
    )
