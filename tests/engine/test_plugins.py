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
from worker.engine import EngineConfig, Simulation

assert catalogue()[-1].id == "inside_bars", [one.id for one in catalogue()]
assert catalogue()[-1].parameters_schema["properties"]["quiet"]["maximum"] == 20
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
part = Simulation.restore(part.snapshot(), bars)
part.advance(600)
outcome = whole.finish()
assert outcome.trades.total > 10
assert part.finish().result_hash == outcome.result_hash
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
