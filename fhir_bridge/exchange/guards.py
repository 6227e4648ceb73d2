"""What an append was decided by, as cells of the sequencer (decisions 0003 and 0039).

A guard names a cell and the ledger size that was read when deciding; the append is refused when
the cell moved since. So nothing decided before a Consent, a directory entry or a conditional
creation stands behind it on the ledger, whichever process wrote it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

from fhir_bridge.exchange.directory import spellings
from fhir_bridge.exchange.drafts import Draft
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.fhir import parse
from fhir_bridge.keys import WRITERS

__all__ = ["Condition", "canonical", "changes_names", "condition_of", "guards", "moved"]

_GOVERNING = frozenset({"Consent", "Patient"})
"""Types whose entries may change what consent says of a patient."""


class Condition(NamedTuple):
    """A condition that nothing met: its cell, and the ledger size that was looked through."""

    cell: bytes
    seen: int


def condition_of(rooms: Rooms, author: str, type_: str, query: str) -> Condition:
    """The condition before it is asked. One organisation's do not meet another's."""
    cell = rooms.keys.cell("condition", author, type_, canonical(query))
    return Condition(cell, rooms.locator.upto()[0])


def canonical(query: str) -> str:
    """One spelling of the same condition, however it is encoded and ordered."""
    return urlencode(sorted(parse_qsl(query, keep_blank_values=True)))


def guards(
    rooms: Rooms,
    patients: Sequence[str],
    organization: str,
    conditions: Iterable[Condition],
    *,
    everybody: bool = False,
) -> tuple[tuple[bytes, int], ...]:
    """Conditions first, then the consents of ``patients`` and the names of ``organization``.

    ``everybody``: whatever the other processes wrote that decisions hang on.
    """
    asked = [(condition.cell, condition.seen) for condition in conditions]
    read = [(_consent_cell(rooms, p), rooms.consents.seen(p)) for p in patients]
    # Also where no patient is named: what is its author's alone is given by a name.
    seen = rooms.gates.names_seen(organization) if organization else None
    names = [(_name_cell(rooms, organization), seen)] if seen is not None else []
    if not everybody:
        return (*asked, *read, *names)
    heard = rooms.gates.heard_size
    others = [(_writer_cell(rooms, w), heard) for w in WRITERS if w != rooms.trail.name]
    return (*asked, *read, *names, *others)


def moved(
    rooms: Rooms, drafts: Sequence[Draft], conditions: Iterable[Condition]
) -> tuple[bytes, ...]:
    """The cells that an append of ``drafts`` moves."""
    governing = [d for d in drafts if d.type in _GOVERNING]
    governed = sorted({p for d in governing for p in d.governs})
    names = sorted(_names(rooms, drafts))
    # A new Patient changes no decision: nobody has written a Consent of theirs before.
    decisive = names or any(d.type == "Consent" or d.number > 1 for d in governing)
    return (
        *(_consent_cell(rooms, patient) for patient in governed),
        *(_name_cell(rooms, name) for name in names),
        *(condition.cell for condition in conditions),
        *((_writer_cell(rooms, rooms.trail.name),) if decisive else ()),
    )


def changes_names(rooms: Rooms, draft: Draft) -> bool:
    """Whether names of the directory may change: only this node's Organizations give any."""
    return draft.type == "Organization" and draft.facts.author == rooms.member


def _names(rooms: Rooms, drafts: Sequence[Draft]) -> set[str]:
    """What `Directory` reads: the names that Organizations have now or had before."""
    names: set[str] = set()
    for draft in drafts:
        if not changes_names(rooms, draft):
            continue
        names.add(f"Organization/{draft.id}")
        before = rooms.locator.current(draft.type, draft.id) if draft.number > 1 else None
        bodies = [draft.stored] if draft.stored else []
        if before is not None and not before.deleted:
            bodies.append(rooms.bodies.get(before.index))
        for body in bodies:
            names.update(spellings(parse(body)))
    return names


def _consent_cell(rooms: Rooms, patient: str) -> bytes:
    return rooms.keys.cell("consent", patient)


def _writer_cell(rooms: Rooms, writer: str) -> bytes:
    return rooms.keys.cell("writer", writer)


def _name_cell(rooms: Rooms, name: str) -> bytes:
    return rooms.keys.cell("name", name)
