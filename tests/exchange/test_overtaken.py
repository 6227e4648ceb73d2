"""A change of consent between a decision and what it allows: the decision is taken anew."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from fhir_bridge.errors import Forbidden, NotFound, Unavailable
from fhir_bridge.exchange import consents, prove
from fhir_bridge.ledger import Append, Appended, Refused
from tests.exchange.moving import around_the_next_append, permitted, until
from tests.exchange.world import CLINIC, HOSPITAL, Tree, World, consent, observation

_ACTIONS = "http://terminology.hl7.org/CodeSystem/consentaction"
_MRN = "http://hospital.example/mrn"


def _never(patient: str, action: str) -> Tree:
    """A Consent by which nobody may do ``action`` with the patient's records."""
    tree = consent(patient, "deny")
    tree["provision"] = {
        "type": "deny",
        "action": [{"coding": [{"system": _ACTIONS, "code": action}]}],
    }
    return tree


def _posted(resource: Tree, condition: str = "") -> Tree:
    request = {"method": "POST", "url": resource["resourceType"]}
    return {
        "resource": resource,
        "request": request | ({"ifNoneExist": condition} if condition else {}),
    }


async def test_a_read_that_waits_until_the_pen_is_whole(world: World) -> None:
    first, second, made = await permitted(world)
    follower = world.rooms.follower
    real = follower.reached

    async def reached(size: int) -> int:
        await asyncio.sleep(0.02)
        return await real(size)

    follower.reached = reached  # type: ignore[method-assign]

    async def after() -> None:
        raise Unavailable("lost", code="sequencer-gone")

    around_the_next_append(world, after=after)
    revocation = asyncio.create_task(world.update(HOSPITAL, made, consent(second)))
    await until(lambda: world.rooms.pen.broken)
    with pytest.raises(NotFound):
        await world.read(CLINIC, "Patient", first)
    with pytest.raises(Unavailable):
        await revocation


async def test_a_read_after_too_many_other_patients(
    world: World, beside: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, made = await permitted(world)
    assert (await beside.read(CLINIC, "Patient", first)).id == first
    await world.update(HOSPITAL, made, consent(second))
    monkeypatch.setattr(consents, "_KEPT_PATIENTS", 1)
    beside.rooms.consents.of(second)
    with pytest.raises(NotFound):
        await beside.read(CLINIC, "Patient", second)
        await beside.read(CLINIC, "Patient", first)


@pytest.mark.parametrize("governing", [False, True])
async def test_a_write_whose_patient_is_heard_of_while_it_begins(
    world: World, beside: World, governing: bool
) -> None:
    patient = await world.patient()
    assert beside.rooms.consents.of(patient).seen >= 0
    await world.create(HOSPITAL, _never(patient, "collect"))
    with pytest.raises(Forbidden):
        await world.create(HOSPITAL, observation(patient))
    rooms = beside.rooms

    def step(name: str) -> None:
        if name == "keys":
            asyncio.get_running_loop().call_soon(rooms.gates.heard, (patient,))

    rooms.on_step = step
    entries = [_posted(json.loads(observation(patient)))]
    if governing:
        tree = {"resourceType": "Patient", "id": patient, "gender": "female"}
        entries.append(
            {"resource": tree, "request": {"method": "PUT", "url": f"Patient/{patient}"}}
        )
    with pytest.raises(Forbidden):
        await beside.transaction(HOSPITAL, *entries)


@pytest.mark.parametrize("deletion", [False, True])
async def test_a_next_version_by_somebody_who_sees_it_no_more(
    world: World, beside: World, deletion: bool
) -> None:
    patient = await world.patient()
    made = await world.create(HOSPITAL, observation(patient))
    await beside.rooms.follower.reached(beside.rooms.reader.size())

    async def before() -> None:
        await beside.create(HOSPITAL, _never(patient, "access"))

    around_the_next_append(world, before)
    marks = world.marks()[0]
    with pytest.raises(NotFound):
        if deletion:
            await world.delete(HOSPITAL, "Observation", made.id)
        else:
            await world.update(HOSPITAL, made.id, observation(patient, "2.00"))
    assert world.marks()[0] == marks + 1


async def test_a_transaction_does_not_tell_of_a_match_that_is_hidden_now(
    world: World, beside: World
) -> None:
    mrn: dict[str, Any] = {"identifier": [{"system": _MRN, "value": "4711"}]}
    first, second = await world.patient(**mrn), await world.patient()
    made = await world.create(HOSPITAL, consent(first))
    await beside.rooms.follower.reached(beside.rooms.reader.size())
    assert await beside.found(CLINIC, "Patient", identifier=f"{_MRN}|4711") == [first]
    await world.update(HOSPITAL, made.id, consent(second))
    condition = f"identifier={_MRN}|4711"
    (answer,) = await beside.transaction(
        CLINIC, _posted({"resourceType": "Patient", **mrn}, condition)
    )
    assert answer["status"].startswith("201")
    assert first not in answer["location"]


async def test_a_proof_that_waits_for_its_checkpoint(world: World) -> None:
    first, second, made = await permitted(world)
    asked = asyncio.create_task(
        prove.proof(world.rooms, CLINIC, world.request(), "Patient", first, None)
    )
    await asyncio.sleep(0.05)
    assert not asked.done()
    await world.update(HOSPITAL, made, consent(second))
    await world.rooms.ledger.checkpoint_now()
    with pytest.raises(NotFound):
        await asked
    kinds = [(record.kind, record.out) for record in await world.account(first)]
    assert ("proof", 0) not in kinds


async def test_a_name_that_another_process_took_away_opens_nothing(
    world: World, beside: World
) -> None:
    node = replace(HOSPITAL, organization=world.rooms.member)
    system = "http://hospital.example/organizations"
    named = {"resourceType": "Organization", "identifier": [{"system": system, "value": "c"}]}
    made = await world.create(node, named)
    clinic = replace(CLINIC, organization=f"Organization/{made.id}")
    patient = await world.patient()
    by_name = consent(patient)
    by_name["provision"]["actor"][0]["reference"] = {"identifier": named["identifier"][0]}
    await world.create(HOSPITAL, by_name)
    assert (await beside.read(clinic, "Patient", patient)).id == patient

    async def renamed() -> None:
        await world.update(node, made.id, {"resourceType": "Organization", "name": "Clinic"})

    around_the_next_append(beside, renamed)
    with pytest.raises(NotFound):
        await beside.read(clinic, "Patient", patient)


async def test_names_of_others_may_change_meanwhile(world: World, beside: World) -> None:
    first, _, _ = await permitted(world)
    node = replace(HOSPITAL, organization=world.rooms.member)
    real, appends = beside.rooms.pen._append, list[int]()

    async def counted(append: Append) -> Appended | Refused:
        appends.append(1)
        return await real(append)

    async def another() -> None:
        await world.create(node, {"resourceType": "Organization", "name": "Harbour"})

    beside.rooms.pen._append = counted
    around_the_next_append(beside, another)
    assert (await beside.read(CLINIC, "Patient", first)).id == first
    assert len(appends) == 1, "nobody waits, or tries again, for names that are not its own"


async def test_an_organization_of_somebody_else_changes_no_name(world: World) -> None:
    await permitted(world)
    before = world.rooms.changes.serial
    await world.create(CLINIC, {"resourceType": "Organization", "name": "Mine"})
    assert world.rooms.changes.serial == before
    node = replace(HOSPITAL, organization=world.rooms.member)
    await world.create(node, {"resourceType": "Organization", "name": "Harbour"})
    assert world.rooms.changes.serial == before + 1


async def test_an_identifier_that_two_organisations_have_names_nobody(
    world: World, beside: World
) -> None:
    node = replace(HOSPITAL, organization=world.rooms.member)
    identifier = {"system": "http://hospital.example/organizations", "value": "c"}
    named = {"resourceType": "Organization", "identifier": [identifier]}
    made = await world.create(node, named)
    clinic = replace(CLINIC, organization="http://hospital.example/organizations|c")
    patient = await world.patient()
    by_id = consent(patient)
    by_id["provision"]["actor"][0]["reference"] = {"reference": f"Organization/{made.id}"}
    await world.create(HOSPITAL, by_id)
    assert (await beside.read(clinic, "Patient", patient)).id == patient

    async def twin() -> None:
        await world.create(node, named)

    around_the_next_append(beside, twin)
    with pytest.raises(NotFound):
        await beside.read(clinic, "Patient", patient)
