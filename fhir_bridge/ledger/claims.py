"""Which claim names are taken: eight bytes per claim, in memory.

Names are 32 bytes of a keyed hash, so their first eight bytes (`claim_key`) tell a thousand
million of them apart with a chance of one in 40 of a single false refusal; a refusal is the safe
side. They stand in sorted buckets by their first twelve bits: finding and adding bisect one short
array, and no step grows with the log, as merging would. What was taken last stands in plain sets
and moves to the buckets a few at a time, so that a large append is no pause for the next one.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable

from fhir_bridge.errors import Corrupt

__all__ = ["Claims", "claim_key"]

RUN_LENGTH = 4096
_KEPT_BYTES = 8
_BUCKET_BITS = 12
_SHIFT = 8 * _KEPT_BYTES - _BUCKET_BITS
_STEP, _SHARE = 64, 16
"""With each commit so many keys move to the buckets, and a sixteenth of what waits for it."""


def claim_key(name: bytes) -> int:
    """The eight bytes by which a claim is known here."""
    return int.from_bytes(name[:_KEPT_BYTES], "big")


class Claims:
    """A set of keys that only grows, and what of it no segment on disk holds yet."""

    def __init__(self, run_length: int = RUN_LENGTH) -> None:
        self._run_length = run_length
        self._buckets = [array("Q") for _ in range(1 << _BUCKET_BITS)]
        self._young: set[int] = set()
        """In no segment yet."""
        self._grown: set[int] = set()
        """In a segment, on their way to the buckets."""

    def __contains__(self, key: int) -> bool:
        if key in self._young or key in self._grown:
            return True
        bucket = self._buckets[key >> _SHIFT]
        at = bisect_left(bucket, key)
        return at < len(bucket) and bucket[at] == key

    def __len__(self) -> int:
        return len(self._young) + len(self._grown) + sum(map(len, self._buckets))

    def has_any(self, keys: set[int]) -> bool:
        """Whether one of them is taken."""
        if not (self._young.isdisjoint(keys) and self._grown.isdisjoint(keys)):
            return True
        for key in keys:
            bucket = self._buckets[key >> _SHIFT]
            at = bisect_left(bucket, key)
            if at < len(bucket) and bucket[at] == key:
                return True
        return False

    def add(self, keys: Iterable[int]) -> None:
        """Take these; they must not be taken yet."""
        self._young.update(keys)
        waiting = len(self._grown)
        for _ in range(min(waiting, _STEP + waiting // _SHARE)):
            key = self._grown.pop()
            bucket = self._buckets[key >> _SHIFT]
            bucket.insert(bisect_left(bucket, key), key)

    def due(self) -> bool:
        """True when enough young claims wait to be written out as a segment."""
        return len(self._young) >= self._run_length

    def segment(self) -> bytes:
        """The young claims, sorted, big-endian: what a segment on disk holds."""
        run = array("Q", sorted(self._young))
        if sys.byteorder == "little":
            run.byteswap()
        return run.tobytes()

    def settle(self) -> None:
        """The segment is durable."""
        self._grown |= self._young
        self._young = set()

    def load(self, segments: Iterable[bytes]) -> None:
        """Take what ``segment`` wrote, at start."""
        for segment in segments:
            run: array[int] = array("Q")
            if len(segment) % _KEPT_BYTES:
                raise Corrupt("claims: a segment ends within a claim", code="claims")
            run.frombytes(segment)
            if sys.byteorder == "little":
                run.byteswap()
            for key in run:
                self._buckets[key >> _SHIFT].append(key)
        self._buckets = [array("Q", sorted(bucket)) for bucket in self._buckets]
