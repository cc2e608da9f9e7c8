"""Market data: immutable chunks of bars, manifests that list them, a head per series, and a disk cache in front.

The gateway and the workers talk to `Candles`; the engine process calls `open_bars` on what `Candles.fetch` returned.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from shared.candles.cache import BarFiles, BarFilesGone, open_bars
from shared.candles.chunks import DamagedChunk
from shared.candles.manifest import ChunkRef, Slice
from shared.candles.series import BarConflict, Fault, Gap, OnConflict, first_fault, join_bars, merge_bars, take_bars

if TYPE_CHECKING:
    from shared.candles.catalogue import Candles
    from shared.candles.publishing import ImportReport
    from shared.candles.versions import StoredSeries

__all__ = [
    "BarConflict",
    "BarFiles",
    "BarFilesGone",
    "Candles",
    "ChunkRef",
    "DamagedChunk",
    "Fault",
    "Gap",
    "ImportReport",
    "OnConflict",
    "Slice",
    "StoredSeries",
    "first_fault",
    "join_bars",
    "merge_bars",
    "open_bars",
    "take_bars",
]


_OF_MONGODB = {"Candles": "catalogue", "ImportReport": "publishing", "StoredSeries": "versions"}


def __getattr__(name: str) -> Any:
    """These when first asked for: an engine process opens bars and has no use for MongoDB's driver."""
    if name not in _OF_MONGODB:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_OF_MONGODB[name]}"), name)
