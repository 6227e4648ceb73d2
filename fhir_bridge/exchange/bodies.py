"""Opened bodies, kept while memory allows; a hit costs no key work, never a decision.

Values are the bytes as they are served. The bound is in bytes; erasing a patient empties it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Bodies"]


class Bodies:
    """The stored bytes by ledger position."""

    def __init__(self, load: Callable[[int], bytes], max_bytes: int = 16 << 20) -> None:
        self._load = load
        self._max_bytes = max_bytes
        self._bytes = 0
        self._held: OrderedDict[int, bytes] = OrderedDict()

    def get(self, index: int) -> bytes:
        """The stored bytes of the entry at ``index``; NotFound once its keys are destroyed."""
        raw = self._held.get(index)
        if raw is not None:
            self._held.move_to_end(index)
            return raw
        raw = self._load(index)
        self._held[index] = raw
        self._bytes += len(raw)
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._held.popitem(last=False)[1])
        return raw

    def clear(self) -> None:
        """Forget everything."""
        self._held.clear()
        self._bytes = 0
