"""Time, ids and randomness, as one small object that is passed in.

Nothing else in the house reads a clock or a random source. Times are integer microseconds
since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache

__all__ = ["Clock", "day_of", "instant"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""RFC 9562 §4.1: the first two bits of that digit are 10."""


class _Small(threading.local):
    """Nonces and ids, which everybody may see: not worth one call of the system each.

    Keys are longer and never come from here. A forked process starts with nothing of it.
    """

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._bytes = b""
        self._at = 0

    def take(self, n: int) -> bytes:
        at, self._at = self._at, self._at + n
        if self._at > len(self._bytes):
            self._bytes = os.urandom(4096)
            at, self._at = 0, n
        return self._bytes[at : self._at]


_SMALL_BYTES = 16
_small = _Small()
os.register_at_fork(after_in_child=_small.clear)


class Clock:
    """The real clock and the operating system's randomness."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1000

    def random(self, n: int) -> bytes:
        """``n`` bytes from the operating system, small ``n`` out of 4 KiB fetched at once."""
        return _small.take(n) if n <= _SMALL_BYTES else os.urandom(n)

    def new_id(self) -> str:
        """A random (version 4) UUID as text: resource ids, version ids, request ids."""
        h = self.random(16).hex()
        return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-{_VARIANT[h[16]]}{h[17:20]}-{h[20:]}"


def instant(us: int) -> str:
    """R4 ``instant`` with milliseconds and ``Z`` (R4 datatypes.html#instant)."""
    return f"{_second(us // 1_000_000)}.{us // 1000 % 1000:03d}Z"


@lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def day_of(us: int) -> int:
    """Whole UTC days since 1970-01-01."""
    return us // 86_400_000_000
