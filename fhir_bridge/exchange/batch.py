"""A batch: every entry for itself, by the same use case as a request of its own.

R4 http.html#transaction: the entries of a batch do not depend on one another.
"""

from __future__ import annotations

import asyncio
from itertools import groupby

from fhir_bridge.exchange.answer import Written, response_bundle
from fhir_bridge.exchange.contract import Answer, RequestInfo
from fhir_bridge.exchange.entries import (
    Left,
    admitted,
    deleted_line,
    entries_of,
    line_of,
    read_line,
    told,
    version_of,
    written_line,
)
from fhir_bridge.exchange.ingest import create, delete, update
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.fhir import Entry
from fhir_bridge.terms import Requester

__all__ = ["batch"]

_AT_ONCE = 64


async def batch(
    rooms: Rooms, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
) -> Answer:
    """Each entry for itself; a failure is told in its own line."""
    lines: list[Written] = []
    left = Left(rooms.limits.max_answer_bytes)
    # Creations share commits; whatever else there is keeps its order.
    for method, run in groupby(enumerate(entries_of(rooms, raw)), lambda pair: pair[1].method):
        pairs = list(run)
        width = _AT_ONCE if method == "POST" else 1
        for start in range(0, len(pairs), width):
            lines += await asyncio.gather(
                *(
                    told(rooms, _alone(rooms, requester, request, place, entry, base_url, left))
                    for place, entry in pairs[start : start + width]
                )
            )
    return Answer(
        response_bundle("batch-response", lines, rooms.clock.new_id()), rooms.reader.size()
    )


async def _alone(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    place: int,
    entry: Entry,
    base_url: str,
    left: Left,
) -> Written:
    """One entry of a batch, by the same use case as a request of its own."""
    work = admitted(requester, place, entry)
    request = line_of(request, entry)
    if entry.method == "GET":
        return await read_line(rooms, requester, request, entry, base_url, left)
    if entry.method == "DELETE":
        gone = await delete(rooms, requester, request, work.type, work.id, version_of(entry))
        return deleted_line(gone.version_id)
    assert entry.resource_raw is not None  # `admitted` refused an entry without a resource
    if entry.method == "PUT":
        made = await update(
            rooms, requester, request, work.type, work.id, entry.resource_raw, version_of(entry)
        )
    else:
        made = await create(
            rooms, requester, request, work.type, entry.resource_raw, entry.if_none_exist or None
        )
    return written_line(
        made.type, made.id, made.version_id, made.last_updated_us, created=made.created
    )
