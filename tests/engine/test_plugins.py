"""Strategies of other packages, really installed, are found, run and restored; an unusable one is refused by name."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.readme import shown

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).parent / "plugin"


def python(site: Path, program: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(map(str, (site, ROOT, ROOT / "shared" / "public")))
    environment = {**os.environ, "PYTHONPATH": path}
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
from tests.engine.markets import HOUR_MS, random_walk
from worker.engine.config import EngineConfig
from worker.engine.simulation import Simulation

found = {one.id: one for one in catalogue()[-2:]}
assert list(found) == ["dips", "month_start"], [one.id for one in catalogue()]
assert found["month_start"].parameters_schema["properties"]["days"]["maximum"] == 28
assert [(one.form, one.every) for one in found.values()] == [("decide", 4), ("signals", None)]
try:
    resolve(["month_start"], {"month_start": {"days": 29}})
except InvalidRequest as refusal:
    assert [error.field for error in refusal.errors] == ["strategyParams.month_start.days"]
else:
    raise SystemExit("29 was accepted")
bars = random_walk(600, 1, step_ms=24 * HOUR_MS)
uses = resolve(["month_start"], {})
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


def test_an_installed_strategy_that_decides_trades_as_it_says(site: Path) -> None:
    done = python(
        site,
        """
from shared.strategies import resolve
from tests.engine.markets import random_walk
from worker.engine.config import EngineConfig
from worker.engine.deciding import play
from worker.engine.simulation import Simulation

bars = random_walk(800, 1)
config = EngineConfig(commission_rate=0.001)
for every in (4, 7):
    uses = resolve(["dips"], {"dips": {"every": every}})
    whole = Simulation.start(bars, config, uses)
    play(whole, 800)
    part = Simulation.start(bars, config, uses)
    for until in (100, 101, 440):
        play(part, until)
        part = Simulation.resume(part.position(), bars, config, uses)
    part.advance(800)
    part = Simulation.resume(part.position(), bars, config, uses)
    assert part.ask is not None
    play(part, 800)
    outcome = whole.finish()
    assert part.finish().result_hash == outcome.result_hash
    assert outcome.trades.total > 10
    for trade in outcome.trades.as_rows()[:-1]:
        told, left = trade["entry_bar"] - 1, trade["exit_bar"] - 1
        assert (told + 1) % every == (left + 1) % every == 0
        assert bars.close[told] < bars.close[max(told - 9, 0) : told + 1].mean()
        assert 20 <= left - trade["entry_bar"] < 20 + every
""",
    )
    assert done.returncode == 0, done.stderr


def test_the_readme_shows_this_very_package() -> None:
    files = [SOURCE / "pyproject.toml", *sorted((SOURCE / "my_strategies").glob("[!_]*.py"))]
    assert len(files) == 3
    blocks = [*shown("toml"), *(block for block in shown("python") if "STRATEGY = " in block)]
    assert sorted(blocks) == sorted(file.read_text() for file in files)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import no_such_module", "cannot be loaded: No module named 'no_such_module'"),
        ("OTHER = 1", "cannot be loaded"),
        ("STRATEGY = 1", "is a int, not a Strategy"),
        (
            "from backfleet import Parameters, Strategy\nSTRATEGY = Strategy('odd', 'Odd', 'Odd.', Parameters)",
            "cannot be loaded: strategy odd must have exactly one of signals, decide and inquire, and has none",
        ),
        (
            "from shared.strategies.catalogue import _BUILT_IN; STRATEGY = _BUILT_IN[0]",
            "is called sma_crossover, as one of backfleet",
        ),
    ],
)
def test_a_plugin_that_cannot_be_used_is_refused_by_its_name(site: Path, tmp_path: Path, code: str, words: str) -> None:
    broken = Path(shutil.copytree(site, tmp_path / "site"))
    (broken / "my_strategies" / "dips.py").write_text(code)
    done = python(broken, "from shared.strategies import catalogue; catalogue()")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "ConfigurationError: the strategy plug-in dips" in last
    assert words in last
    assert "package my-strategies" in last
