"""Seal, then record and audit entry in one append: the moment of a write."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fhir_bridge.errors import Conflict, Fault, Unavailable
from fhir_bridge.exchange.changes import NAMES
from fhir_bridge.exchange.drafts import Draft
from fhir_bridge.exchange.effects import decide_anew
from fhir_bridge.exchange.guards import Condition, changes_names, guards, moved
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.exchange.shown import shown
from fhir_bridge.exchange.trail import audit_pairs
from fhir_bridge.ledger import Append, Appended, Entry, Refused

__all__ = ["Records", "Use", "commit_drafts", "record_use"]

Records = Sequence[tuple[str, bytes]]
"""``(patient or "", compact audit record)`` pairs."""

_TRIES = 8


@dataclass(frozen=True, slots=True)
class Use:
    """What an append is allowed by, and what it leaves behind."""

    organization: str
    """Who asks: ``decide`` knows it by the names that the directory gives it."""
    patients: Sequence[str]
    """Whose consents ``decide`` looks at."""
    decide: Callable[[], None]
    """Raises when it may not be. Asked right before sealing, and again after a Consent moved."""
    records: Callable[[], Records]
    """The audit records of what was decided just before."""
    conditions: Sequence[Condition] = ()
    """What nothing met: whoever asked the same meanwhile and wrote was first."""
    everybody: bool = False
    """``decide`` hangs on more patients than can be named."""


async def commit_drafts(
    rooms: Rooms, drafts: Sequence[Draft], use: Use, *, later: bool = False
) -> Appended:
    """Append all of ``drafts`` with their audit records, or none; durable on return.

    What governs has taken effect on return, unless the locator does not answer; with ``later``
    once `Effects` are settled. Whoever asked for it may be gone before it is durable: it goes to
    its end all the same, and is heard of. Conflict when another write to one of the resources,
    or under one of the conditions, came first.
    """
    named = sorted({p for d in drafts for p in d.governs})
    rooms.store.ensure([d.pairs for d in drafts] + [audit_pairs(p) for p in named or ("",)])
    rooms.on_step("keys")
    bumps = moved(rooms, drafts, use.conditions)

    def build() -> Append:
        entries = tuple(_sealed(rooms, draft) for draft in drafts)
        return _append(rooms, use, entries, bumps)

    for _ in range(_TRIES):
        rooms.gates.make_room()
        writing = rooms.effects.start(_written(rooms, drafts, use.decide, build, later))
        result = await asyncio.shield(writing)
        if isinstance(result, Appended):
            return result
        await _refused(rooms, result, use)
    raise _moving()


async def record_use(rooms: Rooms, use: Use) -> Appended:
    """Make a disclosure, or its refusal, durable. Only then may anything leave."""
    for _ in range(_TRIES):
        rooms.gates.make_room()
        result = await rooms.pen.write(use.decide, lambda: _append(rooms, use))
        if isinstance(result, Appended):
            return result
        await _refused(rooms, result, use)
    raise _moving()


def _append(
    rooms: Rooms, use: Use, entries: tuple[Entry, ...] = (), bumps: tuple[bytes, ...] = ()
) -> Append:
    rows = rooms.trail.rows(use.records())
    read = guards(rooms, use.patients, use.organization, use.conditions, everybody=use.everybody)
    return Append(entries, rows, read, bumps)


def _moving() -> Unavailable:
    return Unavailable("the patient's consents keep changing; try again", code="consent-moves")


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
    names = [NAMES] if any(changes_names(rooms, draft) for draft in drafts) else []
    changes = (*sorted(governed), *names)
    if not changes:
        return
    rooms.changes.note(changes)
    effect = rooms.effects.start(decide_anew(rooms.gates, rooms.follower, changes, result.size))
    if not later and await shown(rooms, result.size):
        await asyncio.shield(effect)


async def _refused(rooms: Rooms, result: Refused, use: Use) -> None:
    """A guard: read what moved anew and come again. A claim, a condition: another was first."""
    if result.code == "stale-guard":
        await rooms.follower.reached(result.size)
        if result.position >= len(use.conditions):
            if use.everybody:
                rooms.gates.forget_all()
            else:
                rooms.gates.changed(tuple(use.patients))
                rooms.gates.forget_names()
            return
    if result.code in ("claim-taken", "stale-guard"):
        raise Conflict(
            "another write to this resource, or under this condition, came first; read again and"
            " repeat",
            code="version-conflict",
        )
    raise Fault(f"the ledger refused an entry: {result.code}", code=result.code)
