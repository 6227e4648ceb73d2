"""What the writes of one process changed in the decisions of all: told to the others.

Each process remembers decisions and directives. Its own writes drop what they touch; of those
of another process it must hear, or else forget everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

__all__ = ["Changes"]

_KEPT = 10_000


class Changes:
    """The patients whose consents moved, in order; ``""`` stands for the names in the directory.

    Noted once the locator shows the change, so that whoever hears of it reads it anew.
    """

    def __init__(self, kept: int = _KEPT) -> None:
        self._last: deque[str] = deque(maxlen=kept)
        self.serial = 0
        """How many were noted so far."""

    def note(self, patients: Iterable[str], *, names: bool = False) -> None:
        """The consents of ``patients`` moved, or ``names`` of the directory."""
        noted = [*patients, *([""] if names else [])]
        self._last.extend(noted)
        self.serial += len(noted)

    def since(self, serial: int) -> tuple[str, ...] | None:
        """What was noted after the first ``serial``; None when that is no longer known."""
        count = self.serial - serial
        if not 0 <= count <= len(self._last):
            return None
        return tuple(self._last)[len(self._last) - count :]
