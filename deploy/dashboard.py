"""`make dashboard`: the files that gateways serve as their page, made of their source in `api/dashboard`.

They are the same bytes wherever, whenever and by whomever they are made: nothing of the environment gets into the
build. Of which source they are made stands beside them, so that a test tells without Node when it is not this one.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from deploy.node import INSTALL_ALONE_TIMEOUT_S, NodeMissing, node_with_packages, npm_of

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path("api", "dashboard")
CONTRACT = Path("docs", "contract")
STATIC = "static"
BUILT_FROM = ".built-from"
STEPS = ("wire", "check", "build")
_STEP_TIMEOUT_S = 300
_NO_SOURCE = {STATIC, "node_modules"}


def source_files(root: Path = ROOT) -> Iterator[Path]:
    """All that the built files depend on, relative to `root`: the source, what names its packages, and the contract
    that its types are made of."""
    top = [path for path in (root / SOURCE).iterdir() if path.name not in _NO_SOURCE]
    found = [path for one in top for path in (one, *one.rglob("*")) if not path.name.endswith(".test.ts")]
    found += (root / CONTRACT).rglob("*.json")
    names = sorted(path.relative_to(root).as_posix() for path in found if path.is_file())
    yield from (Path(name) for name in names if "/." not in name)


def fingerprint(root: Path = ROOT) -> str:
    """Of the names and contents of all source files."""
    whole = hashlib.sha256()
    for path in source_files(root):
        content = hashlib.sha256((root / path).read_bytes()).hexdigest()
        whole.update(f"{content}  {path.as_posix()}\n".encode())
    return whole.hexdigest()


def run_step(node: Path, step: str, root: Path = ROOT) -> None:
    """A script of the dashboard's `package.json`, in an environment of its own. Raises `CalledProcessError` with what
    it said."""
    with tempfile.TemporaryDirectory(prefix="backfleet-npm-") as home:
        path = f"{node.parent}:/usr/bin:/bin"
        clean = {"HOME": home, "PATH": path, "TZ": "UTC", "LC_ALL": "C", "NODE_ENV": "production"}
        command = [str(node), str(npm_of(node)), "run", "--silent", "--no-update-notifier", step]
        subprocess.run(
            command,
            cwd=root / SOURCE,
            env=clean,
            umask=0o022,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_STEP_TIMEOUT_S,
            check=True,
        )


def build(node: Path, root: Path = ROOT, steps: tuple[str, ...] = STEPS) -> Path:
    """Makes the folder of built files, without anything that was in it before, and says where it is."""
    static = root / SOURCE / STATIC
    for step in steps:
        run_step(node, step, root)
    (static / BUILT_FROM).write_text(f"{fingerprint(root)}\n")
    return static


def main() -> int:
    try:
        static = build(node_with_packages(ROOT / SOURCE, INSTALL_ALONE_TIMEOUT_S))
    except NodeMissing as missing:
        sys.stderr.write(f"the dashboard cannot be built here: {missing}\n")
        return 1
    except subprocess.CalledProcessError as failed:
        sys.stderr.write(f"{failed.stdout}\n`npm run {failed.cmd[-1]}` failed in {ROOT / SOURCE}\n")
        return 1
    size = sum(path.stat().st_size for path in static.rglob("*") if path.is_file())
    print(f"built        {static}, {size / 1000:,.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
