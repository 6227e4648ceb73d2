"""Time, ids and randomness, as one small object that is passed in.

Nothing else in the house reads a clock or a random source. Times are integer microseconds
since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

import os
import time
import uuid
from datetime import UTC, datetime, timedelta

__all__ = ["Clock", "day_of", "instant"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock:
    """The real clock and the operating system's randomness."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1000

    def random(self, n: int) -> bytes:
        """``n`` bytes from the operating system."""
        return os.urandom(n)

    def new_id(self) -> str:
        """A random (version 4) UUID as text: resource ids, version ids, request ids."""
        return str(uuid.UUID(bytes=self.random(16), version=4))


def instant(us: int) -> str:
    """R4 ``instant`` with milliseconds and ``Z`` (R4 datatypes.html#instant)."""
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.") + (
        f"{us // 1000 % 1000:03d}Z"
    )


def day_of(us: int) -> int:
    """Whole UTC days since 1970-01-01."""
    return us // 86_400_000_000
