"""The accounting is complete, and a record that is taken out or put in is noticed."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from typing import Any

import pytest

from fhir_bridge.assembly.places import Places
from fhir_bridge.errors import BridgeError, Corrupt, Forbidden, NotFound
from fhir_bridge.exchange import prove
from fhir_bridge.keys import ed25519_holds, mldsa44_holds, open_stored
from fhir_bridge.ledger import Verifiers, parse_policy, verify, verify_log
from fhir_bridge.terms import Requester
from tests.exchange.world import CLINIC, HOSPITAL, World, consent, observation, speaks_for


async def test_everything_that_was_done_is_on_the_patients_account(world: World) -> None:
    patient, other = await world.patient(), await world.patient()
    lab = await world.create(HOSPITAL, observation(patient))
    await world.create(HOSPITAL, observation(other))
    await world.create(speaks_for(patient), consent(patient))
    await world.read(CLINIC, "Observation", lab.id)
    await world.vread(CLINIC, "Observation", lab.id, lab.version_id)
    await world.history(CLINIC, "Observation", lab.id)
    await world.found(CLINIC, "Observation", patient=patient)
    await world.everything(CLINIC, patient)
    await world.update(HOSPITAL, lab.id, observation(patient, "2"))
    await world.delete(HOSPITAL, "Observation", lab.id)
    with contextlib.suppress(NotFound):
        await world.read(CLINIC, "Patient", other)
    told = await world.accounting(speaks_for(patient), patient)
    kinds = Counter(e["resource"]["subtype"][0]["code"] for e in told["entry"])
    assert told["total"] == len(told["entry"]) == 10
    assert kinds == {
        "create": 3, "read": 1, "vread": 1, "history-instance": 1, "search-type": 1,
        "operation": 1, "update": 1, "delete": 1,
    }  # fmt: skip
    again = await world.accounting(speaks_for(patient), patient)
    assert again["total"] == told["total"] + 1
    for event in told["entry"]:
        assert event["resource"]["resourceType"] == "AuditEvent"


async def test_the_author_of_the_patient_may_ask_and_nobody_else(world: World) -> None:
    patient = await world.patient()
    await world.create(speaks_for(patient), consent(patient))
    assert (await world.accounting(HOSPITAL, patient))["total"] == 2
    for who in (CLINIC, speaks_for("other")):
        with pytest.raises(NotFound):
            await world.accounting(who, patient)


async def test_two_writers_keep_chains_side_by_side(world: World, beside: World) -> None:
    patient = await world.patient()
    for n in range(3):
        await world.create(HOSPITAL, observation(patient, f"{n}"))
        await beside.create(HOSPITAL, observation(patient, f"{n}.5"))
    records = await world.account(patient)
    assert Counter(r.chain for r in records) == {"worker": 4, "bundle": 3}


async def test_a_record_that_was_taken_out_or_put_twice_breaks_the_chain(world: World) -> None:
    patient = await world.patient()
    for n in range(5):
        await world.create(HOSPITAL, observation(patient, f"{n}"))
    assert (await world.accounting(HOSPITAL, patient))["total"] == 6
    locator: Any = world.rooms.locator
    real = locator.audit_of
    changes = (
        lambda rows: rows[:2] + rows[3:],
        lambda rows: rows[:-1],
        lambda rows: [*rows[:3], rows[2], *rows[3:]],
        lambda rows: [rows[1], rows[0], *rows[2:]],
    )
    for change in changes:

        def changed(handle: bytes, before: int | None, count: int, change: Any = change) -> Any:
            rows = real(handle, before, count)
            return change(rows) if rows else rows

        world.rooms.locator = _With(locator, changed)  # type: ignore[assignment]
        with pytest.raises(Corrupt):
            await world.accounting(HOSPITAL, patient)
    world.rooms.locator = locator
    await world.accounting(HOSPITAL, patient)


class _With:
    """A locator that forgets or doubles audit rows."""

    def __init__(self, locator: Any, audit_of: Any) -> None:
        self._locator = locator
        self.audit_of = audit_of

    def __getattr__(self, name: str) -> Any:
        return getattr(self._locator, name)


async def test_a_row_changed_on_disk_is_found_by_the_ledger(world: World) -> None:
    patient = await world.patient()
    await world.create(HOSPITAL, observation(patient))
    path = Places.of(world.settings).ledger
    assert verify_log(path).audits == world.marks()[1]
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("DROP TRIGGER audit_is_final")
        (rows,) = db.execute("SELECT rows FROM audit ORDER BY a DESC LIMIT 1").fetchone()
        changed = rows[:-40] + bytes([rows[-40] ^ 1]) + rows[-39:]
        db.execute("UPDATE audit SET rows = ? WHERE rows = ?", (changed, rows))
        db.commit()
    with pytest.raises(Corrupt):
        verify_log(path)


async def test_a_proof_of_what_was_read_holds_and_a_changed_resource_does_not(
    world: World,
) -> None:
    patient = await world.patient()
    lab = await world.create(HOSPITAL, observation(patient, "1.00"))
    await world.rooms.ledger.checkpoint_now()
    text = await prove.proof(world.rooms, HOSPITAL, world.request(), "Observation", lab.id, None)
    assert world.settings.source is not None
    policy = parse_policy((world.settings.source.parent / "policy.txt").read_bytes())
    verifiers = Verifiers(ed25519_holds, mldsa44_holds)
    verdict = verify(lab.raw, text.encode(), policy, verifiers, open_stored)
    assert verdict.index == lab.index
    with pytest.raises(Corrupt):
        verify(lab.raw.replace(b"1.00", b"1.0"), text.encode(), policy, verifiers, open_stored)
    with pytest.raises(NotFound):
        await prove.proof(world.rooms, CLINIC, world.request(), "Observation", lab.id, None)
    assert (await world.account(patient))[-2].kind == "proof"


async def test_the_whole_log_verifies_after_races_refusals_and_deletions(world: World) -> None:
    patient = await world.patient()
    lab = await world.create(HOSPITAL, observation(patient))
    with contextlib.suppress(NotFound):
        await world.read(CLINIC, "Observation", lab.id)
    await world.delete(HOSPITAL, "Observation", lab.id)
    log = verify_log(Places.of(world.settings).ledger, ed25519_holds)
    assert log.head.size == world.rooms.reader.head().size


async def test_a_refusal_is_recorded_with_its_true_reason(world: World) -> None:
    patient = await world.patient()
    seen = (await world.create(HOSPITAL, observation(patient))).id

    async def refused(who: Requester) -> tuple[str, ...]:
        with pytest.raises(BridgeError):
            await world.read(who, "Observation", seen)
        last = (await world.account(patient))[-1]
        return (last.kind, *last.reasons, last.basis)

    assert await refused(CLINIC) == ("read", "no-directive", "45 CFR 171.202(b)")
    await world.create(HOSPITAL, consent(patient, "deny"))
    assert await refused(CLINIC) == ("read", "directive-deny", "45 CFR 171.202(e)")
    await world.delete(HOSPITAL, "Observation", seen)
    assert await refused(HOSPITAL) == ("read", "deleted", "")


async def test_writing_anothers_record_is_refused_and_recorded(world: World) -> None:
    patient = await world.patient()
    seen = (await world.create(HOSPITAL, observation(patient))).id
    await world.create(HOSPITAL, consent(patient))
    with pytest.raises(Forbidden):
        await world.update(CLINIC, seen, observation(patient, "2.00"))
    last = (await world.account(patient))[-1]
    assert (last.kind, last.out, last.reasons) == ("update", 4, ("not-author",))


async def test_who_speaks_as_the_patient_is_a_setting_for_writing_too(world: World) -> None:
    patient = await world.patient()
    proxy = speaks_for(patient, "FAMRQT")
    await world.create(proxy, consent(patient))
    seen = (await world.create(HOSPITAL, observation(patient))).id
    assert (await world.read(CLINIC, "Observation", seen)).id == seen
