"""Which claim names are taken: eight bytes per claim, in memory.

Names are 32 bytes of a keyed hash, so their first eight bytes tell a thousand million of them
apart with a chance of one in 40 of a single false refusal; a refusal is the safe side. They
stand in sorted buckets by their first twelve bits: finding and adding bisect one short array,
and no step grows with the log, as merging would.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable

from fhir_bridge.errors import Corrupt

__all__ = ["Claims"]

RUN_LENGTH = 4096
_KEPT_BYTES = 8
_BUCKET_BITS = 12
_SHIFT = 8 * _KEPT_BYTES - _BUCKET_BITS


class Claims:
    """A set that only grows, and what of it no segment on disk holds yet."""

    def __init__(self, run_length: int = RUN_LENGTH) -> None:
        self._run_length = run_length
        self._buckets = [array("Q") for _ in range(1 << _BUCKET_BITS)]
        self._young: list[int] = []

    def __contains__(self, name: bytes) -> bool:
        key = int.from_bytes(name[:_KEPT_BYTES], "big")
        bucket = self._buckets[key >> _SHIFT]
        at = bisect_left(bucket, key)
        return at < len(bucket) and bucket[at] == key

    def __len__(self) -> int:
        return sum(map(len, self._buckets))

    def add(self, names: Iterable[bytes]) -> None:
        """Take these names; they must not be taken yet."""
        for name in names:
            key = int.from_bytes(name[:_KEPT_BYTES], "big")
            bucket = self._buckets[key >> _SHIFT]
            bucket.insert(bisect_left(bucket, key), key)
            self._young.append(key)

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
        self._young.clear()

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
