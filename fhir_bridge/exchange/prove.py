"""A proof that can be taken home: the very bytes, the leaf, the way to a signed checkpoint.

``$ledger-proof``. Whoever may read a version gets its opening (sealed body and its key) inside
the proof; the release is recorded like any other.
"""

from __future__ import annotations

import asyncio

from fhir_bridge.errors import Gone, Unavailable
from fhir_bridge.exchange.contract import RequestInfo
from fhir_bridge.exchange.release import release
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.exchange.scope import require_scope
from fhir_bridge.exchange.visible import absent, no_such, tell_of
from fhir_bridge.ledger import prove
from fhir_bridge.locator import Hit
from fhir_bridge.terms import Requester

__all__ = ["proof"]

_LOOK_S = 0.1


async def proof(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    type_: str,
    id_: str,
    version_id: str | None,
) -> str:
    """The ``.tlog-proof`` text of one version, with its opening.

    Waits for the next checkpoint when none covers the entry yet: checkpoints come by the
    clock, so that their growth tells nothing about a request.
    """
    require_scope(requester, type_, "r")
    await rooms.pending.settle(type_, id_)
    hit = (
        rooms.locator.current(type_, id_)
        if version_id is None
        else rooms.locator.version(type_, id_, version_id)
    )
    gate = rooms.gates.reading(requester, "r")
    if hit is None or not gate(hit.group):
        await absent(rooms, requester, request, hit, "proof")
        raise no_such(type_)
    if hit.deleted:
        await tell_of(rooms, requester, request, hit, "proof", "deleted")
        raise Gone(f"this {type_} was deleted")
    checkpoint = await _covering(rooms, hit)
    # After the wait: a consent that moved meanwhile has its say, and nothing is awaited behind.
    await release(rooms, requester, request, "r", [hit], "proof")
    row = rooms.reader.row(hit.index)
    dek = rooms.sealer.dek_of(row.leaf, row.box, row.hint)
    return prove(rooms.reader, hit.index, dek, checkpoint).decode()


async def _covering(rooms: Rooms, hit: Hit) -> bytes:
    """The published checkpoint once it covers the entry; Unavailable when that takes too long."""
    try:
        async with asyncio.timeout(rooms.limits.proof_wait_s):
            while True:
                note = rooms.reader.checkpoint()
                if note is not None and rooms.reader.checkpoint_size() > hit.index:
                    return note
                await asyncio.sleep(_LOOK_S)
    except TimeoutError:
        pass
    raise Unavailable(
        "no signed checkpoint covers this entry yet; ask again in a few seconds",
        code="no-checkpoint-yet",
    )
