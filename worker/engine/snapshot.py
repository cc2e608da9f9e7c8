"""The bytes of a snapshot: a version, a JSON header, raw little-endian arrays, and a digest over all of it.

Layout: b"BFSNAP" · uint16 format · uint32 header length · header · arrays in the header's order · SHA-256 of the rest.
The header holds configuration, strategies with parameters, seed, the engine's version and what bars it ran over.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.errors import EngineFailed

_MAGIC = b"BFSNAP"
_FORMAT = 1
_PREFIX = struct.Struct("<6sHI")
_DIGEST_BYTES = 32


class SnapshotUnfit(EngineFailed):
    """A snapshot this engine cannot go on from: damaged, of another version, or of other bars. Start again instead."""

    code = "snapshot_unfit"

    def __init__(self, message: str) -> None:
        super().__init__(message, fault=False)


def pack(header: Mapping[str, Any], arrays: Mapping[str, NDArray[np.float64]]) -> bytes:
    shapes = {name: list(array.shape) for name, array in arrays.items()}
    text = json.dumps({**header, "arrays": shapes}, allow_nan=False, separators=(",", ":")).encode()
    parts = [_PREFIX.pack(_MAGIC, _FORMAT, len(text)), text]
    parts += [np.ascontiguousarray(array, "<f8").tobytes() for array in arrays.values()]
    body = b"".join(parts)
    return body + hashlib.sha256(body).digest()


def unpack(blob: bytes) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """Header and read-only arrays. Raises `SnapshotUnfit` for bytes that are not a whole snapshot of this format."""
    if len(blob) < _PREFIX.size + _DIGEST_BYTES:
        raise SnapshotUnfit(f"a snapshot of {len(blob)} bytes is cut short")
    magic, version, header_length = _PREFIX.unpack_from(blob)
    if magic != _MAGIC or version != _FORMAT:
        raise SnapshotUnfit(f"not a snapshot of format {_FORMAT} (starts with {magic!r}, format {version})")
    body = memoryview(blob)[:-_DIGEST_BYTES]
    if hashlib.sha256(body).digest() != blob[-_DIGEST_BYTES:]:
        raise SnapshotUnfit("the snapshot's digest does not match its bytes: it is damaged")
    offset = _PREFIX.size + header_length
    header: dict[str, Any] = json.loads(bytes(body[_PREFIX.size : offset]))
    arrays: dict[str, NDArray[np.float64]] = {}
    shapes: dict[str, list[int]] = header["arrays"]
    for name, shape in shapes.items():
        count = math.prod(shape)
        arrays[name] = np.frombuffer(body, "<f8", count, offset).reshape(shape)
        offset += count * 8
    return header, arrays
