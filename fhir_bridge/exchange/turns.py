"""Writers of one resource take turns: a race leaves void entries on the ledger, a queue none."""

from __future__ import annotations

import asyncio
from weakref import WeakValueDictionary

__all__ = ["Turns"]


class Turns:
    """One lock for each resource that somebody of this process is writing."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def of(self, type_: str, id_: str) -> asyncio.Lock:
        """The lock of one resource. Only for who may know that it exists: waiting tells."""
        lock = self._locks.get((type_, id_))
        if lock is None:
            lock = self._locks[type_, id_] = asyncio.Lock()
        return lock
