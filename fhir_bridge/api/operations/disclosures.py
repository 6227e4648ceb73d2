"""``Patient/[id]/$disclosures``: who saw what (45 CFR 164.528, accounting of disclosures)."""

from __future__ import annotations

from fhir_bridge.api.contract import Call, Reply
from fhir_bridge.api.replies import bundle, known_only

__all__ = ["disclosures"]


async def disclosures(call: Call) -> Reply:
    """The patient's disclosures as a Bundle of AuditEvents, straight from the ledger."""
    known_only(call)
    answer = await call.exchange.disclosures(
        call.who, call.info, call.params["id"], call.settings.base_url
    )
    return bundle(answer)
