"""``Patient/[id]/$everything`` (R4 patient-operation-everything.html)."""

from __future__ import annotations

from fhir_bridge.api.contract import Call, Reply
from fhir_bridge.api.replies import bundle, search_pairs

__all__ = ["everything"]


async def everything(call: Call) -> Reply:
    """What the patient's compartment holds and the requester may see."""
    answer = await call.exchange.everything(
        call.who, call.info, call.params["id"], search_pairs(call), call.settings.base_url
    )
    return bundle(answer)
