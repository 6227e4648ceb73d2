"""What a request leaves behind: one compact audit record per patient it released or named."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

from fhir_bridge.audit import DENIED, Entity, record
from fhir_bridge.consent import LEGAL_BASIS
from fhir_bridge.exchange.commit import Use, record_use
from fhir_bridge.exchange.contract import RequestInfo
from fhir_bridge.exchange.drafts import Draft
from fhir_bridge.exchange.gates import Gate
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.locator import Hit
from fhir_bridge.terms import Requester

__all__ = ["abridged", "refused", "released", "written"]

_LONG_QUERY = 1000
_ACTIONS = {"CREATE": "create", "UPDATE": "update", "DELETE": "delete"}


def written(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    drafts: Sequence[Draft],
    kind: str,
) -> list[tuple[str, bytes]]:
    """The records of a write: one per patient that it names or named before, and one for what is
    about nobody."""
    by_patient: dict[str, list[Entity]] = {}
    for draft in drafts:
        entity = Entity(
            draft.type,
            draft.id,
            draft.version_id,
            action=_ACTIONS[draft.entry_type.name] if len(drafts) > 1 else "",
        )
        for patient in draft.governs or ("",):
            by_patient.setdefault(patient, []).append(entity)
    now = rooms.clock.now_us()
    return [
        (
            patient,
            record(
                kind,
                at_us=now,
                requester=requester,
                network=request.address,
                request_id=request.id,
                entities=entities,
                patient=patient,
                chain=rooms.trail.name,
            ),
        )
        for patient, entities in by_patient.items()
    ]


def released(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    gate: Gate,
    hits: Iterable[Hit],
    kind: str,
) -> list[tuple[str, bytes]]:
    """The records of a release: per patient, what of theirs leaves and under which Consent.

    ``gate``: what they were just let through by. An answer without any patient's data leaves
    one record in the directory's chain.
    """
    by_patient: dict[str, list[Hit]] = {}
    for hit in hits:
        for patient in rooms.locator.facts(hit.group).patients or ("",):
            by_patient.setdefault(patient, []).append(hit)
    now = rooms.clock.now_us()
    queries = _queries("" if kind in ("read", "vread") else request.query)
    out: list[tuple[str, bytes]] = []
    for patient, theirs in (by_patient or {"": []}).items():
        ruled = [gate.decision(hit.group) for hit in theirs]
        consents = {c for decision in ruled for c in decision.consents}
        reasons = {r for decision in ruled for r in decision.reasons}
        out.append(
            (
                patient,
                record(
                    kind,
                    at_us=now,
                    requester=requester,
                    network=request.address,
                    request_id=request.id,
                    entities=[Entity(h.type, h.id, h.version_id, h.index) for h in theirs],
                    patient=patient,
                    relation=ruled[0].relation if ruled else "",
                    consents=sorted(consents),
                    reasons=sorted(reasons),
                    query=next(queries),
                    chain=rooms.trail.name,
                ),
            )
        )
    return out


def _queries(query: str) -> Iterator[str]:
    """The query for each record of one answer: whole in the first, a long one named in the
    others, as a page may be about hundreds of patients."""
    yield query
    query = abridged(query, _LONG_QUERY)
    while True:
        yield query


def abridged(text: str, most: int) -> str:
    """``text``, or where it is longer than ``most`` its beginning and what tells it from others."""
    if len(text) <= most:
        return text
    return f"{text[:most]}… SHA-256 {sha256(text.encode()).hexdigest()}"


async def refused(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    patients: Sequence[str],
    kind: str,
    reason: str,
    shown: Hit | None = None,
    decide: Callable[[], None] = lambda: None,
) -> None:
    """Make a refusal durable before it is told. Unavailable when it cannot be.

    ``kind`` is an audit kind (audit.SHAPES), ``reason`` a stable code: of the decision, or what
    else stood in the way. ``shown``: the version that the refusal tells of; ``decide`` raises
    when it may not be told of any more.
    """
    now = rooms.clock.now_us()
    queries = _queries(request.query)
    entities = [Entity(shown.type, shown.id, shown.version_id, shown.index)] if shown else []

    def records() -> list[tuple[str, bytes]]:
        return [
            (
                patient,
                record(
                    kind,
                    at_us=now,
                    requester=requester,
                    network=request.address,
                    request_id=request.id,
                    outcome=DENIED,
                    entities=entities,
                    patient=patient,
                    reasons=(reason,),
                    basis=LEGAL_BASIS.get(reason, ""),
                    query=next(queries),
                    chain=rooms.trail.name,
                ),
            )
            for patient in patients or ("",)
        ]

    told = patients if shown else ()
    await record_use(rooms, Use(requester.organization, told, decide, records))
