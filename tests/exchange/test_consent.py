"""Who sees what, and when that changes: from the very next request, never across it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from fhir_bridge.errors import BridgeError, Forbidden, NotFound
from fhir_bridge.ledger import Append, Appended, Refused
from fhir_bridge.terms import Requester
from tests.exchange.world import (
    BASE,
    CLINIC,
    HOSPITAL,
    World,
    consent,
    observation,
    speaks_for,
    told,
    tree_of,
    under,
    without_ids,
)

SUD = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "SUD"}
ICD = "http://hl7.org/fhir/sid/icd-10-cm"


async def test_another_organisation_sees_nothing_then_what_is_permitted_then_nothing(
    world: World,
) -> None:
    patient = await world.patient()
    lab = await world.create(HOSPITAL, observation(patient))
    with pytest.raises(NotFound):
        await world.read(CLINIC, "Observation", lab.id)
    given = await world.create(speaks_for(patient), consent(patient))
    assert (await world.read(CLINIC, "Observation", lab.id)).raw == lab.raw
    assert await world.found(CLINIC, "Observation", patient=patient) == [lab.id]
    await world.update(speaks_for(patient), given.id, consent(patient, status="inactive"))
    with pytest.raises(NotFound):
        await world.read(CLINIC, "Observation", lab.id)
    assert await world.found(CLINIC, "Observation", patient=patient) == []
    assert (await world.read(HOSPITAL, "Observation", lab.id)).raw == lab.raw


async def test_deleting_the_consent_ends_what_it_permitted(world: World) -> None:
    patient = await world.patient()
    lab = await world.create(HOSPITAL, observation(patient))
    given = await world.create(speaks_for(patient), consent(patient))
    await world.read(CLINIC, "Observation", lab.id)
    await world.delete(speaks_for(patient), "Consent", given.id)
    with pytest.raises(NotFound):
        await world.read(CLINIC, "Observation", lab.id)


async def test_the_permit_reaches_its_purpose_only(world: World) -> None:
    patient = await world.patient()
    lab = await world.create(HOSPITAL, observation(patient))
    await world.create(speaks_for(patient), consent(patient))
    await world.read(under("ETREAT", CLINIC), "Observation", lab.id)
    for purpose in ("HPAYMT", "HRESCH", "HMARKT"):
        with pytest.raises(NotFound):
            await world.read(under(purpose, CLINIC), "Observation", lab.id)


async def test_the_author_reads_its_own_for_treatment_payment_and_operations(
    world: World,
) -> None:
    patient = await world.patient()
    lab = await world.create(HOSPITAL, observation(patient))
    for purpose in ("TREAT", "HPAYMT", "HOPERAT"):
        await world.read(under(purpose, HOSPITAL), "Observation", lab.id)
    with pytest.raises(NotFound):
        await world.read(under("HMARKT", HOSPITAL), "Observation", lab.id)


async def test_the_patient_reads_everything_about_themself_and_nothing_else(
    world: World,
) -> None:
    mine, other = await world.patient(), await world.patient()
    lab = await world.create(HOSPITAL, observation(mine))
    theirs = await world.create(HOSPITAL, observation(other))
    me = speaks_for(mine)
    assert (await world.read(me, "Observation", lab.id)).raw == lab.raw
    assert (await world.read(me, "Patient", mine)).id == mine
    assert await world.found(me, "Observation") == [lab.id]
    for type_, id_ in (("Observation", theirs.id), ("Patient", other)):
        with pytest.raises(NotFound):
            await world.read(me, type_, id_)


async def test_a_client_bound_to_a_patient_writes_about_that_patient_only(world: World) -> None:
    mine, other = await world.patient(), await world.patient()
    me = speaks_for(mine)
    with pytest.raises(Forbidden):
        await world.create(me, observation(other))
    with pytest.raises(Forbidden):
        await world.create(me, {"resourceType": "Organization", "name": "x"})
    made = await world.create(me, observation(mine))
    assert await world.found(me, "Observation") == [made.id]


async def test_a_bound_client_with_a_staff_purpose_is_confined_and_does_not_speak_as_patient(
    world: World,
) -> None:
    mine = await world.patient()
    lab = await world.create(HOSPITAL, observation(mine))
    staff = speaks_for(mine, "TREAT")
    with pytest.raises(NotFound):
        await world.read(staff, "Observation", lab.id)


async def test_a_consent_of_an_organisation_without_authority_has_no_effect(
    world: World,
) -> None:
    patient = await world.patient()
    lab = await world.create(HOSPITAL, observation(patient))
    await world.create(CLINIC, consent(patient))
    with pytest.raises(NotFound):
        await world.read(CLINIC, "Observation", lab.id)
    # Nor does it deny: the patient's own permit stands beside it.
    await world.create(speaks_for(patient), consent(patient))
    await world.create(CLINIC, consent(patient, "deny"))
    await world.read(CLINIC, "Observation", lab.id)
    await world.create(HOSPITAL, consent(patient, "deny"))
    with pytest.raises(NotFound):
        await world.read(CLINIC, "Observation", lab.id)


async def test_a_consent_inside_a_transaction_governs_its_patient(world: World) -> None:
    urn = "urn:uuid:5f0f6b0a-6d0e-4c5a-9a51-0d2b6a7c1010"
    given = json.loads(json.dumps(consent("x")).replace("Patient/x", urn))
    made = await world.transaction(
        HOSPITAL,
        _post({"resourceType": "Patient"}, urn),
        _post(tree_of(observation(urn))),
        _post(given),
    )
    patient, lab, consent_id = (r["location"].split("/")[1] for r in made)
    assert (await world.read(CLINIC, "Observation", lab)).id == lab
    await world.transaction(
        HOSPITAL,
        {
            "resource": {**consent(patient, status="inactive"), "id": consent_id},
            "request": {"method": "PUT", "url": f"Consent/{consent_id}"},
        },
    )
    with pytest.raises(NotFound):
        await world.read(CLINIC, "Observation", lab)


def _post(resource: dict[str, Any], full_url: str = "") -> dict[str, Any]:
    entry = {"resource": resource, "request": {"method": "POST", "url": resource["resourceType"]}}
    return {**entry, "fullUrl": full_url} if full_url else entry


async def test_a_transaction_seals_with_the_keys_of_the_patient_it_makes(world: World) -> None:
    """Else destroying the patient's keys would leave what a transaction brought in readable."""
    urn = "urn:uuid:5f0f6b0a-6d0e-4c5a-9a51-0d2b6a7c1010"
    made = await world.transaction(
        HOSPITAL, _post({"resourceType": "Patient"}, urn), _post(tree_of(observation(urn)))
    )
    patient = made[0]["location"].split("/")[1]
    rooms = world.rooms
    handle = rooms.store.key_set(((patient, "normal"),)).handle
    sealed = [row for row in rooms.reader.rows(0, rooms.reader.head().size) if row.box]
    assert len(sealed) == 2
    from fhir_bridge.fbe1 import entry_id, split_leaf

    for row in sealed:
        core, body_hash, _ = split_leaf(row.leaf)
        assert rooms.sealer.handle_of(entry_id(core, body_hash), row.hint) == handle
    assert {len(r.ents) for r in await world.account(patient)} == {2}


async def test_substance_use_data_is_withheld_by_a_nested_rule_about_its_label(
    world: World,
) -> None:
    patient = await world.patient()
    plain = await world.create(HOSPITAL, _condition(patient, "J06.9"))
    opioid = await world.create(HOSPITAL, _condition(patient, "F11.20"))
    await world.create(
        speaks_for(patient),
        consent(patient, provision=[{"type": "deny", "securityLabel": [SUD]}]),
    )
    assert await world.found(CLINIC, "Condition", patient=patient) == [plain.id]
    answer = tree_of((await world.search(CLINIC, "Condition", patient=patient)).raw)
    assert answer.get("total", 1) == 1
    with pytest.raises(NotFound):
        await world.read(CLINIC, "Condition", opioid.id)
    assert len(await world.found(HOSPITAL, "Condition", patient=patient)) == 2
    types = {e["resource"]["id"] for e in (await world.everything(CLINIC, patient))["entry"]}
    assert opioid.id not in types
    assert plain.id in types


def _condition(patient: str, code: str) -> dict[str, Any]:
    return {
        "resourceType": "Condition",
        "code": {"coding": [{"system": ICD, "code": code}]},
        "subject": {"reference": f"Patient/{patient}"},
    }


async def test_what_names_two_patients_needs_the_permit_of_both(world: World) -> None:
    one, two = await world.patient(), await world.patient()
    both = await world.create(
        HOSPITAL,
        {
            "resourceType": "Group",
            "type": "person",
            "actual": True,
            "member": [{"entity": {"reference": f"Patient/{p}"}} for p in (one, two)],
        },
    )
    await world.create(speaks_for(one), consent(one))
    with pytest.raises(NotFound):
        await world.read(CLINIC, "Group", both.id)
    given = await world.create(speaks_for(two), consent(two))
    await world.read(CLINIC, "Group", both.id)
    # One record on each patient's account.
    for patient in (one, two):
        assert (await world.account(patient))[-1].kind == "read"
    await world.update(speaks_for(two), given.id, consent(two, "deny"))
    with pytest.raises(NotFound):
        await world.read(CLINIC, "Group", both.id)
    with pytest.raises(NotFound):
        await world.read(speaks_for(one), "Group", both.id)


async def test_a_patient_named_by_our_whole_address_is_protected_alike(world: World) -> None:
    patient = await world.patient()
    lab = await world.create(HOSPITAL, observation(f"{BASE}/Patient/{patient}"))
    assert tree_of(lab.raw)["subject"]["reference"] == f"Patient/{patient}"
    assert (await world.read(speaks_for(patient), "Observation", lab.id)).raw == lab.raw
    changed = observation(f"{BASE}/Patient/{patient}").replace(b"/", b"\\/")
    await world.update(HOSPITAL, lab.id, changed)
    assert await world.found(HOSPITAL, "Observation", patient=patient) == [lab.id]
    elsewhere = await world.create(HOSPITAL, observation(f"http://x.example/Patient/{patient}"))
    with pytest.raises(NotFound):
        await world.read(speaks_for(patient), "Observation", elsewhere.id)
    denied = {**consent(patient), "provision": {"type": "deny"}}
    await world.create(speaks_for(patient), denied)
    with pytest.raises(NotFound):
        await world.read(HOSPITAL, "Observation", lab.id)


async def test_hidden_is_as_absent_in_every_answer(world: World) -> None:
    """Two questions that differ only in whether the thing exists get the same bytes."""
    patient = await world.patient()
    lab = await world.create(HOSPITAL, observation(patient))

    async def of(ask: Callable[[str, str], Awaitable[object]], patient_: str, lab_: str) -> bytes:
        try:
            answer = await ask(patient_, lab_)
        except BridgeError as error:
            status, body = told(error, world.rooms)
            return status.encode() + body
        raw = without_ids(getattr(answer, "raw", repr(answer).encode()))
        return raw.replace(patient_.encode(), b"-").replace(lab_.encode(), b"-")

    async def history(_: str, lab_: str) -> object:
        return await world.history(CLINIC, "Observation", lab_)

    questions: list[Callable[[str, str], Awaitable[object]]] = [
        lambda _, o: world.read(CLINIC, "Observation", o),
        lambda _, o: world.vread(CLINIC, "Observation", o, lab.version_id),
        history,
        lambda p, _: world.search(CLINIC, "Observation", patient=p),
        lambda p, _: world.search(CLINIC, "Observation", subject=f"Patient/{p}", _total="accurate"),
        lambda _, o: world.search(CLINIC, "Observation", _id=o),
        lambda p, _: world.everything(CLINIC, p),
        lambda p, _: world.accounting(CLINIC, p),
        lambda p, o: world.update(CLINIC, o, observation(p)),
        lambda _, o: world.delete(CLINIC, "Observation", o),
    ]
    for ask in questions:
        before = world.marks()
        hidden = await of(ask, patient, lab.id)
        middle = world.marks()
        missing = await of(ask, "no-such", "no-such")
        after = world.marks()
        assert hidden == missing
        left = [tuple(b - a for a, b in zip(x, y, strict=True)) for x, y in
                ((before, middle), (middle, after))]  # fmt: skip
        assert left == [(0, 1), (0, 1)]


async def test_a_refusal_leaves_one_record_and_it_says_that_it_was_refused(world: World) -> None:
    patient = await world.patient()
    lab = await world.create(HOSPITAL, observation(patient))
    before = world.marks()
    with pytest.raises(NotFound):
        await world.read(CLINIC, "Observation", lab.id)
    assert world.marks() == (before[0], before[1] + 1)
    record = (await world.account(patient))[-1]
    assert (record.kind, record.client, record.out, record.ents) == ("read", "clinic-ehr", 4, ())


def _revoking(
    world: World, beside: World, patient: str, consent_id: str
) -> Callable[[Append], Awaitable[Appended | Refused]]:
    """An append before which, in another process, the patient withdraws the consent."""
    append = world.rooms.ledger.append
    waiting = [consent(patient, status="inactive")]

    async def meddling(item: Append) -> Appended | Refused:
        if waiting:
            await beside.update(speaks_for(patient), consent_id, waiting.pop())
        return await append(item)

    return meddling


@pytest.mark.parametrize("how", ["read", "search", "everything"])
async def test_a_consent_that_ends_between_decision_and_record_lets_nothing_out(
    world: World, beside: World, how: str
) -> None:
    patient = await world.patient()
    lab = await world.create(HOSPITAL, observation(patient))
    given = await world.create(speaks_for(patient), consent(patient))
    await world.read(CLINIC, "Observation", lab.id)
    released = [r for r in await world.account(patient) if r.client == "clinic-ehr"]
    pen: Any = world.rooms.pen
    pen._append = _revoking(world, beside, patient, given.id)

    async def ask(who: Requester) -> object:
        if how == "read":
            return await world.read(who, "Observation", lab.id)
        if how == "search":
            return await world.found(who, "Observation", patient=patient)
        return await world.everything(who, patient)

    if how == "search":
        assert await ask(CLINIC) == []
    else:
        with pytest.raises(NotFound):
            await ask(CLINIC)
    said = [r for r in await world.account(patient) if r.client == "clinic-ehr"][len(released) :]
    assert [r for r in said if r.out == 0] == []
    assert not any(lab.id == entity.id for r in said for entity in r.ents)


async def test_reads_and_revocation_at_the_same_time_never_cross_in_the_log(
    world: World,
) -> None:
    """In the order of the log, no disclosure to the clinic stands behind the revocation."""
    patient = await world.patient()
    lab = await world.create(HOSPITAL, observation(patient))
    given = await world.create(speaks_for(patient), consent(patient))

    async def read() -> object:
        return await world.read(CLINIC, "Observation", lab.id)

    async def revoke() -> object:
        await asyncio.sleep(0)
        return await world.update(
            speaks_for(patient), given.id, consent(patient, status="inactive")
        )

    tasks = [read() for _ in range(20)] + [revoke()] + [read() for _ in range(20)]
    await asyncio.gather(*tasks, return_exceptions=True)
    records = await world.account(patient)
    revoked = next(i for i, r in enumerate(records) if r.kind == "update")
    later = [r for r in records[revoked:] if r.client == "clinic-ehr" and r.out == 0]
    assert later == []


async def test_a_permit_that_starts_later_permits_from_then_on(world: World) -> None:
    from fhir_bridge.clock import instant

    patient = await world.patient()
    lab = await world.create(HOSPITAL, observation(patient))
    start = instant(world.rooms.clock.now_us() + 300_000_000)
    await world.create(speaks_for(patient), consent(patient, period={"start": start}))
    with pytest.raises(NotFound):
        await world.read(CLINIC, "Observation", lab.id)
    while instant(world.rooms.clock.now_us()) < start:
        pass
    await world.read(CLINIC, "Observation", lab.id)


async def test_collecting_may_be_denied_and_the_refusal_is_on_the_account(world: World) -> None:
    patient = await world.patient()
    refuses = consent(patient, "deny")
    refuses["provision"]["action"] = [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/consentaction",
                    "code": "collect",
                }
            ]
        }
    ]
    await world.create(speaks_for(patient), refuses)
    entries, rows = world.marks()
    with pytest.raises(Forbidden):
        await world.create(CLINIC, observation(patient))
    assert world.marks() == (entries, rows + 1)
    record = (await world.account(patient))[-1]
    assert (record.kind, record.client, record.out) == ("create", "clinic-ehr", 4)
