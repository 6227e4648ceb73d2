"""Search, includes, pages and $everything, through the gates."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from fhir_bridge.api import ApiLimits
from fhir_bridge.errors import Incorrect, NotFound, Unsupported
from tests.exchange.world import (
    CLINIC,
    HOSPITAL,
    Tree,
    World,
    consent,
    next_of,
    observation,
    speaks_for,
    tree_of,
)


def ids(answer: Tree, mode: str = "match") -> list[str]:
    return [e["resource"]["id"] for e in answer.get("entry", ()) if e["search"]["mode"] == mode]


async def test_pages_hold_every_match_once_whatever_is_written_meanwhile(world: World) -> None:
    patient = await world.patient()
    made = [(await world.create(HOSPITAL, observation(patient, f"{n}"))).id for n in range(11)]
    answer = tree_of((await world.search(HOSPITAL, "Observation", patient=patient, _count="4")).raw)
    seen = ids(answer)
    while next_of(answer):
        await world.create(HOSPITAL, observation(patient, "99"))
        answer = await world.page(HOSPITAL, answer)
        seen += ids(answer)
    assert sorted(seen) == sorted(made)


async def test_a_cursor_is_worth_nothing_to_anybody_else_or_when_changed(world: World) -> None:
    patient = await world.patient()
    for n in range(3):
        await world.create(HOSPITAL, observation(patient, f"{n}"))
    answer = tree_of((await world.search(HOSPITAL, "Observation", patient=patient, _count="1")).raw)
    for who in (
        CLINIC,
        replace(HOSPITAL, client_id="other"),
        replace(HOSPITAL, purpose="HPAYMT"),
        replace(HOSPITAL, user="somebody"),
        speaks_for(patient),
    ):
        with pytest.raises(NotFound):
            await world.page(who, answer)
    cursor = next_of(answer) or ""
    assert patient not in base64.urlsafe_b64decode(cursor + "==").decode("latin-1")
    for forged in (cursor[:-4] + "AAAA", cursor[:20], "x", ""):
        with pytest.raises(NotFound):
            await world.page(HOSPITAL, {"link": [{"relation": "next", "url": f"?_page={forged}"}]})


async def test_the_next_page_of_a_long_search_fits_the_door(world: World) -> None:
    patient = await world.patient()
    made = [(await world.create(HOSPITAL, observation(patient))).id for _ in range(3)]
    listed = ",".join([*made, *(world.rooms.clock.new_id() for _ in range(190))])
    assert len(listed) > 7_000
    page = tree_of((await world.search(HOSPITAL, "Observation", _id=listed, _count="2")).raw)
    link = next(one["url"] for one in page["link"] if one["relation"] == "next")
    assert len(f"GET {link} HTTP/1.1") <= ApiLimits().max_line_bytes
    following = await world.page(HOSPITAL, page)
    found = [e["resource"]["id"] for e in page["entry"] + following["entry"]]
    assert sorted(found) == sorted(made)
    world.rooms.limits = replace(world.rooms.limits, max_cursor=1_000)
    with pytest.raises(Unsupported):
        await world.search(HOSPITAL, "Observation", _id=listed, _count="2")


async def test_a_page_is_decided_anew(world: World) -> None:
    patient = await world.patient()
    for n in range(4):
        await world.create(HOSPITAL, observation(patient, f"{n}"))
    given = await world.create(speaks_for(patient), consent(patient))
    answer = tree_of((await world.search(CLINIC, "Observation", patient=patient, _count="2")).raw)
    assert len(ids(answer)) == 2
    await world.update(speaks_for(patient), given.id, consent(patient, status="inactive"))
    assert ids(await world.page(CLINIC, answer)) == []


async def test_includes_and_reverse_includes_pass_the_gates_too(world: World) -> None:
    one, two = await world.patient(), await world.patient()
    first = await world.create(HOSPITAL, observation(one))
    second = await world.create(
        HOSPITAL,
        observation(one, derivedFrom=[{"reference": f"Observation/{first.id}"}],
                    performer=[{"reference": f"Patient/{two}"}]),
    )  # fmt: skip
    got = tree_of(
        (await world.search(HOSPITAL, "Observation", _id=second.id, _include="Observation:*")).raw
    )
    assert sorted(ids(got, "include")) == sorted([one, two, first.id])
    got = tree_of(
        (await world.search(HOSPITAL, "Patient", _id=one, _revinclude="Observation:patient")).raw
    )
    assert sorted(ids(got, "include")) == sorted([first.id, second.id])
    await world.create(speaks_for(one), consent(one))
    got = tree_of(
        (await world.search(CLINIC, "Observation", _id=first.id, _include="Observation:*",
                            _revinclude="Observation:derived-from")).raw
    )  # fmt: skip
    assert ids(got) == [first.id]
    assert two not in ids(got, "include")


async def test_totals_count_what_may_be_seen(world: World) -> None:
    one, two = await world.patient(), await world.patient()
    for n in range(3):
        await world.create(HOSPITAL, observation(one, f"{n}"))
        await world.create(HOSPITAL, observation(two, f"{n}"))
    await world.create(speaks_for(one), consent(one))
    for who, total in ((HOSPITAL, 6), (CLINIC, 3), (speaks_for(two), 3)):
        answer = await world.search(who, "Observation", _total="accurate", _count="1")
        assert tree_of(answer.raw)["total"] == total


async def test_everything_comes_in_pages_each_resource_once(world: World) -> None:
    patient, other = await world.patient(), await world.patient()
    made = {(await world.create(HOSPITAL, observation(patient, f"{n}"))).id for n in range(7)}
    await world.create(HOSPITAL, observation(other))
    answer = await world.everything(HOSPITAL, patient, 3)
    seen = ids(answer)
    while next_of(answer):
        answer = await world.page(HOSPITAL, answer)
        assert len(ids(answer)) <= 3
        seen += ids(answer)
    assert sorted(seen) == sorted(made | {patient})


async def test_everything_of_a_patient_without_a_permit_is_absent(world: World) -> None:
    patient = await world.patient()
    with pytest.raises(NotFound):
        await world.everything(CLINIC, patient)
    with pytest.raises(NotFound):
        await world.everything(HOSPITAL, "no-such")


async def test_an_unknown_parameter_is_refused(world: World) -> None:
    with pytest.raises(Incorrect):
        await world.search(HOSPITAL, "Observation", colour="red")


async def test_a_search_is_on_the_account_of_each_patient_it_released_and_of_no_other(
    world: World,
) -> None:
    one, two, three = await world.patient(), await world.patient(), await world.patient()
    for patient in (one, two, three):
        await world.create(HOSPITAL, observation(patient))
    for patient in (one, two):
        await world.create(speaks_for(patient), consent(patient))
    before = {p: len(await world.account(p)) for p in (one, two, three)}
    rows = world.marks()[1]
    assert len(await world.found(CLINIC, "Observation")) == 2
    assert world.marks()[1] == rows + 2
    for patient, more in ((one, 1), (two, 1), (three, 0)):
        records = await world.account(patient)
        assert len(records) == before[patient] + more
        if more:
            assert (records[-1].kind, len(records[-1].ents)) == ("search", 1)
            assert records[-1].consents
