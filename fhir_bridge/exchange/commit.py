"""Seal, then record and audit entry in one append: the moment of a write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fhir_bridge.errors import Conflict, Fault, Unavailable
from fhir_bridge.exchange.changes import NAMES
from fhir_bridge.exchange.drafts import Draft
from fhir_bridge.exchange.effects import decide_anew
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.exchange.trail import audit_pairs
from fhir_bridge.ledger import Append, Appended, AuditRow, Entry, Refused

__all__ = ["Use", "commit_drafts", "consent_cell", "guards", "record_use"]

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


@dataclass(frozen=True, slots=True)
class Use:
    """What an append is allowed by, and what it leaves behind."""

    patients: Sequence[str]
    """Whose consents ``decide`` looks at."""
    decide: Callable[[], None]
    """Raises when it may not be. Asked right before sealing, and again after a Consent moved."""
    records: Callable[[], Records]
    """The audit records of what was decided just before."""


async def commit_drafts(
    rooms: Rooms, drafts: Sequence[Draft], use: Use, *, later: bool = False
) -> Appended:
    """Append all of ``drafts`` with their audit records, or none; durable on return.

    What governs has taken effect on return; with ``later`` once `Effects` are settled.
    Conflict (``version-conflict``) when another write to one of the resources came first.
    """
    named = sorted({p for d in drafts for p in d.facts.patients})
    rooms.store.ensure([d.pairs for d in drafts] + [audit_pairs(p) for p in named or ("",)])
    rooms.on_step("keys")
    bumps = tuple(
        consent_cell(rooms, p)
        for p in sorted({p for d in drafts if d.type in _GOVERNING for p in d.governs})
    )

    def build() -> Append:
        entries = tuple(_sealed(rooms, draft) for draft in drafts)
        rows = rooms.trail.rows(use.records())
        return Append(entries, rows, guards(rooms, use.patients), bumps)

    for _ in range(_TRIES):
        rooms.gates.make_room()
        writing = _written(rooms, drafts, use.decide, build, later)
        if bumps or _names(drafts):
            # Whoever asked for it may be gone before it is durable: it takes effect all the same.
            result = await asyncio.shield(rooms.effects.start(writing))
        else:
            result = await writing
        if isinstance(result, Appended):
            return result
        await _refused(rooms, result, use.patients)
    raise Unavailable("the patient's consents keep changing; try again", code="consent-moves")


async def _written(
    rooms: Rooms,
    drafts: Sequence[Draft],
    decide: Callable[[], None],
    build: Callable[[], Append],
    later: bool,
) -> Appended | Refused:
    result = await rooms.pen.write(decide, build)
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


async def record_use(rooms: Rooms, use: Use) -> Appended:
    """Make a disclosure, or its refusal, durable. Only then may anything leave."""

    def build() -> Append:
        rows: tuple[AuditRow, ...] = rooms.trail.rows(use.records())
        return Append((), rows, guards(rooms, use.patients), ())

    for _ in range(_TRIES):
        rooms.gates.make_room()
        result = await rooms.pen.write(use.decide, build)
        if isinstance(result, Appended):
            return result
        await _refused(rooms, result, use.patients)
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
