"""update (R4 http.html#update, #concurrency)."""

from __future__ import annotations

from fhir_bridge.api.conditions import if_match
from fhir_bridge.api.contract import Call, Reply
from fhir_bridge.api.replies import known_only, receipt

__all__ = ["update"]


async def update(call: Call) -> Reply:
    """A new version; with If-Match only if the named one is still current (else 412)."""
    known_only(call)
    stored = await call.exchange.update(
        call.who,
        call.info,
        call.params["type"],
        call.params["id"],
        call.body,
        if_match(call.headers.get("If-Match")),
    )
    return receipt(call, stored)
