"""The one hand that writes: seals and appends in the author's order, and recovers it.

Author sequence, previous entry id and audit chains are fixed when sealing. So between sealing
and handing over nothing may be awaited, and after a failed append (disk full, sequencer gone)
the memory of all three is ahead of the ledger: it is then taken anew from what is durable,
once nothing is in flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from fhir_bridge.errors import BridgeError, Unavailable
from fhir_bridge.ledger import Append, Appended, Refused

__all__ = ["Pen"]

_LIMIT_S = 30.0


class Pen:
    """Appends what ``build`` seals; one per process."""

    def __init__(
        self,
        append: Callable[[Append], Awaitable[Appended | Refused]],
        recover: Callable[[], Awaitable[None]],
    ) -> None:
        self._append = append
        self._recover = recover
        self._in_flight = 0
        self._broken = False
        self._whole = asyncio.Event()
        self._whole.set()

    @property
    def broken(self) -> bool:
        """Whether the last append failed and the pen has not recovered yet."""
        return self._broken

    async def write(self, build: Callable[[], Append]) -> Appended | Refused:
        """Seal with ``build`` and append. On return the result is durable.

        Unavailable when it could not be made durable; nothing of it is then on the ledger,
        or, after a lost connection, it may be: the caller must not release anything.
        """
        if self._broken:
            async with asyncio.timeout(_LIMIT_S):
                await self._whole.wait()
        append = build()
        self._in_flight += 1
        try:
            result = await self._append(append)
            if isinstance(result, Refused) and result.code == "author-sequence":
                raise Unavailable(
                    "the ledger did not take the entry in its order; try again",
                    code="author-sequence",
                )
            return result
        except (BridgeError, OSError):
            self._broken = True
            self._whole.clear()
            raise
        finally:
            self._in_flight -= 1
            if self._broken and not self._in_flight:
                await self._heal()

    async def _heal(self) -> None:
        try:
            await self._recover()
        finally:
            self._broken = False
            self._whole.set()
