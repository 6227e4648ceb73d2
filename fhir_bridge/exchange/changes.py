"""What the writes of one process changed in the decisions of all: told to the others.

Each process remembers decisions and directives. Its own writes drop what they touch; of those
of another process it must hear, or else forget everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from fhir_bridge.clock import Clock

__all__ = ["NAMES", "Changes"]

NAMES = ""
"""Stands for the names in the directory."""
_KEPT = 10_000


class Changes:
    """The patients whose consents moved, in order, noted when that was durable."""

    def __init__(self, start: int = 0, kept: int = _KEPT) -> None:
        """``start``: another number for every process, so that none takes over a count."""
        self._last: deque[str] = deque(maxlen=kept)
        self.serial = start
        """Grows by one with each change."""

    @classmethod
    def of(cls, clock: Clock) -> Changes:
        """Changes of a process whose count is its own."""
        return cls(int.from_bytes(clock.random(6), "big"))

    def note(self, changes: Iterable[str]) -> None:
        """The consents of these patients moved (or `NAMES`)."""
        noted = tuple(changes)
        self._last.extend(noted)
        self.serial += len(noted)

    def lose(self) -> None:
        """Something changed, and it is not known what."""
        self._last.clear()
        self.serial += 1

    def since(self, serial: int) -> tuple[str, ...] | None:
        """What was noted after ``serial``; None when that is not known, or no longer."""
        count = self.serial - serial
        if not 0 <= count <= len(self._last):
            return None
        return tuple(self._last)[len(self._last) - count :]
