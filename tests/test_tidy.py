"""The shape of the code, held by tests. Every rule is shown to bite on a snippet that breaks it."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

import pytest

from shared.request import BacktestRequest
from shared.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
PACKAGES = ("api", "worker", "shared", "deploy")

# What we are compared with, under licences that do not fit ours: nothing that ships may lean on it.
PEERS = {"backtesting", "backtrader", "empyrical", "nautilus_trader", "vectorbt"}
# What others import us by. It lies in shared/public, so that nothing of ours needs it or can be found there twice.
FACE = "backfleet"
# Who must not import whom. Nothing that ships imports the tests.
FORBIDDEN_ARROWS = {
    "shared": {"api", "worker", "deploy", "tests", FACE, *PEERS},
    "api": {"worker", "deploy", "tests", FACE, *PEERS},
    "worker": {"api", "deploy", "tests", FACE, *PEERS},
    "deploy": {"tests", FACE, *PEERS},
}
# All the engine may name: arithmetic, arrays, and what turns bytes into values. No file, socket, clock, log or model.
ENGINE_LIBRARIES = {
    *("__future__", "abc", "bisect", "collections", "copy", "dataclasses", "enum", "fractions", "functools", "hashlib"),
    *("itertools", "json", "math", "operator", "struct", "types", "typing", "zlib"),
    *("numba", "numpy", "talib", "zstandard"),
}
ENGINE_NEIGHBOURS = (
    *("worker.engine", "shared.analysis", "shared.bars", "shared.errors", "shared.instants", "shared.moments"),
    *("shared.periods", "shared.profiles", "shared.reasons"),
    *("shared.request", "shared.strategies"),
)
ENGINE_SILENT_ABOUT = {"open", "print", "input", "breakpoint"}
EMPTY_NAMES = {"util", "utils", "helper", "helpers", "common", "manager", "core", "misc"}
FUNCTION_LINES_MAX = 90
FUNCTION_LINES_P95 = 30
MODULE_LINES_MAX = 450
PUBLIC_NAMES_MAX = 25
LAYOUTS = {"layout.py"}  # they name the places of arrays, and nothing else
FILE_BYTES_MAX = 1_000_000

GENERATED = {"__pycache__", "build", "dist", "node_modules", "target", "venv"}
KEPT_DOT_NAMES = {".ci", ".dockerignore", ".editorconfig", ".github", ".gitignore"}
TEST_VARIABLES = {"BACKFLEET_TEST_MONGODB_URI", "BACKFLEET_TEST_DATA", "BACKFLEET_REQUIRE_BACKENDS"}


@dataclass(frozen=True)
class Module:
    """One parsed file under its path from the root. Its tree is everybody's, and nobody changes it."""

    path: PurePosixPath
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    @cached_property
    def nodes(self) -> Sequence[ast.AST]:
        return list(ast.walk(self.tree))

    @property
    def package(self) -> str:
        return self.path.parts[0]

    def at(self, node: ast.stmt | ast.expr | ast.ExceptHandler, problem: str) -> str:
        return f"{self.path}:{node.lineno}: {problem}"


def project_files() -> Iterator[Path]:
    """Every file of the project, without what tools generate. A walk, so that it also works outside a checkout."""
    for directory, folders, files in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name not in GENERATED
            and not name.endswith(".egg-info")
            and (not name.startswith(".") or name in KEPT_DOT_NAMES)
        ]
        yield from (Path(directory) / name for name in files if not name.startswith(".") or name in KEPT_DOT_NAMES)


@cache
def python_modules(*packages: str) -> Sequence[Module]:
    return [
        Module(PurePosixPath(path.relative_to(ROOT).as_posix()), path.read_text("utf-8"))
        for path in sorted(project_files())
        if path.suffix == ".py" and path.relative_to(ROOT).parts[0] in packages
    ]


def imported_names(module: Module) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    """Each dotted name a module imports, relative ones made absolute, `importlib.import_module("…")` included."""
    for node in module.nodes:
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.path.parts[:-1][: len(module.path.parts) - node.level] if node.level else ()
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((node, f"{source}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__"}:
            yield from ((node, str(argument.value)) for argument in node.args[:1] if isinstance(argument, ast.Constant))


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def arrows_between_packages(module: Module) -> Iterator[str]:
    forbidden = FORBIDDEN_ARROWS.get(module.package, set())
    for node, name in imported_names(module):
        if name.split(".")[0] in forbidden:
            yield module.at(node, f"{module.package} must not import {name}")
        if f"{name}.".startswith("shared.public."):
            yield module.at(node, f"{name} is {FACE}, imported under a second name")


def io_in_the_engine(module: Module) -> Iterator[str]:
    if module.path.parts[:2] != ("worker", "engine"):
        return
    for node, name in imported_names(module):
        ours = name.split(".")[0] in PACKAGES
        near = any(f"{name}.".startswith(f"{neighbour}.") for neighbour in ENGINE_NEIGHBOURS)
        if not near if ours else name.split(".")[0] not in ENGINE_LIBRARIES:
            yield module.at(node, f"the engine does no I/O, reads no clock and validates nothing: it imports {name}")
    for node in module.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ENGINE_SILENT_ABOUT:
            yield module.at(node, f"the engine does no I/O: it calls {node.func.id}()")


def environment_outside_settings(module: Module) -> Iterator[str]:
    if module.package not in PACKAGES or module.path == PurePosixPath("shared/settings.py"):
        return
    doors = {"environ", "environb", "getenv", "getenvb", "putenv", "unsetenv"}
    uses = [node for node in module.nodes if isinstance(node, ast.Attribute) and node.attr in doors]
    places = [node for node in uses if isinstance(node.value, ast.Name) and node.value.id == "os"]
    imports = [node for node, name in imported_names(module) if name in {f"os.{door}" for door in doors}]
    for node in [*places, *imports]:
        yield module.at(node, "only shared/settings.py reads the environment")


def swallowed_errors(module: Module) -> Iterator[str]:
    for node in module.nodes:
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield module.at(node, "a bare except")
            elif _names_everything(node.type) and all(_does_nothing(statement) for statement in node.body):
                yield module.at(node, "every error is swallowed without a word")
        elif isinstance(node, ast.Call) and _called(node) == "suppress" and any(map(_names_everything, node.args)):
            yield module.at(node, "every error is swallowed without a word")


def _names_everything(node: ast.expr) -> bool:
    if isinstance(node, ast.Tuple):
        return any(_names_everything(element) for element in node.elts)
    return isinstance(node, ast.Name) and node.id in {"Exception", "BaseException"}


def _does_nothing(statement: ast.stmt) -> bool:
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or isinstance(statement, ast.Pass | ast.Continue)


def names_that_say_nothing(module: Module) -> Iterator[str]:
    for part in module.path.with_suffix("").parts:
        if part.strip("_") in EMPTY_NAMES:
            yield f"{module.path}: `{part}` says nothing about what is inside"


def long_functions(module: Module) -> Iterator[str]:
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES_MAX:
                yield module.at(node, f"{node.name} has {lines} lines, more than {FUNCTION_LINES_MAX}")


def long_modules(module: Module) -> Iterator[str]:
    lines = module.text.count("\n")
    if module.package in PACKAGES and lines > MODULE_LINES_MAX:
        yield f"{module.path}: has {lines} lines, more than {MODULE_LINES_MAX}"


def wide_modules(module: Module) -> Iterator[str]:
    if module.package not in PACKAGES or module.path.name in LAYOUTS:
        return
    names = [name for name in _defined(module.tree) if not name.startswith("_")]
    if len(names) > PUBLIC_NAMES_MAX:
        yield f"{module.path}: has {len(names)} public names, more than {PUBLIC_NAMES_MAX}"


def _defined(tree: ast.Module) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield node.target.id


def prints_outside_the_terminal_programs(module: Module) -> Iterator[str]:
    if module.package == "deploy" or module.path.name == "cli.py":
        return
    if module.path.parts[:2] == ("tests", "bench") or module.path.as_posix() == "tests/browser/__main__.py":
        return
    for node in module.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            yield module.at(node, "print() outside the command line and deploy: log it")


Rule = Callable[[Module], Iterator[str]]
RULES: list[Rule] = [
    arrows_between_packages,
    io_in_the_engine,
    environment_outside_settings,
    swallowed_errors,
    names_that_say_nothing,
    long_functions,
    long_modules,
    wide_modules,
    prints_outside_the_terminal_programs,
]

LONG_FUNCTION = "def endless():\n" + "    x = 1\n" * FUNCTION_LINES_MAX
BREACHES: list[tuple[Rule, str, str]] = [
    (arrows_between_packages, "shared/store.py", "from api.routes import router"),
    (arrows_between_packages, "shared/store.py", "import worker"),
    (arrows_between_packages, "shared/store.py", "def late():\n    from worker.lease import Lease"),
    (arrows_between_packages, "api/routes.py", "import worker.supervisor"),
    (arrows_between_packages, "worker/lease.py", "from api import commands"),
    (arrows_between_packages, "worker/lease.py", "import importlib\nimportlib.import_module('api.commands')"),
    (arrows_between_packages, "deploy/stack.py", "from tests import fleet"),
    (arrows_between_packages, "api/app.py", "from tests.conftest import Servers"),
    (arrows_between_packages, "worker/engine/metrics.py", "from empyrical import sharpe_ratio"),
    (arrows_between_packages, "shared/strategies/rsi.py", "from backfleet import Strategy"),
    (arrows_between_packages, "tests/gateway.py", "from shared.public.backfleet import Strategy"),
    (arrows_between_packages, "tests/gateway.py", "from shared import public"),
    (io_in_the_engine, "worker/engine/kernel.py", "import os"),
    (io_in_the_engine, "worker/engine/kernel.py", "import time"),
    (io_in_the_engine, "worker/engine/kernel.py", "from pydantic import BaseModel"),
    (io_in_the_engine, "worker/engine/kernel.py", "import logging"),
    (io_in_the_engine, "worker/engine/kernel.py", "from shared.store import Store"),
    (io_in_the_engine, "worker/engine/kernel.py", "from shared import settings"),
    (io_in_the_engine, "worker/engine/kernel.py", "from .. import runner"),
    (io_in_the_engine, "worker/engine/kernel.py", "open('bars')"),
    (environment_outside_settings, "api/app.py", "import os\nos.environ['HOME']"),
    (environment_outside_settings, "deploy/stack.py", "import os\nos.getenv('HOME')"),
    (environment_outside_settings, "worker/slot.py", "from os import environ"),
    (swallowed_errors, "shared/bus.py", "try:\n    x()\nexcept:\n    raise"),
    (swallowed_errors, "shared/bus.py", "try:\n    x()\nexcept Exception:\n    pass"),
    (swallowed_errors, "shared/bus.py", "try:\n    x()\nexcept (ValueError, BaseException):\n    ..."),
    (swallowed_errors, "shared/bus.py", "for y in z:\n    try:\n        x()\n    except Exception:\n        continue"),
    (swallowed_errors, "shared/bus.py", "import contextlib\nwith contextlib.suppress(Exception):\n    x()"),
    (names_that_say_nothing, "shared/utils.py", ""),
    (names_that_say_nothing, "api/core/routes.py", ""),
    (long_functions, "shared/bars.py", LONG_FUNCTION),
    (long_functions, "shared/bars.py", LONG_FUNCTION.replace("def", "async def")),
    (long_modules, "shared/bars.py", "x = 1\n" * (MODULE_LINES_MAX + 1)),
    (wide_modules, "shared/bars.py", "".join(f"X{number} = 1\n" for number in range(PUBLIC_NAMES_MAX + 1))),
    (wide_modules, "shared/bars.py", "".join(f"def f{number}(): ...\n" for number in range(PUBLIC_NAMES_MAX + 1))),
    (wide_modules, "shared/bars.py", "".join(f"x{number}: int = 1\n" for number in range(PUBLIC_NAMES_MAX + 1))),
    (prints_outside_the_terminal_programs, "worker/slot.py", "print('here')"),
]
HARMLESS: list[tuple[Rule, str, str]] = [
    (arrows_between_packages, "api/routes.py", "from shared.store import Store\nfrom api import commands"),
    (arrows_between_packages, "shared/public/backfleet/__init__.py", "from shared.bars import Bars"),
    (arrows_between_packages, "tests/engine/plugin/one.py", "from backfleet import Strategy"),
    (arrows_between_packages, "deploy/cli.py", "from api.cli import add_data_options\nfrom worker import cli"),
    (io_in_the_engine, "worker/engine/kernel.py", "import numpy as np\nfrom shared.strategies.signals import Signals"),
    (io_in_the_engine, "worker/engine/kernel.py", "from . import layout\nfrom .layout import Reason"),
    (io_in_the_engine, "worker/runner.py", "import asyncio"),
    (environment_outside_settings, "shared/settings.py", "import os\nos.environ['HOME']"),
    (environment_outside_settings, "api/app.py", "import os\nos.cpu_count()"),
    (swallowed_errors, "shared/bus.py", "try:\n    x()\nexcept OSError:\n    pass"),
    (swallowed_errors, "shared/bus.py", "try:\n    x()\nexcept Exception:\n    log()\n    raise"),
    (long_functions, "shared/bars.py", LONG_FUNCTION.removesuffix("    x = 1\n")),
    (long_modules, "shared/bars.py", "x = 1\n" * MODULE_LINES_MAX),
    (wide_modules, "shared/bars.py", "".join(f"_X{number} = 1\n" for number in range(PUBLIC_NAMES_MAX + 1))),
    (wide_modules, "worker/engine/layout.py", "".join(f"X{number} = {number}\n" for number in range(99))),
    (prints_outside_the_terminal_programs, "worker/cli.py", "print('here')"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_code_keeps_the_rule(rule: Rule) -> None:
    modules = python_modules(*PACKAGES, "tests")
    assert {module.package for module in modules} == {*PACKAGES, "tests"}
    problems = [problem for module in modules for problem in rule(module)]
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(("rule", "path", "text"), BREACHES)
def test_a_breach_of_the_rule_is_found(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Module(PurePosixPath(path), text)))


@pytest.mark.parametrize(("rule", "path", "text"), HARMLESS)
def test_code_within_the_rule_is_left_alone(rule: Rule, path: str, text: str) -> None:
    assert list(rule(Module(PurePosixPath(path), text))) == []


def test_every_rule_has_a_breach_to_show() -> None:
    assert {rule for rule, _, _ in BREACHES} == set(RULES)


def function_lengths(modules: Iterable[Module]) -> list[int]:
    return sorted(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for module in modules
        for node in module.nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_nineteen_functions_of_twenty_fit_on_a_screen() -> None:
    lengths = function_lengths(python_modules(*PACKAGES))
    assert len(lengths) > 500
    assert lengths[int(len(lengths) * 0.95)] <= FUNCTION_LINES_P95


def import_circles(modules: Iterable[Module]) -> list[list[str]]:
    """Groups of modules that lead back to themselves, imports inside functions included, those for types left out."""
    names = {_dotted(module.path): module for module in modules}
    graph = {
        name: {target for _, imported in imported_names(_without_types(module)) if (target := _known(imported, names))}
        - {name}
        for name, module in names.items()
    }
    return [sorted(circle) for circle in _strong_components(graph) if len(circle) > 1]


def _dotted(path: PurePosixPath) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _known(imported: str, names: Mapping[str, Module]) -> str | None:
    """The module that an imported name is, or is in."""
    return next((name for name in (imported, imported.rpartition(".")[0]) if name in names), None)


def _without_types(module: Module) -> Module:
    if "TYPE_CHECKING" not in module.text:
        return module
    tree = ast.parse(module.text)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return Module(module.path, ast.unparse(ast.fix_missing_locations(tree)))


def _strong_components(graph: Mapping[str, set[str]]) -> Iterator[set[str]]:
    """By reachability, which is enough for some hundred modules."""
    reach = {name: _reachable(graph, name) for name in graph}
    left = set(graph)
    while left:
        name = min(left)
        circle = {name} | {other for other in reach[name] if name in reach[other]}
        left -= circle
        yield circle


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for target in graph[waiting.pop()] - seen:
            seen.add(target)
            waiting.append(target)
    return seen


def test_no_imports_lead_in_a_circle() -> None:
    assert import_circles(python_modules(*PACKAGES)) == []


def test_a_circle_of_imports_is_found() -> None:
    def module(path: str, text: str) -> Module:
        return Module(PurePosixPath(path), text)

    far = module("shared/c.py", "def late():\n    from shared.a import x")
    circle = [module("shared/a.py", "from shared import b"), module("shared/b.py", "from shared.c import late"), far]
    assert import_circles(circle) == [["shared.a", "shared.b", "shared.c"]]
    for_types = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from shared.a import x"
    assert import_circles([*circle[:2], module("shared/c.py", for_types)]) == []


def settings_in_tables(text: str) -> set[str]:
    """The `BACKFLEET_…` names that stand in the first column of a Markdown table."""
    return set(re.findall(rf"^\|\s*`?({PREFIX}[A-Z0-9_]+)`?\s*\|", text, re.MULTILINE))


def undocumented_settings(readme: str) -> set[str]:
    return {PREFIX + name.upper() for name in Settings.model_fields} - settings_in_tables(readme)


def unknown_settings(readme: str) -> set[str]:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | TEST_VARIABLES
    return set(re.findall(rf"\b{PREFIX}[A-Z0-9_]*[A-Z0-9]\b", readme)) - known


def test_every_setting_has_a_row_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    assert undocumented_settings(readme) == set()
    assert unknown_settings(readme) == set()


def test_a_setting_that_is_only_mentioned_is_undocumented() -> None:
    assert f"{PREFIX}PORT" in undocumented_settings(f"Set `{PREFIX}PORT` as you like.\n| `{PREFIX}HOST` | address |")
    assert f"{PREFIX}HOST" not in undocumented_settings(f"| `{PREFIX}HOST` | address |")
    assert unknown_settings(f"| `{PREFIX}HOSTS` | addresses |") == {f"{PREFIX}HOSTS"}


def test_every_field_of_a_request_has_a_row_in_the_readme() -> None:
    rows = (ROOT / "README.md").read_text("utf-8").partition("### What a request can say")[2].partition("\n### ")[0]
    described = {
        name for cell in re.findall(r"^\|([^|]*)\|", rows, re.MULTILINE) for name in re.findall(r"`(\w+)`", cell)
    }
    assert {one.alias for one in BacktestRequest.model_fields.values()} - described == set()


def rooms(contributing: str) -> set[str]:
    """The modules and packages that the table of rooms names. A name that does not begin with one of our packages lies
    in the folder of the one before it in its row.
    """
    table = contributing.partition("## Where things are")[2].partition("\n## ")[0]
    found: set[str] = set()
    for row in re.findall(r"^\|.*", table, re.MULTILINE):
        folder = PurePosixPath()
        for name in re.findall(r"`([\w/]+(?:\.py|/))`", row):
            ours = PurePosixPath(name).parts[0] in (*PACKAGES, "tests")
            path = PurePosixPath(name) if ours else folder / name
            if name.endswith(".py"):
                folder = path.parent
            elif ours:
                folder = path
            found.add(str(path))
    return found


def test_every_module_and_package_has_its_place_in_the_table_of_rooms() -> None:
    paths = [module.path for module in python_modules(*PACKAGES) if not module.path.name.startswith("__")]
    packages = {str(path.parent) for path in paths if len(path.parts) > 2}
    named = rooms((ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    assert {str(path) for path in paths if len(path.parts) == 2} | packages <= named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_a_room_is_where_the_table_says_it_is() -> None:
    rows = "| `api/relay.py` · `pieces.py` | `routes/` |\n| `shared/candles/` (`files/`) | `make lint`, `grid.py` |"
    named = {"api/relay.py", "api/pieces.py", "api/routes", "shared/candles", "shared/candles/files"}
    assert rooms(f"## Where things are\n{rows}\n## Next\n| `shared/bus.py` |") == named | {"shared/candles/grid.py"}


# Spelled in pieces, so that this file does not name what it forbids.
REGISTRY_HOSTS = [
    ".".join(pieces)
    for pieces in [
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("repo1", "maven", "org"),
        ("repo", "maven", "apache", "org"),
        ("central", "sonatype"),
        ("anaconda", "org"),
        ("crates", "io"),
        ("rubygems", "org"),
        ("proxy", "golang", "org"),
        ("docker", "io"),
        ("ghcr", "io"),
        ("quay", "io"),
    ]
]
INDEX_OPTION = re.compile(r"^\s*(-i|--index-url|--extra-index-url|--find-links|-f)[ =]\s*\S+:", re.MULTILINE)


def registries_named(text: str) -> list[str]:
    lowered = text.lower()
    hosts = [host for host in REGISTRY_HOSTS if host in lowered]
    return hosts + [match.group().strip() for match in INDEX_OPTION.finditer(text)]


def test_no_file_names_a_package_registry_or_weighs_a_megabyte() -> None:
    files = sorted(project_files())
    assert ROOT / "pyproject.toml" in files
    assert ROOT / "requirements.lock" in files
    heavy = [f"{path}: {path.stat().st_size} bytes" for path in files if path.stat().st_size > FILE_BYTES_MAX]
    assert not heavy
    named = {str(path): found for path in files if (found := registries_named(path.read_text("utf-8", "ignore")))}
    assert not named


def test_a_registry_in_a_text_is_found() -> None:
    assert registries_named(f"see https://files.{REGISTRY_HOSTS[1]}/packages") == [REGISTRY_HOSTS[1]]
    assert registries_named("--index-url https://packages.example/simple\n")
    assert registries_named("numpy==2.4.6 \\\n    --hash=sha256:00\n") == []


def pins(lock: str) -> dict[tuple[str, str], set[str]]:
    """The hashes of each pinned name and version."""
    found: dict[tuple[str, str], set[str]] = {}
    current: set[str] = set()
    for line in lock.splitlines():
        if pinned := re.match(r"([a-z0-9][a-z0-9._-]*)==(\S+)", line):
            current = found.setdefault((pinned[1], pinned[2]), set())
        elif hashed := re.match(r"\s+--hash=(sha256:[0-9a-f]{64})", line):
            current.add(hashed[1])
    return found


def declared_names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^A-Za-z0-9-]", one, maxsplit=1)[0].lower() for one in requirements} - {"backfleet"}


def test_the_locks_pin_the_same_hashed_versions() -> None:
    everything = pins((ROOT / "requirements.lock").read_text())
    runtime = pins((ROOT / "requirements-runtime.lock").read_text())
    peers = pins((ROOT / "requirements-peers.lock").read_text())
    more = pins((ROOT / "requirements-extras.lock").read_text())
    names = {name for name, _ in everything}
    peer_names = {name for name, _ in peers}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert names >= {"numpy", "pymongo", "pytest", "nx-27017"}
    assert names >= declared_names([*project["dependencies"], *extras["embedded"], *extras["dev"]])
    assert peer_names >= declared_names(extras["peers"]) >= {"backtesting", "empyrical-reloaded"}
    assert {name for name, _ in more} >= {name for name, _ in runtime} | {"ccxt", "pyarrow", "exchange-calendars"}
    assert {pin: (everything | peers).get(pin) for pin in more} == more
    assert not declared_names(extras["peers"]) & names, "the demo would wait for packages it does not need"
    assert all(everything.values())
    assert all(peers.values())
    assert {name for name, _ in runtime} < names
    assert {pin: everything.get(pin) for pin in runtime} == runtime
    shared_with_peers = {pin for pin in peers if pin[0] in names}
    assert {pin: everything.get(pin) for pin in shared_with_peers} == {pin: peers[pin] for pin in shared_with_peers}
