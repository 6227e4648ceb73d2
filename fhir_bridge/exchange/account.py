"""Accounting: everything that was done with a patient's records, from the chains themselves.

``Patient/$disclosures``. The chain of each writer is walked from its start; a row that is
missing or does not fit ends the accounting with Corrupt instead of a shorter list.
"""

from __future__ import annotations

import hashlib

import orjson

from fhir_bridge.audit import Record, Server, disclosures_bundle, parse
from fhir_bridge.errors import Corrupt, NotFound
from fhir_bridge.exchange.contract import Answer, RequestInfo
from fhir_bridge.exchange.gates import Gate
from fhir_bridge.exchange.release import release
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.exchange.scope import require_scope
from fhir_bridge.exchange.trail import audit_pairs
from fhir_bridge.exchange.visible import absent, no_such
from fhir_bridge.terms import Relation, Requester

__all__ = ["chain_of", "disclosures"]

_PAGE = 1000


async def disclosures(
    rooms: Rooms, requester: Requester, request: RequestInfo, patient_id: str, base_url: str
) -> Answer:
    """Who saw what of the patient, for the patient and for the author of the Patient entry."""
    require_scope(requester, "Patient", "r")
    require_scope(requester, "AuditEvent", "s")
    await rooms.pending.settle("Patient", patient_id)
    hit = rooms.locator.current("Patient", patient_id)

    def is_theirs(gate: Gate) -> bool:
        return (
            hit is not None
            and gate.decision(hit.group).relation is not Relation.OTHER
            and gate(hit.group)
        )

    if hit is None or not is_theirs(rooms.gates.reading(requester, "r")):
        await absent(rooms, requester, request, hit, "disclosures")
        raise no_such("Patient")
    await rooms.follower.reached(rooms.reader.size())
    rows = [(str(a), record) for a, status, record in chain_of(rooms, patient_id) if status == 0]
    try:
        index = await release(rooms, requester, request, "r", [hit], "disclosures", is_theirs)
    except NotFound:
        await absent(rooms, requester, request, hit, "disclosures")
        raise
    bundle = disclosures_bundle(
        rows,
        server=Server(rooms.member, base_url),
        self_url=f"{base_url}/Patient/{patient_id}/$disclosures",
    )
    return Answer(orjson.dumps(bundle), index)


def chain_of(rooms: Rooms, patient: str) -> list[tuple[int, int, Record]]:
    """(row number, status, record) of one patient's chains, oldest first; Corrupt when a row
    is missing or was put in between."""
    handle = rooms.store.key_set(audit_pairs(patient)).handle
    numbers: list[int] = []
    before: int | None = None
    while found := rooms.locator.audit_of(handle, before, _PAGE):
        numbers.extend(found)
        before = found[-1]
    ends: dict[str, tuple[int, bytes]] = {}
    out: list[tuple[int, int, Record]] = []
    for number in reversed(numbers):
        row = rooms.reader.audit_row(number)
        seq, previous, raw = rooms.sealer.open_audit(row.sealed, row.hint)
        record = parse(raw)
        if (seq, previous) != ends.get(record.chain, (1, bytes(32))):
            raise Corrupt(
                f"the audit chain breaks before row {number}: a record was removed or put in",
                code="audit-chain",
            )
        ends[record.chain] = (seq + 1, hashlib.sha256(row.sealed).digest())
        out.append((number, row.status, record))
    return out
