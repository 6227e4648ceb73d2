"""Writers of one resource, and creators under one condition, take turns in this process.

A race for a version leaves void entries on the ledger and a queue none; a race of conditional
creations would make a resource each.
"""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

__all__ = ["Turns"]


class Turns:
    """One lock for each resource or condition that somebody of this process works on."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def of(self, type_: str, id_: str) -> asyncio.Lock:
        """The lock of one resource (or ``?condition``). Of a resource only for who may know that
        it exists: waiting tells."""
        lock = self._locks.get((type_, id_))
        if lock is None:
            lock = self._locks[type_, id_] = asyncio.Lock()
        return lock
