"""delete (R4 http.html#delete)."""

from __future__ import annotations

from fhir_bridge.api.conditions import etag, if_match
from fhir_bridge.api.contract import Call, Reply
from fhir_bridge.api.outcome import informational
from fhir_bridge.api.replies import known_only, ledger_status

__all__ = ["delete"]


async def delete(call: Call) -> Reply:
    """204 once the deletion is durable; the versions before it stay in the history."""
    known_only(call)
    gone = await call.exchange.delete(
        call.who,
        call.info,
        call.params["type"],
        call.params["id"],
        if_match(call.headers.get("If-Match")),
    )
    headers = {"ETag": etag(gone.version_id), "Ledger-Status": ledger_status(gone.index)}
    if call.prefer.returns == "operationoutcome":
        return Reply(200, informational("Deleted."), headers=headers)
    return Reply(204, headers=headers)
