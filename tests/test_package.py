"""What pip installs: the package `backfleet`, from a wheel and from a checkout, light to import, of our own objects."""

from __future__ import annotations

import ast
import importlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import backfleet
import pytest

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "tests" / "engine" / "plugin"
FACE = ROOT / "shared" / "public" / "backfleet" / "__init__.py"
PIP = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
HEAVY = ("numba", "pandas", "talib", "pymongo", "redis")


def run(python: str, *arguments: str, cwd: Path, path: str = "") -> str:
    environment = {**os.environ, "PYTHONPATH": path}
    command = [python, *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources without their tests, where a build may leave its traces."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("api", "worker", "shared", "deploy"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in ("static/index.html", "static/assets/words-0ddba11.js", "src/words.ts", "node_modules/gyp/gyp.py"):
        path = folder / "api" / "dashboard" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("words")
    return folder


def test_a_wheel_brings_backfleet_and_a_plug_in_that_imports_it_is_found(checkout: Path, tmp_path: Path) -> None:
    site, plugin = tmp_path / "site", shutil.copytree(PLUGIN, tmp_path / "plugin")
    run(sys.executable, "-m", "pip", "install", *PIP, "--target", str(site), str(checkout), str(plugin), cwd=tmp_path)
    assert (site / "backfleet" / "py.typed").is_file()
    assert (site / "shared" / "py.typed").is_file()
    assert not (site / "shared" / "public").exists(), "the same modules under another name"
    program = "import backfleet, shared.strategies as s; print(backfleet.__file__, *[one.id for one in s.catalogue()])"
    where, *strategies = run(sys.executable, "-c", program, cwd=tmp_path, path=str(site)).split()
    assert Path(where) == site / "backfleet" / "__init__.py"
    assert strategies[-2:] == ["dips", "month_start"]
    # The page that its gateway serves, and nothing else of the dashboard.
    dashboard = site / "api" / "dashboard"
    brought = {path.relative_to(dashboard).parts[0] for path in dashboard.rglob("*")}
    assert (brought, (dashboard / "static" / "index.html").read_text()) == ({"static"}, "words")
    program = "from api.pages import Pages; pages = Pages(); pages.index(); pages.asset('words-0ddba11.js')"
    run(sys.executable, "-c", program, cwd=tmp_path, path=str(site))


def test_an_editable_install_finds_backfleet_in_the_checkout(checkout: Path, tmp_path: Path) -> None:
    built, site = tmp_path / "built", tmp_path / "site"
    build = "import sys; from setuptools import build_meta; build_meta.build_editable(sys.argv[1])"
    run(sys.executable, "-c", build, str(built), cwd=checkout)
    [wheel] = built.iterdir()
    shutil.unpack_archive(wheel, site, "zip")
    # -S, and so without the install that the tests themselves may run from.
    program = f"""
import site, sys
sys.path += {[str(site), sysconfig.get_path("purelib")]!r}
site.addsitedir({str(site)!r})
import backfleet
print(backfleet.__file__, sys.modules[backfleet.Strategy.__module__].__file__)
"""
    found = run(sys.executable, "-S", "-c", program, cwd=tmp_path).split()
    assert [Path(one).relative_to(checkout).as_posix() for one in found] == [
        "shared/public/backfleet/__init__.py",
        "shared/strategies/strategy.py",
    ]


def test_the_image_finds_backfleet_in_what_it_copies() -> None:
    [paths] = re.findall(r"\bPYTHONPATH=(\S+)", (ROOT / "deploy" / "Dockerfile").read_text())
    program = f"""
import sys
sys.path.append({sysconfig.get_path("purelib")!r})
import backfleet, deploy.cli
print(backfleet.__file__, sys.modules[backfleet.Strategy.__module__].__file__)
"""
    found = run(sys.executable, "-S", "-c", program, cwd=ROOT.parent, path=paths.replace("/opt/backfleet", str(ROOT)))
    assert [Path(one) for one in found.split()] == [FACE, ROOT / "shared" / "strategies" / "strategy.py"]


def test_importing_it_and_all_its_names_loads_nothing_heavy() -> None:
    program = f"""
import sys, backfleet
assert not {{"numpy", "pydantic", "shared", *{HEAVY}}} & sys.modules.keys()
from backfleet import *
print(*set({HEAVY}) & sys.modules.keys())
"""
    path = f"{ROOT}{os.pathsep}{FACE.parents[1]}"
    assert run(sys.executable, "-c", program, cwd=ROOT, path=path).strip() == ""


def test_its_names_are_those_that_type_checkers_see_and_the_objects_that_we_use() -> None:
    imports = [node for node in ast.walk(ast.parse(FACE.read_text())) if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: str(node.module) for node in imports for alias in node.names}
    homes = {name: home for name, home in homes.items() if home.startswith("shared.")}
    assert set(homes) == set(backfleet.__all__) == set(dir(backfleet))
    for name, home in homes.items():
        assert getattr(backfleet, name) is getattr(importlib.import_module(home), name), name
    with pytest.raises(AttributeError, match="module 'backfleet' has no attribute 'Fleet'"):
        _ = backfleet.Fleet  # pyright: ignore[reportAttributeAccessIssue]
