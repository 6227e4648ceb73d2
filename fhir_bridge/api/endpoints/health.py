"""``/health``: alive, and ready with reasons and what to do."""

from __future__ import annotations

import orjson

from fhir_bridge.api.contract import Call, Reply

__all__ = ["live", "ready"]


async def live(_call: Call) -> Reply:
    """The process answers; nothing more."""
    return Reply(200, b'{"live":true}', "application/json")


async def ready(call: Call) -> Reply:
    """200 when requests would succeed, else 503 with reasons."""
    state = call.exchange.ready()
    status = 200 if state.get("ready") is True else 503
    reply = Reply(status, orjson.dumps(state), "application/json")
    if status == 503:
        reply.headers["Retry-After"] = "2"
    return reply
