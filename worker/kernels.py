"""Compiled kernels: what they are made from, which names the directory they are kept in."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path


@cache
def engine_digest() -> str:
    """Names the source of engine and strategies, which is what compiled kernels are made from."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for folder in (here / "engine", here.parent / "shared" / "strategies"):
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
