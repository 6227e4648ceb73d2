"""Seal, then record and audit entry in one append: the moment of a write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from fhir_bridge.errors import Conflict, Fault, Unavailable
from fhir_bridge.exchange.changes import NAMES
from fhir_bridge.exchange.drafts import Draft
from fhir_bridge.exchange.effects import decide_anew
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.exchange.trail import audit_pairs
from fhir_bridge.ledger import Append, Appended, AuditRow, Entry, Refused

__all__ = ["commit_drafts", "consent_cell", "guards", "record_use"]

Records = Sequence[tuple[str, bytes]]
"""``(patient or "", compact audit record)`` pairs."""

_TRIES = 8
_GOVERNING = frozenset({"Consent", "Patient"})
"""Types whose entries may change what consent says of a patient."""


def consent_cell(rooms: Rooms, patient: str) -> bytes:
    """The guard cell that moves with every governing entry of ``patient``."""
    return rooms.keys.cell("consent", patient)


def guards(rooms: Rooms, patients: Sequence[str]) -> tuple[tuple[bytes, int], ...]:
    """Refuse the append if a governing entry of any of ``patients`` came after our reading."""
    return tuple((consent_cell(rooms, p), rooms.consents.seen(p)) for p in patients)


async def commit_drafts(
    rooms: Rooms,
    drafts: Sequence[Draft],
    decide: Callable[[], None],
    records: Callable[[], Records],
    *,
    later: bool = False,
) -> Appended:
    """Append all of ``drafts`` with their audit records, or none; durable on return.

    ``decide`` raises when the write may not be made; it is asked again whenever a Consent moved
    on. What governs has taken effect on return; with ``later`` once `Effects` are settled.
    Conflict (``version-conflict``) when another write to one of the resources came first.
    """
    patients = sorted({p for d in drafts for p in d.facts.patients})
    rooms.store.ensure([d.pairs for d in drafts] + [audit_pairs(p) for p in patients or ("",)])
    rooms.on_step("keys")
    bumps = tuple(
        consent_cell(rooms, p)
        for p in sorted({p for d in drafts if d.type in _GOVERNING for p in d.governs})
    )
    for _ in range(_TRIES):
        decide()

        def build() -> Append:
            entries = tuple(_sealed(rooms, draft) for draft in drafts)
            rows = rooms.trail.rows(records())
            return Append(entries, rows, guards(rooms, patients), bumps)

        writing = _written(rooms, drafts, build, later)
        if bumps or _names(drafts):
            # Whoever asked for it may be gone before it is durable: it takes effect all the same.
            result = await asyncio.shield(rooms.effects.start(writing))
        else:
            result = await writing
        if isinstance(result, Appended):
            return result
        await _refused(rooms, result, patients)
    raise Unavailable("the patient's consents keep changing; try again", code="consent-moves")


async def _written(
    rooms: Rooms, drafts: Sequence[Draft], build: Callable[[], Append], later: bool
) -> Appended | Refused:
    result = await rooms.pen.write(build)
    rooms.on_step("ledger")
    if isinstance(result, Appended):
        await _note(rooms, drafts, result, later)
    return result


def _names(drafts: Sequence[Draft]) -> bool:
    """Whether names of the directory may change."""
    return any(d.type == "Organization" for d in drafts)


def _sealed(rooms: Rooms, draft: Draft) -> Entry:
    claim = rooms.keys.claim("version", draft.type, draft.id, draft.number)
    sealed = rooms.sealer.seal(draft.pairs, draft.header, draft.stored, (claim,))
    return Entry(sealed.leaf, sealed.body, sealed.box, sealed.hint)


async def _note(rooms: Rooms, drafts: Sequence[Draft], result: Appended, later: bool) -> None:
    """Let this process see its own write; one that governs takes effect before it is told."""
    for draft in drafts:
        rooms.pending.wrote(draft.type, draft.id, result.size)
    size = result.first_index + len(drafts)
    governed = {p for d in drafts if d.type == "Consent" for p in d.governs}
    governed |= {
        d.id
        for d in drafts
        if d.type == "Patient"
        and d.id not in governed
        and not (d.number == 1 and rooms.consents.unmoved(d.id, size))
    }
    changes = (*sorted(governed), *([NAMES] if _names(drafts) else []))
    if not changes:
        return
    rooms.changes.note(changes)
    effect = rooms.effects.start(decide_anew(rooms.gates, rooms.follower, changes, result.size))
    if not later:
        await rooms.follower.reached(result.size)
        await asyncio.shield(effect)


async def record_use(
    rooms: Rooms,
    patients: Sequence[str],
    decide: Callable[[], None],
    records: Callable[[], Records],
) -> Appended:
    """Make a disclosure, or its refusal, durable. Only then may anything leave.

    ``decide`` looks at the decision again and raises when it no longer stands; ``records``
    writes down what it decided.
    """
    for _ in range(_TRIES):
        decide()

        def build() -> Append:
            rows: tuple[AuditRow, ...] = rooms.trail.rows(records())
            return Append((), rows, guards(rooms, patients), ())

        result = await rooms.pen.write(build)
        if isinstance(result, Appended):
            return result
        await _refused(rooms, result, patients)
    raise Unavailable("the patient's consents keep changing; try again", code="consent-moves")


async def _refused(rooms: Rooms, result: Refused, patients: Sequence[str]) -> None:
    """A guard: read the consents anew and come again. A claim: somebody else was first."""
    if result.code == "stale-guard":
        await rooms.follower.reached(result.size)
        rooms.gates.changed(tuple(patients))
        return
    if result.code == "claim-taken":
        raise Conflict(
            "another write to this resource came first; read it again and repeat",
            code="version-conflict",
        )
    raise Fault(f"the ledger refused an entry: {result.code}", code=result.code)
