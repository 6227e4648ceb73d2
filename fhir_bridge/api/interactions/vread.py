"""vread (R4 http.html#vread)."""

from __future__ import annotations

from fhir_bridge.api.contract import Call, Reply
from fhir_bridge.api.replies import known_only, resource

__all__ = ["vread"]


async def vread(call: Call) -> Reply:
    """One named version, judged like the current one."""
    known_only(call)
    params = call.params
    released = await call.exchange.vread(
        call.who, call.info, params["type"], params["id"], params["version"]
    )
    return resource(call, released)
