"""The one hand that writes: decides, seals and appends in the author's order, and heals.

Author sequence, previous entry id and audit chains are fixed when sealing. So between sealing
and handing over nothing may be awaited, and after an append that failed (disk full, sequencer
gone) the memory of all three is ahead of the ledger. It is then taken anew from what is
durable, once nothing that was sent before can come about any more; until then nobody writes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from fhir_bridge.errors import BridgeError, Unavailable
from fhir_bridge.ledger import Append, Appended, Ledger, Refused

__all__ = ["Pen"]

_log = logging.getLogger("fhir_bridge.exchange")
_LIMIT_S = 30.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0


class Pen:
    """Appends what it seals; one per process."""

    def __init__(self, ledger: Ledger, recover: Callable[[], Awaitable[None]]) -> None:
        self._ledger = ledger
        self._append = ledger.append
        self._recover = recover
        self._spoiled = False
        """What was sealed last is not on the ledger, or it is not known whether it is."""
        self._failures = ledger.failures
        """The ledger's count up to which all is healed. It also counts what nobody waits for."""
        self._healing: asyncio.Task[None] | None = None

    @property
    def broken(self) -> bool:
        """Whether something was sealed that did not get onto the ledger."""
        return self._spoiled or self._failures != self._ledger.failures

    async def write(
        self, decide: Callable[[], None], build: Callable[[], Append]
    ) -> Appended | Refused:
        """Append what ``build`` seals. On return the result is durable.

        ``decide`` raises when it may not be: asked right before sealing, however long the pen
        was broken. Unavailable when it could not be made durable; nothing of it is then on the
        ledger, or, after a lost connection, it may be: the caller must not release anything.
        """
        while self.broken:
            await self.whole()
        decide()
        try:
            result = await self._append(build())
        except (Exception, asyncio.CancelledError) as error:
            # Whoever goes away leaves the append behind: the ledger counts it when it fails.
            self._spoiled |= not isinstance(error, asyncio.CancelledError)
            if self.broken:
                self._mend()
            raise
        if isinstance(result, Refused) and result.code == "author-sequence":
            self._spoiled = True
            self._mend()
            raise Unavailable(
                "the ledger did not take the entry in its order; try again", code="author-sequence"
            )
        return result

    async def whole(self) -> None:
        """Wait until it is known what became of everything that was sealed; Unavailable when
        that takes too long."""
        try:
            async with asyncio.timeout(_LIMIT_S):
                while self.broken:
                    await asyncio.shield(self._mend())
        except TimeoutError:
            raise Unavailable(
                "an append failed, and what is durable could not be read anew yet; try again",
                code="pen-broken",
            ) from None

    def _mend(self) -> asyncio.Task[None]:
        if self._healing is None or self._healing.done():
            self._healing = asyncio.create_task(self._heal())
        return self._healing

    async def _heal(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while self.broken:
            try:
                await self._ledger.settle()
                failures = self._ledger.failures
                await self._recover()
            except Exception as error:
                if not isinstance(error, BridgeError | OSError):
                    _log.error("reading anew what is durable ended with %s", type(error).__name__)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            else:
                self._failures, self._spoiled = failures, False
