"""Market data: immutable chunks of bars, manifests that list them, a head per series, and a disk cache in front.

The gateway and the workers talk to `Candles`; the engine process calls `open_bars` on what `Candles.fetch` returned.
"""

from typing import TYPE_CHECKING, Any

from shared.candles.cache import BarFiles, BarFilesGone, open_bars
from shared.candles.chunks import DamagedChunk
from shared.candles.manifest import ChunkRef, Slice
from shared.candles.series import BarConflict, Fault, Gap, OnConflict, first_fault, join_bars, merge_bars, take_bars

if TYPE_CHECKING:
    from shared.candles.catalogue import Candles, Dataset, ImportReport

__all__ = [
    "BarConflict",
    "BarFiles",
    "BarFilesGone",
    "Candles",
    "ChunkRef",
    "DamagedChunk",
    "Dataset",
    "Fault",
    "Gap",
    "ImportReport",
    "OnConflict",
    "Slice",
    "first_fault",
    "join_bars",
    "merge_bars",
    "open_bars",
    "take_bars",
]


def __getattr__(name: str) -> Any:
    """The catalogue when first asked for: an engine process opens bars and has no use for MongoDB's driver."""
    if name not in ("Candles", "Dataset", "ImportReport"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from shared.candles import catalogue

    return getattr(catalogue, name)
