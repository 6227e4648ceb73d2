"""An operator's Bundles, many at once: each durable when answered, all seen at the last answer.

An import of thousands of Bundles would spend half its time waiting for the locator after each.
Nobody but the operator knows of what is under way; disclosures are guarded by the ledger itself
meanwhile, so that no Consent among it is overlooked.
"""

from __future__ import annotations

from fhir_bridge.exchange import bundle
from fhir_bridge.exchange.contract import Answer, RequestInfo
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.terms import Requester

__all__ = ["Operated"]


class Operated:
    """The operator's Bundles of this process."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms
        self._under_way = 0

    async def run(
        self, kind: str, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
    ) -> Answer:
        """Carry out one; the last of those under way returns when every reader sees them all."""
        work = bundle.transaction if kind == "transaction" else bundle.batch
        self._under_way += 1
        try:
            return await work(self._rooms, requester, request, raw, base_url)
        finally:
            self._under_way -= 1
            if not self._under_way:
                await self._rooms.effects.settled()
                await self._rooms.pending.settle_all()
