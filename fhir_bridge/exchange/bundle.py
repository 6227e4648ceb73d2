"""A Bundle that asks for work, by its type (R4 http.html#transaction)."""

from __future__ import annotations

from fhir_bridge.exchange.batch import batch
from fhir_bridge.exchange.contract import Answer, RequestInfo
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.exchange.transaction import transaction
from fhir_bridge.terms import Requester

__all__ = ["carry_out"]

_KINDS = {"transaction": transaction, "batch": batch}


async def carry_out(
    rooms: Rooms, kind: str, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
) -> Answer:
    """``kind`` is ``transaction`` or ``batch``."""
    return await _KINDS[kind](rooms, requester, request, raw, base_url)
