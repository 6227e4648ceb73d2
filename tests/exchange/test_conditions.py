"""Conditions: nobody waits for ever, nothing is made twice, what they tell is on record."""

from __future__ import annotations

import asyncio
import json
import random
import string
from dataclasses import replace
from typing import Any

import pytest

from fhir_bridge.api.interactions.search import _CURSOR
from fhir_bridge.errors import (
    BridgeError,
    Conflict,
    Forbidden,
    Incorrect,
    Unavailable,
    Unsupported,
)
from fhir_bridge.exchange import carry_out
from fhir_bridge.exchange.account import chain_of
from fhir_bridge.ledger import Append, Appended, Refused
from fhir_bridge.locator.pages import Bounds
from fhir_bridge.search import parse
from fhir_bridge.terms import Scope
from tests.exchange.moving import around_the_next_append
from tests.exchange.world import (
    BASE,
    CLINIC,
    HOSPITAL,
    Tree,
    World,
    consent,
    next_of,
    observation,
    tree_of,
)

MRN = "http://hospital.example/mrn"
NUMBERED: dict[str, Any] = {"identifier": [{"system": MRN, "value": "7"}]}


def once(query: str) -> Tree:
    return {
        "resource": {"resourceType": "Patient"},
        "request": {"method": "POST", "url": "Patient", "ifNoneExist": query},
    }


async def test_one_condition_in_two_spellings_is_refused_and_nobody_waits(world: World) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(Incorrect):
            await world.transaction(HOSPITAL, once("identifier=s|7"), once("identifier=s%7C7"))
        await world.create(HOSPITAL, {"resourceType": "Patient"}, "identifier=s|7")


async def test_conditions_in_other_orders_do_not_wait_in_a_circle(world: World) -> None:
    held = asyncio.create_task(
        world.create(HOSPITAL, {"resourceType": "Patient"}, "family=A&given=x")
    )
    await asyncio.sleep(0)
    two = [
        world.transaction(HOSPITAL, once("family=A&given=x"), once("identifier=7&family=B")),
        world.transaction(HOSPITAL, once("given=x&family=A"), once("family=B&identifier=7")),
    ]
    async with asyncio.timeout(10):
        await asyncio.gather(held, *two)


@pytest.mark.parametrize("reference", [False, True])
async def test_a_transaction_that_may_be_durable_is_not_tried_again(
    world: World, beside: World, reference: bool
) -> None:
    patient, other = await world.patient(**NUMBERED), await world.patient()
    given = await world.create(HOSPITAL, consent(patient))
    assert await world.found(CLINIC, "Patient", identifier=f"{MRN}|7") == [patient]
    await beside.rooms.follower.reached(beside.rooms.reader.size())

    async def lost() -> None:
        await beside.update(HOSPITAL, given.id, consent(other))
        raise Unavailable("lost", code="sequencer-gone")

    around_the_next_append(world, after=lost)
    about = json.loads(observation(f"Patient?identifier={MRN}|7"))
    device: Tree = {"resourceType": "Device"}
    made = {
        "resource": about if reference else device,
        "request": {"method": "POST", "url": "Observation" if reference else "Device"},
    }
    entries = [made] if reference else [made, once(f"identifier={MRN}|7")]
    before = world.marks()[0]
    with pytest.raises(Unavailable):
        await world.transaction(CLINIC, *entries)
    assert world.marks()[0] == before + 2  # the one, and the Consent


@pytest.mark.parametrize("more", ["_count=0", "_count=1", "_sort=family", "_total=none"])
async def test_parameters_about_the_result_are_no_condition(world: World, more: str) -> None:
    for _ in range(2):
        await world.patient(**NUMBERED)
    with pytest.raises(Incorrect) as caught:
        await world.create(HOSPITAL, {"resourceType": "Patient"}, f"identifier={MRN}|7&{more}")
    assert caught.value.code == "no-condition"


async def test_a_condition_that_cannot_be_looked_through_makes_nothing(world: World) -> None:
    await world.patient(name=[{"family": "Muster", "given": ["Max"]}])
    for _ in range(15):
        await world.patient(name=[{"family": "Muster", "given": ["Eva"]}])
        await world.patient(name=[{"family": "Meier", "given": ["Max"]}])
    await world.rooms.pending.settle_all()
    world.rooms.locator._bounds = Bounds(10, 1000)
    before = world.marks()[0]
    with pytest.raises(Unsupported) as caught:
        await world.create(HOSPITAL, {"resourceType": "Patient"}, "family=Muster&given=Max")
    assert caught.value.code == "too-costly"
    assert world.marks()[0] == before


async def test_a_transaction_that_always_comes_second_records_what_it_found(
    world: World, beside: World
) -> None:
    patient = await world.patient(**NUMBERED)
    device = (await world.create(HOSPITAL, {"resourceType": "Device"})).id
    real, races = world.rooms.pen._append, list[int]()

    async def second(append: Append) -> Appended | Refused:
        if append.entries and len(races) < 5:
            races.append(1)
            await beside.rooms.follower.reached(beside.rooms.reader.size())
            await beside.update(HOSPITAL, device, {"resourceType": "Device"})
        return await real(append)

    world.rooms.pen._append = second
    before = len(await world.account(patient))
    put = {
        "resource": {"resourceType": "Device", "id": device},
        "request": {"method": "PUT", "url": f"Device/{device}"},
    }
    about = {
        "resource": json.loads(observation(f"Patient?identifier={MRN}|7")),
        "request": {"method": "POST", "url": "Observation"},
    }
    with pytest.raises(Conflict):
        await world.transaction(HOSPITAL, put, about)
    assert [r.kind for r in (await world.account(patient))[before:]] == ["search"]


async def test_a_refusal_to_collect_records_that_nothing_met_the_condition(world: World) -> None:
    patient = await world.patient()
    system = "http://terminology.hl7.org/CodeSystem/consentaction"
    never = consent(patient)
    never["provision"] = {
        "type": "deny",
        "action": [{"coding": [{"system": system, "code": "collect"}]}],
    }
    await world.create(HOSPITAL, never)
    with pytest.raises(Forbidden):
        await world.create(HOSPITAL, observation(patient), f"identifier={MRN}|8")
    assert f"{MRN}|8" in (await world.account(patient))[-1].query


async def test_a_condition_in_a_transaction_needs_the_scopes_of_what_it_tells(
    world: World,
) -> None:
    await world.patient(**NUMBERED)
    for letters in ("c", "cs", "cr"):
        who = replace(HOSPITAL, scopes=(Scope("system", "*", frozenset(letters)),))
        with pytest.raises(Forbidden):
            await world.transaction(who, once(f"identifier={MRN}|7"))


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_lines_of_a_bundle_are_recorded_as_what_they_ask(world: World, kind: str) -> None:
    patient = await world.patient()
    lab = await world.create(HOSPITAL, observation(patient))
    await world.delete(HOSPITAL, "Observation", lab.id)
    again = {"request": {"method": "DELETE", "url": f"Observation/{lab.id}"}}
    look = {"request": {"method": "GET", "url": f"Patient?_id={patient}"}}
    nobody = {"request": {"method": "GET", "url": "Patient?family=Nobody"}}
    tree = {"resourceType": "Bundle", "type": kind, "entry": [again, look, nobody]}
    request = world.request("/fhir")
    raw = json.dumps(tree).encode()
    await carry_out(world.rooms, kind, HOSPITAL, request, raw, BASE)
    await world.rooms.follower.reached(world.rooms.reader.size())
    records = [record for _, _, record in chain_of(world.rooms, patient)][-2:]
    assert [(r.kind, r.query) for r in records] == [
        ("delete", f"Observation/{lab.id}"),
        ("search", f"Patient?_id={patient}"),
    ]
    assert [entity.id for entity in records[0].ents] == [lab.id]
    assert (await world.account(""))[-1].query == "Patient?family=Nobody"


async def test_the_door_takes_the_longest_next_link_that_is_given(world: World) -> None:
    patient = await world.patient()
    for _ in range(2):
        await world.create(HOSPITAL, observation(patient))
    rng = random.Random(1)
    codes = ",".join("".join(rng.choices(string.ascii_letters, k=30)) for _ in range(199))
    answer = await world.search(HOSPITAL, "Observation", code=f"{codes},2339-0", _count="1")
    cursor = next_of(tree_of(answer.raw))
    assert cursor is not None
    assert len(cursor) > 4096
    assert _CURSOR.match(cursor)
    try:
        await world.page(HOSPITAL, tree_of(answer.raw))
    except BridgeError as error:  # pragma: no cover - says which
        raise AssertionError(error.code) from error


@pytest.mark.parametrize("query", [f"identifier={MRN}|7", f"identifier={MRN}%7C7", "identifier=7"])
@pytest.mark.parametrize("order", [1, -1])
async def test_a_conditional_reference_may_mean_what_the_transaction_makes(
    world: World, query: str, order: int
) -> None:
    """R4 http.html#trules: conditional references are resolved last."""
    made = {
        "resource": {"resourceType": "Patient", **NUMBERED},
        "request": {"method": "POST", "url": "Patient"},
    }
    about = {
        "resource": json.loads(observation("nobody")),
        "request": {"method": "POST", "url": "Observation"},
    }
    about["resource"]["subject"]["reference"] = f"Patient?{query}"
    told = await world.transaction(HOSPITAL, *[made, about][::order])
    places = [response["location"].split("/")[1] for response in told][::order]
    lab = tree_of((await world.read(HOSPITAL, "Observation", places[1])).raw)
    assert lab["subject"]["reference"] == f"Patient/{places[0]}"
    with pytest.raises(Incorrect) as caught:
        await world.transaction(HOSPITAL, made, about)
    assert caught.value.code == "unresolved-reference"


async def test_parameters_about_the_form_stand_in_nobodys_way(world: World) -> None:
    made = await world.create(
        HOSPITAL, {"resourceType": "Patient"}, f"_format=json&identifier={MRN}|9"
    )
    assert made.created
    post = {
        "resource": {"resourceType": "Patient"},
        "request": {"method": "POST", "url": "Patient?_format=json"},
    }
    assert (await world.transaction(HOSPITAL, post))[0]["status"].startswith("201")


@pytest.mark.parametrize("query", ["_summary=count", "name:nonsense=x", "birthdate=x", "name="])
async def test_a_look_that_is_refused_says_where_it_stands(world: World, query: str) -> None:
    post = {
        "resource": {"resourceType": "Patient"},
        "request": {"method": "POST", "url": "Patient"},
    }
    look = {"request": {"method": "GET", "url": f"Patient?{query}"}}
    before = world.marks()[0]
    with pytest.raises(BridgeError) as caught:
        await world.transaction(HOSPITAL, post, look)
    assert caught.value.where == "Bundle.entry[1].request.url"
    assert world.marks()[0] == before


def test_names_that_r4_knows_are_shown_and_others_are_not() -> None:
    for name, told in (("_summary", True), ("patient", True), ("Smith", False), ("555-1", False)):
        with pytest.raises(Incorrect) as caught:
            parse("Organization", [("name", "x"), (name, "x")])
        assert (name in caught.value.message) is told
        assert ("parameter 2" in caught.value.message) is not told
