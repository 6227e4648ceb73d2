"""What one request may cost: sizes of answers, patients of a resource, rules of a Consent."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from fhir_bridge.consent import Standing, normalise
from fhir_bridge.errors import Incorrect, TooLarge
from fhir_bridge.exchange import carry_out
from tests.exchange.world import BASE, HOSPITAL, World, consent, observation, tree_of


async def test_a_page_that_would_be_too_large_is_not_given_and_not_recorded(world: World) -> None:
    patient = await world.patient()
    for _ in range(5):
        await world.create(HOSPITAL, observation(patient, note=[{"text": "x" * 1000}]))
    world.rooms.limits = replace(world.rooms.limits, max_answer_bytes=4_000)
    before = len(await world.account(patient))
    with pytest.raises(TooLarge):
        await world.search(HOSPITAL, "Observation", patient=patient)
    with pytest.raises(TooLarge):
        await world.everything(HOSPITAL, patient)
    assert len(await world.account(patient)) == before
    answer = await world.search(HOSPITAL, "Observation", patient=patient, _count="2")
    assert len(tree_of(answer.raw)["entry"]) == 2


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_lines_beyond_what_an_answer_may_be_are_not_read(world: World, kind: str) -> None:
    patient = await world.patient()
    lab = await world.create(HOSPITAL, observation(patient, note=[{"text": "x" * 1000}]))
    world.rooms.limits = replace(world.rooms.limits, max_answer_bytes=2_500)
    before = len(await world.account(patient))
    look = {"request": {"method": "GET", "url": f"Observation/{lab.id}"}}
    tree = {"resourceType": "Bundle", "type": kind, "entry": [look] * 6}
    raw = json.dumps(tree).encode()
    answer = await carry_out(world.rooms, kind, HOSPITAL, world.request(), raw, BASE)
    statuses = [entry["response"]["status"][:3] for entry in tree_of(answer.raw)["entry"]]
    assert statuses == ["200", "200", "413", "413", "413", "413"]
    assert len(await world.account(patient)) == before + 2


async def test_a_resource_names_so_many_patients_and_no_more(world: World) -> None:
    def group(size: int) -> dict[str, object]:
        members = [{"entity": {"reference": f"Patient/p{n}"}} for n in range(size)]
        return {"resourceType": "Group", "type": "person", "actual": True, "member": members}

    assert (await world.create(HOSPITAL, group(50))).created
    before = world.marks()
    with pytest.raises(Incorrect) as caught:
        await world.create(HOSPITAL, group(2_001))
    assert caught.value.code == "too-many-patients"
    assert world.marks() == before


def test_a_consent_of_more_rules_than_are_read_denies() -> None:
    tree = consent("p1")
    rule = {"type": "deny", "class": [{"code": "Patient"}]}
    for count, standing in ((1_000, Standing.IN_FORCE), (1_001, Standing.INDETERMINATE)):
        tree["provision"]["provision"] = [rule] * count
        assert normalise(tree).standing is standing
