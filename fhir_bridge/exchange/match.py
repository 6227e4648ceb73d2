"""Conditional references and conditional creates: matched over what the writer may see.

R4 http.html#ccreate, http.html#transaction. A hidden match is as if absent.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from fhir_bridge.errors import Incorrect, Precondition
from fhir_bridge.exchange.contract import RequestInfo
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.locator import Hit
from fhir_bridge.search import Limits, parse, plan
from fhir_bridge.terms import Requester

__all__ = ["conditional", "matches"]


def matches(rooms: Rooms, requester: Requester, type_: str, query: str) -> list[Hit]:
    """Up to two current resources that match ``query``; two mean that it is ambiguous."""
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=False, encoding="utf-8")
    if not pairs:
        raise Incorrect("a condition needs at least one search parameter", code="no-condition")
    asked = parse(type_, pairs, Limits(count=2, max_count=2), now_us=rooms.clock.now_us())
    gate = rooms.gates.reading(requester, "s")
    return list(rooms.locator.search(plan(asked), gate).hits)


async def conditional(
    rooms: Rooms, requester: Requester, request: RequestInfo, type_: str, query: str
) -> Hit | None:
    """The one match of ``If-None-Exist``, or None. Precondition when there are several."""
    await rooms.pending.settle_types((type_,))
    found = matches(rooms, requester, type_, query)
    if len(found) > 1:
        raise Precondition(
            "several resources match the condition (R4 http.html#ccreate)", code="multiple-matches"
        )
    return found[0] if found else None
