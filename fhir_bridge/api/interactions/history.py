"""history of one resource (R4 http.html#history)."""

from __future__ import annotations

from fhir_bridge.api.contract import Call, Reply
from fhir_bridge.api.replies import bundle, search_pairs
from fhir_bridge.errors import Incorrect

__all__ = ["history"]


async def history(call: Call) -> Reply:
    """Every version that the requester may see, newest first."""
    answer = await call.exchange.history(
        call.who,
        call.info,
        call.params["type"],
        call.params["id"],
        _count(call),
        call.settings.base_url,
    )
    return bundle(answer)


def _count(call: Call) -> int:
    most = call.settings.limits.max_history
    wanted = most
    for name, value in search_pairs(call):
        if name == "_count":
            if not (value.isascii() and value.isdigit()) or int(value[:9]) < 1:
                raise Incorrect("_count is a positive number", code="bad-count")
            wanted = int(value[:9])
        elif not call.prefer.lenient:
            raise Incorrect("a history takes only _count", code="unknown-parameter")
    return min(wanted, most)
