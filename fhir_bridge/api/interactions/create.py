"""create (R4 http.html#create)."""

from __future__ import annotations

from fhir_bridge.api.contract import Call, Reply
from fhir_bridge.api.replies import known_only, receipt
from fhir_bridge.errors import Incorrect

__all__ = ["create"]


async def create(call: Call) -> Reply:
    """201 once the resource is durable on the ledger."""
    known_only(call)
    stored = await call.exchange.create(
        call.who, call.info, call.params["type"], call.body, _if_none_exist(call)
    )
    return receipt(call, stored)


def _if_none_exist(call: Call) -> str | None:
    lines = call.headers.lines("If-None-Exist")
    if len(lines) > 1 or not all(line.isascii() for line in lines):
        raise Incorrect("If-None-Exist must be one query, percent-encoded", code="if-none-exist")
    return lines[0] if lines else None
