"""Erasing a patient for good: keys first, then a receipt on the ledger, then every trace.

Order: holds → which entries → the keys (the moment: from here on nothing opens) → receipt and
deletion of bodies and boxes in one step → the search view, written anew under a new key → what
this process remembers. Each step may be repeated: after a crash, run it again.

Leaves and audit rows stay where they are, so the ledger still verifies; the audit rows open
until their keys are destroyed as well (scope ``record+audit``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from fhir_bridge.errors import Corrupt, Fault, NotFound
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.exchange.trail import audit_pairs
from fhir_bridge.fbe1 import control_body, parse_control
from fhir_bridge.keys import Holds, Override, Receipt, ShredScope, keep_audit
from fhir_bridge.keys.erasure import check_holds
from fhir_bridge.ledger import Append, Appended, Entry, Reader
from fhir_bridge.locator import LocatorWriter

__all__ = ["Erased", "erase", "tombstones"]

_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Erased:
    """What was destroyed; names nobody."""

    keys: Receipt
    entries: int
    """Entries whose body and box were deleted."""
    versions: int
    """Resource versions taken out of the search view."""
    receipt: int
    """Position of the receipt on the ledger."""


async def erase(
    rooms: Rooms,
    index: LocatorWriter,
    patient: str,
    scope: ShredScope = ShredScope.RECORD,
    *,
    holds: Holds = keep_audit,
    override: Override | None = None,
) -> Erased:
    """Destroy what can open the patient's record. Durable on return.

    The caller owns the data folder, and ``rooms`` are used up: their view of the search file is
    closed. Conflict (``held``) when it must be kept; NotFound when there was nothing.
    """
    check_holds(patient, scope, holds, override)
    await rooms.follower.reached(rooms.reader.head().size)
    entries = tuple(rooms.locator.entries_of(patient))
    peks, _ = rooms.store.count()
    subjects: tuple[bytes, ...] = ()
    if scope is ShredScope.RECORD_AND_AUDIT:
        subjects = (rooms.store.key_set(audit_pairs(patient)).handle,)
    keys = rooms.store.shred(patient, scope, holds=holds, override=override)
    rooms.on_step("keys")
    known = bool(entries) or rooms.store.count()[0] < peks
    receipt = await _receipt(rooms, keys, entries) if known else -1
    rooms.on_step("ledger")
    versions = _forget(rooms, index, patient, subjects)
    if not known:
        raise NotFound(
            "there are no keys and no entries of this patient: erased before, or another id",
            code="nothing-to-erase",
        )
    return Erased(keys, len(entries), versions, receipt)


async def _receipt(rooms: Rooms, keys: Receipt, entries: tuple[int, ...]) -> int:
    """The receipt's position. Tombstones are random names of keys: they tell nobody whose, and
    let a key backup that is restored later be shredded again."""
    body = control_body(
        "shred",
        count=len(entries),
        scope=keys.scope,
        tombstones=[tombstone.hex() for tombstone in keys.tombstones],
    )
    sealed = rooms.sealer.control(body)
    outcome = await rooms.ledger.erase(Append((Entry(sealed.leaf, sealed.body),)), entries)
    if not isinstance(outcome, Appended):
        raise Fault(f"the ledger refused the receipt: {outcome.code}", code=outcome.code)
    await rooms.follower.reached(outcome.size)
    return outcome.first_index


def _forget(rooms: Rooms, index: LocatorWriter, patient: str, subjects: Iterable[bytes]) -> int:
    """Resource versions taken out; a fresh file under a fresh key holds the rest."""
    rooms.bodies.clear()
    rooms.gates.forget_all()
    rooms.trail.forget()
    # an open reader would keep the old file's pages
    rooms.locator.close()
    removed = index.forget(patient, subjects)
    _, fresh = rooms.keys.rotate_locator()
    rooms.on_step("locator-key")
    index.rekey(fresh)
    return removed


def tombstones(reader: Reader) -> frozenset[bytes]:
    """The names of all keys whose destruction the ledger has a receipt for."""
    found: set[bytes] = set()
    for start in range(0, reader.head().size, _CHUNK):
        for _, body, box, _ in reader.bodies(start, start + _CHUNK):
            if not box:
                found |= _named(body)
    return frozenset(found)


def _named(body: bytes) -> set[bytes]:
    try:
        said = parse_control(body)
        if said["kind"] != "shred":
            return set()
        return {bytes.fromhex(name) for name in said.get("tombstones", ())}
    except (Corrupt, ValueError, TypeError):
        return set()
