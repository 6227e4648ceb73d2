"""What this process wrote and the locator may not show yet: reading waits, it never misses."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from fhir_bridge.exchange.pen import Pen

__all__ = ["Follower", "Pending"]

_KEPT = 4096


class Follower(Protocol):
    """Whoever brings the locator up to the ledger."""

    @property
    def known(self) -> int: ...

    async def reached(self, size: int) -> int: ...


class Pending:
    """Writes that lie above what the locator is known to cover, by resource and by type.

    ``covered``: the ledger size that the locator covers, looked up.
    """

    def __init__(self, follower: Follower, pen: Pen, covered: Callable[[], int]) -> None:
        self._follower = follower
        self._pen = pen
        self._covered = covered
        self._sweep_at = _KEPT
        self._resources: dict[tuple[str, str], int] = {}
        self._types: dict[str, int] = {}
        self._high = 0
        self._owed = 0
        """What everybody waits for (`shown`), whatever they ask about."""

    def wrote(self, type_: str, id_: str, size: int) -> None:
        """A version of this resource is on the ledger once it has ``size`` entries."""
        self._resources[type_, id_] = size
        self._types[type_] = size
        self._high = max(self._high, size)
        if len(self._resources) >= self._sweep_at:
            self._sweep()

    def owe(self, size: int) -> None:
        """Let everybody wait until the locator covers ``size``."""
        self._owed = max(self._owed, size)

    def _sweep(self) -> None:
        """Forget what the locator shows: where much is written, all of it never is at once."""
        try:
            covered = self._covered()
        except Exception:
            # What was just written is durable: a locator that cannot be read waits for next time.
            covered = 0
        self._resources = {key: size for key, size in self._resources.items() if size > covered}
        self._sweep_at = max(_KEPT, 2 * len(self._resources))

    @property
    def high(self) -> int:
        """The largest size that a write of this process made."""
        return self._high

    async def settle(self, type_: str, id_: str) -> None:
        """Wait until the locator shows every write of this process to one resource."""
        if self._resources or self._owed or self._pen.broken:
            await self._reached(self._resources.get((type_, id_), 0))

    async def settle_types(self, types: Iterable[str]) -> None:
        """Wait until the locator shows every write of this process to these types."""
        if self._types or self._owed or self._pen.broken:
            await self._reached(max((self._types.get(t, 0) for t in types), default=0))

    async def settle_all(self) -> None:
        """Wait until the locator shows every write of this process."""
        await self._reached(self._high)

    async def _reached(self, size: int) -> None:
        if self._pen.broken:
            # A write whose answer was lost may be there, a revocation among them.
            await self._pen.whole()
        size = max(size, self._owed)
        if size > self._follower.known:
            await self._follower.reached(size)
        if self._owed <= self._follower.known:
            self._owed = 0
        if self._types and self._high <= self._follower.known:
            self._resources.clear()
            self._types.clear()
