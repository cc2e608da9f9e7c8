"""The dashboard's built files are those that its source makes, wherever and by whomever it is built."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.dashboard import BUILT_FROM, CONTRACT, ROOT, SOURCE, STATIC, build, fingerprint, run_step
from deploy.node import NodeMissing, node_with_packages

METRICS = Path("docs/metrics.md")  # which the tests of the source hold its words against
MADE_ANEW = "api/dashboard/static is not what its source makes; run `make dashboard` and commit what it changes"


def test_the_built_files_are_made_of_this_source() -> None:
    stamp = ROOT / SOURCE / STATIC / BUILT_FROM
    assert stamp.is_file(), MADE_ANEW
    assert stamp.read_text().strip() == fingerprint(), MADE_ANEW


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A source of a few files."""
    for name, text in {
        "index.html": "page",
        "package-lock.json": "{}",
        "src/a.ts": "1",
        "src/wire/b.ts": "2",
        "src/a.test.ts": "test",
        "static/index.html": "built",
        "node_modules/x/y.js": "theirs",
        ".not-installed": "",
    }.items():
        (tmp_path / SOURCE / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / SOURCE / name).write_text(text)
    (tmp_path / CONTRACT).mkdir(parents=True)
    (tmp_path / CONTRACT / "openapi.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize("name", ["index.html", "package-lock.json", "src/a.ts", "src/new.ts", "src/wire/deep/new.css"])
def test_another_source_has_another_fingerprint(small: Path, name: str) -> None:
    before, path = fingerprint(small), small / SOURCE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("other")
    assert fingerprint(small) != before


def test_a_file_that_moved_or_went_and_another_contract_have_another_fingerprint(small: Path) -> None:
    seen = {fingerprint(small)}
    (small / SOURCE / "src" / "a.ts").rename(small / SOURCE / "src" / "c.ts")
    seen.add(fingerprint(small))
    (small / SOURCE / "src" / "c.ts").unlink()
    seen.add(fingerprint(small))
    (small / CONTRACT / "openapi.json").write_text('{"paths":{}}')
    seen.add(fingerprint(small))
    assert len(seen) == 4


@pytest.mark.parametrize("name", ["src/a.test.ts", "static/index.html", "node_modules/x/y.js", ".not-installed"])
def test_what_is_not_built_from_makes_no_difference(small: Path, name: str) -> None:
    before = fingerprint(small)
    (small / SOURCE / name).write_text("other")
    assert fingerprint(small) == before


# With Node, which takes its time where other tests run beside it.

slowly = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def node() -> Path:
    try:
        return node_with_packages(ROOT / SOURCE)
    except NodeMissing as missing:
        pytest.skip(f"the dashboard cannot be built here: {missing}")


@pytest.fixture(scope="module")
def elsewhere(node: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The source in another folder, for who has another clock, another language and other habits."""
    root = tmp_path_factory.mktemp("another folder") / "of another"
    shutil.copytree(ROOT / SOURCE, root / SOURCE, ignore=shutil.ignore_patterns(STATIC, "node_modules", ".*"))
    shutil.copytree(ROOT / CONTRACT, root / CONTRACT)
    shutil.copy(ROOT / METRICS, root / METRICS)
    (root / SOURCE / "node_modules").symlink_to(ROOT / SOURCE / "node_modules")
    (root / SOURCE / STATIC / "assets").mkdir(parents=True)
    (root / SOURCE / STATIC / "assets" / "old-0ddba11.js").write_text("nobody makes this any more")
    before = os.umask(0o077)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8", "NODE_ENV": "development"}.items():
            patch.setenv(name, value)
        yield root
    os.umask(before)


def step(node: Path, name: str, root: Path) -> None:
    try:
        run_step(node, name, root)
    except subprocess.CalledProcessError as failed:
        pytest.fail(f"npm run {name}\n{failed.stdout}")


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@slowly
def test_types_of_what_crosses_the_wire_are_those_of_the_contract(node: Path, elsewhere: Path) -> None:
    wire = SOURCE / "src" / "wire"
    step(node, "wire", elsewhere)
    assert files_below(elsewhere / wire) == files_below(ROOT / wire), "run `make dashboard`"


@slowly
@pytest.mark.parametrize("name", ["check", "test"])
def test_the_source_has_its_types_right_and_passes_its_tests(node: Path, elsewhere: Path, name: str) -> None:
    step(node, name, elsewhere)


@slowly
def test_the_same_bytes_are_built_elsewhere(node: Path, elsewhere: Path) -> None:
    static = build(node, elsewhere, ("build",))
    assert static.stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o777 for path in static.rglob("*.js")} == {0o644}
    built, kept = files_below(static), files_below(ROOT / SOURCE / STATIC)
    assert built.keys() == kept.keys(), MADE_ANEW
    assert [name for name in built if built[name] != kept[name]] == [], MADE_ANEW
