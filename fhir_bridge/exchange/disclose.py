"""A record goes out: gates first, then the disclosure on the ledger, then the bytes.

read, vread, history (R4 http.html#read, #vread, #history). What is hidden is answered as if it
were absent, and both leave a record.
"""

from __future__ import annotations

from fhir_bridge.errors import Gone, NotFound
from fhir_bridge.exchange.answer import Part, history_bundle
from fhir_bridge.exchange.contract import Answer, Released, RequestInfo
from fhir_bridge.exchange.gates import Gate
from fhir_bridge.exchange.release import release
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.exchange.scope import require_scope
from fhir_bridge.exchange.visible import absent, no_such, tell_of
from fhir_bridge.locator import Hit
from fhir_bridge.terms import Requester

__all__ = ["history", "read", "vread"]


async def read(
    rooms: Rooms, requester: Requester, request: RequestInfo, type_: str, id_: str
) -> Released:
    """The current version. Gone when it was deleted and the requester may know of it."""
    require_scope(requester, type_, "r")
    await rooms.pending.settle(type_, id_)
    hit = rooms.locator.current(type_, id_)
    return await _release_one(rooms, requester, request, type_, hit, "read")


async def vread(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    type_: str,
    id_: str,
    version_id: str,
) -> Released:
    """One version by its id; Gone when that version is the deletion."""
    require_scope(requester, type_, "r")
    await rooms.pending.settle(type_, id_)
    hit = rooms.locator.version(type_, id_, version_id)
    return await _release_one(rooms, requester, request, type_, hit, "vread")


async def history(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    type_: str,
    id_: str,
    count: int,
    base_url: str,
) -> Answer:
    """The versions that the requester may see, newest first, deletions among them."""
    require_scope(requester, type_, "r")
    await rooms.pending.settle(type_, id_)
    hits = _versions(rooms, rooms.gates.reading(requester, "r"), type_, id_, count)
    if not hits:
        newest = rooms.locator.current(type_, id_)
        await absent(rooms, requester, request, newest, "history")
        raise no_such(type_)
    index = await release(rooms, requester, request, "r", hits, "history")
    parts = [
        Part(
            h.type,
            h.id,
            h.version_id,
            h.updated_us,
            b"" if h.deleted else rooms.bodies.get(h.index),
            method="DELETE" if h.deleted else "POST" if h.number == 1 else "PUT",
        )
        for h in hits
    ]
    links = [("self", f"{base_url}/{type_}/{id_}/_history")]
    raw = history_bundle(base_url, parts, links, len(parts), rooms.clock.new_id())
    return Answer(raw, index)


def _versions(rooms: Rooms, gate: Gate, type_: str, id_: str, count: int) -> list[Hit]:
    """The newest ``count`` versions that the gate lets through, whatever lies between them."""
    hits: list[Hit] = []
    before: int | None = None
    while len(hits) < count:
        found = rooms.locator.history(type_, id_, before, count)
        hits += [hit for hit in found if gate(hit.group)]
        if len(found) < count:
            break
        before = found[-1].index
    return hits[:count]


async def _release_one(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    type_: str,
    hit: Hit | None,
    kind: str,
) -> Released:
    gate = rooms.gates.reading(requester, "r")
    if hit is None or not gate(hit.group):
        await absent(rooms, requester, request, hit, kind)
        raise no_such(type_)
    if hit.deleted:
        await tell_of(rooms, requester, request, hit, kind, "deleted")
        raise Gone(f"this {type_} was deleted")
    raw = rooms.bodies.get(hit.index)
    try:
        index = await release(rooms, requester, request, "r", [hit], kind)
    except NotFound:
        await absent(rooms, requester, request, hit, kind)
        raise
    return Released(hit.type, hit.id, hit.version_id, hit.updated_us, index, raw)
