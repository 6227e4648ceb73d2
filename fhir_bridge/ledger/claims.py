"""Which claim names are taken: eight bytes per claim, in memory.

Names are 32 bytes of a keyed hash, so their first eight bytes tell a thousand million of them
apart with a chance of one in 40 of a single false refusal; a refusal is the safe side. Sorted
runs are merged when the younger is as long as the elder: a log-structured tree with one run
per size, so that a look-up bisects a handful of arrays.
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


class Claims:
    """A set that only grows."""

    def __init__(self, run_length: int = RUN_LENGTH) -> None:
        self._run_length = run_length
        self._young: set[int] = set()
        self._runs: list[array[int]] = []

    def __contains__(self, name: bytes) -> bool:
        key = int.from_bytes(name[:_KEPT_BYTES], "big")
        if key in self._young:
            return True
        for run in reversed(self._runs):
            at = bisect_left(run, key)
            if at < len(run) and run[at] == key:
                return True
        return False

    def __len__(self) -> int:
        return len(self._young) + sum(map(len, self._runs))

    def add(self, names: Iterable[bytes]) -> None:
        """Take these names; they must not be taken yet."""
        self._young.update(int.from_bytes(name[:_KEPT_BYTES], "big") for name in names)

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
        """The segment is durable: move the young claims into a run and merge."""
        self._push(array("Q", sorted(self._young)))
        self._young = set()

    def load(self, segments: Iterable[bytes]) -> None:
        """Take what ``segment`` wrote, at start."""
        everything: array[int] = array("Q")
        for segment in segments:
            run: array[int] = array("Q")
            if len(segment) % _KEPT_BYTES:
                raise Corrupt("claims: a segment ends within a claim", code="claims")
            run.frombytes(segment)
            if sys.byteorder == "little":
                run.byteswap()
            everything.extend(run)
        if everything:
            self._push(array("Q", sorted(everything)))

    def _push(self, run: array[int]) -> None:
        self._runs.append(run)
        while len(self._runs) > 1 and len(self._runs[-2]) <= len(self._runs[-1]):
            young, elder = self._runs.pop(), self._runs.pop()
            elder.extend(young)
            self._runs.append(array("Q", sorted(elder)))
