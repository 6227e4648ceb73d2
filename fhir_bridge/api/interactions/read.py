"""read (R4 http.html#read, #cread)."""

from __future__ import annotations

from fhir_bridge.api.contract import Call, Reply
from fhir_bridge.api.replies import known_only, resource

__all__ = ["read"]


async def read(call: Call) -> Reply:
    """The current version, if it may be seen; absence and refusal are one answer."""
    known_only(call)
    params = call.params
    return resource(
        call, await call.exchange.read(call.who, call.info, params["type"], params["id"])
    )
