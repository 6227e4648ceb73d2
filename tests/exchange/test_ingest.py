"""create, update, delete and what a race between them leaves (R4 http.html)."""

from __future__ import annotations

import asyncio
import json

import pytest

from fhir_bridge.errors import Forbidden, Gone, Incorrect, NotFound, Precondition
from tests.exchange.world import CLINIC, HOSPITAL, World, observation, tree_of


async def test_a_resource_comes_back_as_it_was_sent_but_for_id_and_version(world: World) -> None:
    patient = await world.patient()
    sent = observation(patient, "26105.70", id="mine", note=[{"text": "naïve ☃"}])
    made = await world.create(HOSPITAL, sent)
    back = (await world.read(HOSPITAL, "Observation", made.id)).raw
    assert back == made.raw
    assert b'"value": 26105.70' in back
    tree = tree_of(back)
    assert made.id != "mine"
    assert tree.pop("id") == made.id
    assert tree.pop("meta")["versionId"] == made.version_id
    assert tree == {k: v for k, v in tree_of(sent).items() if k != "id"}


async def test_a_write_is_one_entry_and_one_record_on_the_patients_chain(world: World) -> None:
    patient = await world.patient()
    entries, rows = world.marks()
    made = await world.create(HOSPITAL, observation(patient))
    assert world.marks() == (entries + 1, rows + 1)
    record = (await world.account(patient))[-1]
    assert (record.kind, record.client, record.out) == ("create", "hospital-ehr", 0)
    assert [(e.type, e.id, e.version_id) for e in record.ents] == [
        ("Observation", made.id, made.version_id)
    ]


async def test_an_update_makes_the_next_version_and_both_can_be_read(world: World) -> None:
    patient = await world.patient()
    first = await world.create(HOSPITAL, observation(patient, "1.0"))
    second = await world.update(HOSPITAL, first.id, observation(patient, "2.0"), first.version_id)
    assert not second.created
    assert (await world.read(HOSPITAL, "Observation", first.id)).version_id == second.version_id
    old = await world.vread(HOSPITAL, "Observation", first.id, first.version_id)
    assert old.raw == first.raw
    history = await world.history(HOSPITAL, "Observation", first.id)
    assert [e["request"]["method"] for e in history["entry"]] == ["PUT", "POST"]
    assert history["total"] == 2


async def test_a_deletion_is_gone_for_its_author_and_stays_in_the_history(world: World) -> None:
    patient = await world.patient()
    made = await world.create(HOSPITAL, observation(patient))
    gone = await world.delete(HOSPITAL, "Observation", made.id)
    with pytest.raises(Gone):
        await world.read(HOSPITAL, "Observation", made.id)
    with pytest.raises(Gone):
        await world.vread(HOSPITAL, "Observation", made.id, gone.version_id)
    assert (await world.vread(HOSPITAL, "Observation", made.id, made.version_id)).raw == made.raw
    again = await world.delete(HOSPITAL, "Observation", made.id)
    assert again.version_id == gone.version_id
    history = await world.history(HOSPITAL, "Observation", made.id)
    assert [e["request"]["method"] for e in history["entry"]] == ["DELETE", "POST"]
    assert "resource" not in history["entry"][0]
    assert await world.found(HOSPITAL, "Observation", subject=f"Patient/{patient}") == []
    back = await world.update(HOSPITAL, made.id, observation(patient, "3"))
    assert (await world.read(HOSPITAL, "Observation", made.id)).version_id == back.version_id


async def test_what_was_never_there_cannot_be_updated_deleted_or_read(world: World) -> None:
    with pytest.raises(NotFound):
        await world.update(HOSPITAL, "no-such", {"resourceType": "Patient"})
    with pytest.raises(NotFound):
        await world.delete(HOSPITAL, "Patient", "no-such")
    with pytest.raises(NotFound):
        await world.read(HOSPITAL, "Patient", "no-such")
    made = await world.create(HOSPITAL, {"resourceType": "Patient"})
    with pytest.raises(NotFound):
        await world.vread(HOSPITAL, "Patient", made.id, "no-such")
    with pytest.raises(NotFound):
        await world.read(HOSPITAL, "Observation", made.id)


async def test_an_old_if_match_is_refused_and_nothing_is_written(world: World) -> None:
    patient = await world.patient()
    first = await world.create(HOSPITAL, observation(patient, "1"))
    await world.update(HOSPITAL, first.id, observation(patient, "2"))
    before = world.marks()
    with pytest.raises(Precondition):
        await world.update(HOSPITAL, first.id, observation(patient, "3"), first.version_id)
    with pytest.raises(Precondition):
        await world.delete(HOSPITAL, "Observation", first.id, first.version_id)
    assert world.marks()[0] == before[0]


async def test_only_the_author_writes_the_next_version(world: World) -> None:
    made = await world.create(HOSPITAL, {"resourceType": "Organization", "name": "Harbour"})
    with pytest.raises(Forbidden):
        await world.update(CLINIC, made.id, {"resourceType": "Organization", "name": "Mine"})
    with pytest.raises(Forbidden):
        await world.delete(CLINIC, "Organization", made.id)


async def test_a_body_with_another_id_or_type_is_incorrect(world: World) -> None:
    from fhir_bridge.exchange import ingest

    made = await world.create(HOSPITAL, {"resourceType": "Patient"})
    for body in ({"resourceType": "Patient", "id": "other"}, {"resourceType": "Patient"}):
        with pytest.raises(Incorrect):
            await ingest.update(
                world.rooms, HOSPITAL, world.request(), "Patient", made.id,
                json.dumps(body).encode(),
            )  # fmt: skip
    with pytest.raises(Incorrect):
        await ingest.create(
            world.rooms, HOSPITAL, world.request(), "Patient", b'{"resourceType":"Group"}'
        )


async def test_a_conditional_create_makes_one_resource_and_then_finds_it(world: World) -> None:
    identifier = [{"system": "http://mrn", "value": "A|1,2"}]
    tree = {"resourceType": "Patient", "identifier": identifier}
    query = r"identifier=http%3A%2F%2Fmrn%7CA%5C%7C1%5C%2C2"
    first = await world.create(HOSPITAL, tree, query)
    entries, _ = world.marks()
    second = await world.create(HOSPITAL, tree, query)
    assert (first.created, second.created) == (True, False)
    assert (second.id, second.version_id, second.raw) == (first.id, first.version_id, first.raw)
    assert world.marks()[0] == entries
    await world.create(HOSPITAL, tree)
    with pytest.raises(Precondition):
        await world.create(HOSPITAL, tree, query)


async def test_a_conditional_create_does_not_see_what_is_hidden_from_its_writer(
    world: World,
) -> None:
    tree = {"resourceType": "Patient", "identifier": [{"system": "http://mrn", "value": "1"}]}
    hidden = await world.create(HOSPITAL, tree, "identifier=http://mrn|1")
    made = await world.create(CLINIC, tree, "identifier=http://mrn|1")
    assert made.created
    assert made.id != hidden.id


async def test_a_race_of_conditional_creates_makes_one_resource(world: World) -> None:
    tree = {"resourceType": "Patient", "identifier": [{"system": "http://mrn", "value": "1"}]}
    made = await asyncio.gather(
        *(world.create(HOSPITAL, tree, "identifier=http://mrn|1") for _ in range(20))
    )
    assert len({m.id for m in made}) == 1
    assert [m.created for m in made].count(True) == 1
    assert await world.found(HOSPITAL, "Patient") == [made[0].id]


async def test_of_fifty_updates_with_the_same_if_match_one_wins(world: World) -> None:
    patient = await world.patient()
    first = await world.create(HOSPITAL, observation(patient))
    results = await asyncio.gather(
        *(
            world.update(HOSPITAL, first.id, observation(patient, f"{n}.0"), first.version_id)
            for n in range(50)
        ),
        return_exceptions=True,
    )
    won = [r for r in results if not isinstance(r, BaseException)]
    assert len(won) == 1
    assert all(isinstance(r, Precondition) for r in results if r is not won[0])
    assert (await world.read(HOSPITAL, "Observation", first.id)).raw == won[0].raw
    assert (await world.history(HOSPITAL, "Observation", first.id))["total"] == 2


async def test_fifty_updates_without_if_match_all_succeed_one_after_the_other(
    world: World,
) -> None:
    patient = await world.patient()
    first = await world.create(HOSPITAL, observation(patient))
    results = await asyncio.gather(
        *(world.update(HOSPITAL, first.id, observation(patient, f"{n}.5")) for n in range(50))
    )
    assert len({r.version_id for r in results}) == 50
    history = await world.history(HOSPITAL, "Observation", first.id)
    assert history["total"] == 51
    assert [e["resource"]["meta"]["versionId"] for e in history["entry"]][-1] == first.version_id


async def test_writes_after_a_race_still_extend_the_authors_chain(world: World) -> None:
    patient = await world.patient()
    first = await world.create(HOSPITAL, observation(patient))
    await asyncio.gather(
        *(
            world.update(HOSPITAL, first.id, observation(patient, f"{n}.0"), first.version_id)
            for n in range(20)
        ),
        return_exceptions=True,
    )
    for n in range(5):
        await world.create(HOSPITAL, observation(patient, f"{n}"))
    kinds = [(record.kind, record.reasons) for record in await world.account(patient)]
    assert [kind for kind, _ in kinds].count("create") == 7
    assert kinds.count(("update", ("version-conflict",))) == 19
    assert [kind for kind, _ in kinds].count("update") == 20
