"""What nobody can need any more of market data, and how it is removed while others import and submit.

A chunk is needed while a manifest lists it; a manifest while it is the head of its series, while a record is pinned to
it, or while its `wantedAt` is young. That is the moment, on MongoDB's clock, at which an import last wrote the
document, found it written already, or was about to put another head in its place or none. So:

- An import is never robbed. All that it writes or builds upon is wanted now or listed by the head, and it moves the
  head within `PUBLISH_WITHIN_S` or gives up: before anything of it reaches the least age.
- A submit, or a worker that pins a task, is never robbed. Whatever head it read was the head at that moment, so it
  stays wanted for about `SAFE_AGE_MS` from then on; requests to MongoDB end within seconds, and what is pinned is kept.
- Each removal is one conditional delete that names the age again: whoever wants a document at the same moment either
  renews it first, and it stays, or finds it gone and writes it anew.
- Manifests go before chunks are counted, and chunks are judged by the manifests that are there after that. One that
  was killed half-way leaves chunks that the next one removes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from pymongo.asynchronous.collection import AsyncCollection

from shared.mongo import Document

PinnedAmong = Callable[[list[str]], Awaitable[set[str]]]

SAFE_AGE_MS = 3_600_000
PUBLISH_WITHIN_S = SAFE_AGE_MS / 2_000  # half of it: pauses and the clock's error have the other half
_BATCH = 500


@dataclass(frozen=True, slots=True)
class GarbageReport:
    """What was removed, or would be: versions, chunks, and the bytes of their columns as stored. `kept` stay."""

    versions: int
    chunks: int
    chunk_bytes: int
    kept_versions: int
    kept_chunks: int
    dry_run: bool

    def summary(self) -> str:
        """One line for people."""
        done = "would be removed" if self.dry_run else "removed"
        return (
            f"{self.versions:,} old versions and {self.chunks:,} chunks ({self.chunk_bytes:,} bytes) {done}; "
            f"{self.kept_versions:,} versions and {self.kept_chunks:,} chunks stay"
        )


async def collect_garbage(
    heads: AsyncCollection[Document],
    manifests: AsyncCollection[Document],
    chunks: AsyncCollection[Document],
    pinned_among: PinnedAmong,
    now_ms: int,
    older_than_ms: int,
    dry_run: bool,
) -> GarbageReport:
    """Removes what nobody needs and nobody wanted for `older_than_ms` (at least `SAFE_AGE_MS`) before `now_ms`."""
    unwanted: Document = {"wantedAt": {"$lt": now_ms - max(older_than_ms, SAFE_AGE_MS)}}
    old = [one["_id"] async for one in manifests.find(unwanted, {"_id": 1})]
    current = {head["manifestId"] async for head in heads.find({}, {"manifestId": 1})}
    doomed: set[str] = set()
    for batch in _batches([one for one in old if one not in current]):
        doomed |= set(batch) - await pinned_among(batch)
    versions = len(doomed) if dry_run else await _remove(manifests, sorted(doomed), unwanted)
    listed: set[str] = set()
    kept_versions = 0
    async for manifest in manifests.find({}, {"chunks": 1}):
        # A doomed one that is still there in earnest was wanted again in time, and stays with all it lists.
        if not (dry_run and manifest["_id"] in doomed):
            kept_versions += 1
            listed.update(chunk["id"] for chunk in manifest["chunks"])
    sizes = {
        one["_id"]: int(one["packedBytes"])
        async for one in chunks.find(unwanted, {"packedBytes": 1})
        if one["_id"] not in listed
    }
    removed = len(sizes) if dry_run else await _remove(chunks, sorted(sizes), unwanted)
    kept_chunks = await chunks.count_documents({}) - (removed if dry_run else 0)
    return GarbageReport(versions, removed, sum(sizes.values()), kept_versions, kept_chunks, dry_run)


async def _remove(collection: AsyncCollection[Document], ids: Sequence[str], unwanted: Document) -> int:
    removed = 0
    for batch in _batches(ids):
        removed += (await collection.delete_many({"_id": {"$in": batch}} | unwanted)).deleted_count
    return removed


def _batches(ids: Sequence[str]) -> Iterator[list[str]]:
    for at in range(0, len(ids), _BATCH):
        yield list(ids[at : at + _BATCH])
