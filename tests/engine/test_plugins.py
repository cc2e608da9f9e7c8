"""Strategies of other packages, really installed, are found, run and restored; an unusable one is refused by name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).parent / "plugin"


def python(site: Path, program: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True, timeout=100, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the example package, without a network."""
    folder = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(SOURCE, folder / "source")  # a build leaves its traces beside the source
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder / "site"), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "site"


def test_an_installed_strategy_is_shown_checked_run_and_restored(site: Path) -> None:
    done = python(
        site,
        """
from shared.errors import InvalidRequest
from shared.strategies import catalogue, resolve
from tests.engine.markets import random_walk
from worker.engine.config import EngineConfig
from worker.engine.simulation import Simulation

found = {one.id: one for one in catalogue()[-2:]}
assert list(found) == ["inside_bars", "three_closes"], [one.id for one in catalogue()]
assert found["inside_bars"].parameters_schema["properties"]["quiet"]["maximum"] == 20
assert [(one.form, one.every) for one in found.values()] == [("signals", None), ("decide", 1)]
try:
    resolve(["inside_bars"], {"inside_bars": {"quiet": 21}})
except InvalidRequest as refusal:
    assert [error.field for error in refusal.errors] == ["strategyParams.inside_bars.quiet"]
else:
    raise SystemExit("21 was accepted")
bars = random_walk(600, 1)
uses = resolve(["inside_bars"], {})
said = uses[0].signals(bars)
assert all((uses[0].signals(bars.first(cut)) == said[:cut]).all() for cut in range(0, 601, 7))
whole = Simulation.start(bars, EngineConfig(allow_short=True), uses)
whole.advance(600)
part = Simulation.start(bars, EngineConfig(allow_short=True), uses)
part.advance(250)
part = Simulation.resume(part.position(), bars, EngineConfig(allow_short=True), uses)
part.advance(600)
outcome = whole.finish()
assert outcome.trades.total > 10
assert part.finish().result_hash == outcome.result_hash
""",
    )
    assert done.returncode == 0, done.stderr


def test_an_installed_strategy_that_decides_trades_like_its_signals(site: Path) -> None:
    done = python(
        site,
        """
import dataclasses
import numpy as np
from shared.strategies import NO_OPINION, Strategy, resolve
from tests.engine.markets import random_walk
from worker.engine.config import EngineConfig
from worker.engine.deciding import play
from worker.engine.simulation import Simulation

def signals(bars, params):
    said = np.full(bars.total, NO_OPINION, np.int8)
    step = np.sign(np.diff(bars.close)).astype(int).tolist()
    for bar in range(params.every - 1, bars.total, params.every):
        last = step[max(bar - params.closes, 0) : bar]
        if len(last) == params.closes and abs(sum(last)) == params.closes:
            said[bar] = last[0]
    return said

bars = random_walk(800, 1)
config = EngineConfig(allow_short=True, stop_loss_percent=3.0, commission_rate=0.001, combine="majority")
for params in ({}, {"closes": 2, "every": 3}):
    for others in ([], ["sma_crossover"]):
        chosen = {"three_closes": params, **{name: {"fast": 3, "slow": 9} for name in others}}
        uses = resolve([*others, "three_closes"], chosen)
        twin = Strategy("twin", "Twin", "As signals.", uses[-1].strategy.parameters, signals)
        known = Simulation.start(bars, config, [*uses[:-1], dataclasses.replace(uses[-1], strategy=twin)])
        known.advance(800)
        part = Simulation.start(bars, config, uses)
        for until in (100, 101, 440):
            play(part, until)
            part = Simulation.resume(part.position(), bars, config, uses)
        part.advance(800)
        part = Simulation.resume(part.position(), bars, config, uses)
        assert part.ask is not None
        play(part, 800)
        outcome, expected = part.finish(), known.finish()
        assert outcome.trades.total > 10
        assert (outcome.trades.direction < 0).any()
        assert outcome.trades.as_rows() == expected.trades.as_rows()
        assert outcome.equity.tobytes() == expected.equity.tobytes()
        assert outcome.result_hash == expected.result_hash
""",
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import no_such_module", "cannot be loaded: No module named 'no_such_module'"),
        ("OTHER = 1", "cannot be loaded"),
        ("STRATEGY = 1", "is a int, not a Strategy"),
        (
            "from shared.strategies import Strategy\n"
            "from shared.strategies.parameters import Parameters\n"
            "STRATEGY = Strategy('odd', 'Odd', 'Odd.', Parameters)",
            "cannot be loaded: strategy odd must have exactly one of signals and decide, and has neither",
        ),
        (
            "from shared.strategies.catalogue import _BUILT_IN; STRATEGY = _BUILT_IN[0]",
            "is called sma_crossover, as one of backfleet",
        ),
    ],
)
def test_a_plugin_that_cannot_be_used_is_refused_by_its_name(site: Path, tmp_path: Path, code: str, words: str) -> None:
    broken = Path(shutil.copytree(site, tmp_path / "site"))
    (broken / "backfleet_inside_bars" / "__init__.py").write_text(code)
    done = python(broken, "from shared.strategies import catalogue; catalogue()")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "ConfigurationError: the strategy plug-in inside_bars" in last
    assert words in last
    assert "package backfleet-inside-bars" in last
