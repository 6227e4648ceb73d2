"""An operator's Bundles, many at once: each durable when answered, all seen at the last answer.

An import of thousands of Bundles would spend half its time waiting for the locator after each.
Until a Consent among them is in effect a count may be of before; what is disclosed may not, as
the ledger itself refuses a disclosure that was decided before.
"""

from __future__ import annotations

from fhir_bridge.exchange.bundle import carry_out
from fhir_bridge.exchange.contract import Answer, RequestInfo
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.exchange.shown import shown
from fhir_bridge.terms import Requester

__all__ = ["Operated"]


class Operated:
    """The operator's Bundles of this process."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._under_way = 0

    @property
    def is_idle(self) -> bool:
        """Whether none is under way."""
        return not self._under_way

    async def run(
        self, kind: str, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
    ) -> Answer:
        """Carry out one; the last of those under way returns when this process sees them all."""
        told: Answer | Exception
        self._under_way += 1
        try:
            told = await carry_out(self._rooms, kind, requester, request, raw, base_url)
        except Exception as error:
            told = error
        finally:
            self._under_way -= 1
        # In this order: the first gives up when the locator does not answer.
        if self.is_idle and await shown(self._rooms, self._rooms.pending.high):
            await self._rooms.effects.settled()
        if isinstance(told, Exception):
            raise told
        return told
