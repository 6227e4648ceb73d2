"""What an answer tells beside records follows an acknowledged change too."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge.assembly.bundles import BundleClient
from fhir_bridge.errors import NotFound, Precondition, Unavailable
from fhir_bridge.exchange import batch as batches
from fhir_bridge.exchange import carry_out
from tests.exchange.moving import Step, around_the_next_append, permitted, served, total
from tests.exchange.world import (
    BASE,
    CLINIC,
    HOSPITAL,
    Tree,
    World,
    consent,
    observation,
    tree_of,
)

SYSTEM = "http://hospital.example/organizations"


def batch_of(*entries: Tree) -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": "batch", "entry": entries}).encode()


def get(url: str) -> Tree:
    return {"request": {"method": "GET", "url": url}}


def before_line(monkeypatch: pytest.MonkeyPatch, number: int, step: Step) -> None:
    """Run ``step`` before that line of a batch."""
    real, lines = batches._alone, list[int]()

    async def alone(*line: Any) -> Any:
        lines.append(1)
        if len(lines) == number:
            await step()
        return await real(*line)

    monkeypatch.setattr(batches, "_alone", alone)


async def caught_up(world: World) -> None:
    await world.rooms.follower.reached(world.rooms.reader.size())


@pytest.mark.parametrize("counting", ["_total=accurate&_count=0", "_count=1"])
async def test_a_count_in_a_running_batch_follows_a_revocation_elsewhere(
    world: World,
    beside: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    counting: str,
) -> None:
    first, second, given = await permitted(world)
    await world.create(HOSPITAL, observation(first))

    async def revoke() -> None:
        await world.update(HOSPITAL, given, consent(second))

    before_line(monkeypatch, 2, revoke)
    url = f"Observation?subject=Patient/{first}&{counting}"
    async with served(beside, world, tmp_path) as client:
        answer = await client.run(
            "batch", CLINIC, world.request(), batch_of(get(url), get(url)), BASE
        )
    one, two = (entry["resource"] for entry in tree_of(answer.raw)["entry"])
    assert one.get("total") == 2 or len(one["link"]) == 2
    assert two.get("total", 0) == 0
    assert len(two["link"]) == 1


async def test_a_total_follows_a_revocation_while_it_is_looked_at_again(
    world: World, beside: World
) -> None:
    first, second, other = [await world.patient() for _ in range(3)]
    for patient in (second, first):
        await world.create(HOSPITAL, observation(patient))
    of_first = (await world.create(HOSPITAL, consent(first))).id
    of_second = (await world.create(HOSPITAL, consent(second))).id
    await world.rooms.pending.settle_all()
    reached, waited = world.rooms.follower.reached, list[int]()

    async def waiting(size: int) -> int:
        if not waited:
            waited.append(size)
            await world.update(HOSPITAL, of_second, consent(other))
        return await reached(size)

    async def moved() -> None:
        await beside.update(HOSPITAL, of_first, consent(first))
        world.rooms.follower.reached = waiting  # type: ignore[method-assign]

    around_the_next_append(world, moved)
    answer = await world.search(CLINIC, "Observation", _total="accurate", _count="1")
    assert waited
    assert tree_of(answer.raw)["total"] == 1


@pytest.mark.parametrize("what", ["gone", "not-author", "version"])
async def test_a_refusal_in_a_running_batch_follows_a_revocation_elsewhere(
    world: World, beside: World, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    first, second = await world.patient(), await world.patient()
    lab = await world.create(HOSPITAL, observation(first))
    given = await world.create(HOSPITAL, consent(first))
    put: Tree = {
        "resource": {**json.loads(observation(first)), "id": lab.id},
        "request": {"method": "PUT", "url": f"Observation/{lab.id}"},
    }
    line = get(f"Observation/{lab.id}") if what == "gone" else put
    who = CLINIC
    if what == "gone":
        await world.delete(HOSPITAL, "Observation", lab.id)
    if what == "version":
        line["request"]["ifMatch"] = 'W/"another"'
        who = HOSPITAL
    await caught_up(beside)

    async def revoke() -> None:
        await world.update(HOSPITAL, given.id, consent(second))
        if what == "version":
            never = consent(first, "deny", actor=None, purpose=None)
            never["provision"] = {"type": "deny"}
            await world.create(HOSPITAL, never)

    before_line(monkeypatch, 2, revoke)
    raw = batch_of(line, line)
    answer = await carry_out(beside.rooms, "batch", who, beside.request(), raw, BASE)
    one, two = (entry["response"]["status"] for entry in tree_of(answer.raw)["entry"])
    assert one[:3] == {"gone": "410", "not-author": "403", "version": "412"}[what]
    assert two[:3] == "404"


def _node(world: World) -> Any:
    return replace(HOSPITAL, organization=world.rooms.member)


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        (f"{SYSTEM}|c", {"system": SYSTEM, "value": "c"}),
        ("http://c.example/org", {"system": "urn:ietf:rfc:3986", "value": "http://c.example/org"}),
        ("c7", {"system": SYSTEM, "value": "c7"}),
        ("|c7", {"value": "c7"}),
    ],
)
async def test_a_name_taken_away_elsewhere_lets_nothing_out_however_it_was_registered(
    world: World, beside: World, name: str, identifier: Tree
) -> None:
    made = await world.create(
        _node(world), {"resourceType": "Organization", "identifier": [identifier]}
    )
    clinic = replace(CLINIC, organization=name)
    patient = await world.patient()
    given = consent(patient)
    given["provision"]["actor"][0]["reference"] = {"reference": f"Organization/{made.id}"}
    await world.create(HOSPITAL, given)
    await caught_up(beside)
    assert (await beside.read(clinic, "Patient", patient)).id == patient

    async def renamed() -> None:
        await world.update(_node(world), made.id, {"resourceType": "Organization", "name": "C"})

    around_the_next_append(beside, renamed)
    with pytest.raises(NotFound):
        await beside.read(clinic, "Patient", patient)


@pytest.mark.parametrize("what", ["of nobody", "accounting"])
async def test_what_only_a_name_gives_ends_with_the_name(
    world: World, beside: World, what: str
) -> None:
    named = {"resourceType": "Organization", "identifier": [{"system": SYSTEM, "value": "c"}]}
    made = await world.create(_node(world), named)
    author = replace(CLINIC, client_id="author", organization=f"Organization/{made.id}")
    reader = replace(CLINIC, client_id="reader", organization=f"{SYSTEM}|c")
    device = await world.create(author, {"resourceType": "Device"})
    patient = await world.patient(author)
    given = consent(patient)
    given["provision"]["actor"][0]["reference"] = {"identifier": {"system": SYSTEM, "value": "c"}}
    await world.create(author, given)
    await caught_up(beside)

    async def ask() -> object:
        if what == "accounting":
            return await beside.accounting(reader, patient)
        return await beside.read(reader, "Device", device.id)

    await ask()

    async def renamed() -> None:
        await world.update(_node(world), made.id, {"resourceType": "Organization", "name": "C"})

    around_the_next_append(beside, renamed)
    with pytest.raises(NotFound):
        await ask()


@pytest.mark.parametrize("how", ["deleted", "of another patient"])
async def test_the_next_page_of_everything_shows_nothing_that_went_meanwhile(
    world: World, how: str
) -> None:
    patient, other = await world.patient(), await world.patient()
    labs = [(await world.create(HOSPITAL, observation(patient))).id for _ in range(3)]
    page = await world.everything(HOSPITAL, patient, 1)
    if how == "deleted":
        await world.delete(HOSPITAL, "Observation", labs[1])
    else:
        await world.update(HOSPITAL, labs[1], observation(other))
    following = await world.page(HOSPITAL, page)
    assert labs[1] not in [entry["resource"]["id"] for entry in following["entry"]]


async def test_hidden_versions_take_no_place_in_a_history(world: World) -> None:
    first, second = await world.patient(), await world.patient()
    await world.create(HOSPITAL, consent(first))
    lab = await world.create(HOSPITAL, observation(first))
    for n in range(5):
        await world.update(HOSPITAL, lab.id, observation(second, f"2.0{n}"))
    await world.update(HOSPITAL, lab.id, observation(first, "3.00"))
    for count, seen in ((1, 1), (2, 2), (3, 2), (100, 2)):
        entries = (await world.history(CLINIC, "Observation", lab.id, count))["entry"]
        assert len(entries) == seen


async def test_a_patient_named_with_a_fragment_is_the_patient_of_the_consent(world: World) -> None:
    patient = await world.patient()
    await world.create(HOSPITAL, consent(patient))
    assert (await world.read(CLINIC, "Patient", patient)).id == patient
    never = consent(patient, "deny")
    never["patient"]["reference"] += "#me"
    await world.create(HOSPITAL, never)
    with pytest.raises(NotFound):
        await world.read(CLINIC, "Patient", patient)


async def test_refusals_that_tell_of_a_record_stand_with_every_patient_of_it(world: World) -> None:
    first, second = await world.patient(), await world.patient()
    both = observation(first, performer=[{"reference": f"Patient/{second}"}])
    lab = await world.create(HOSPITAL, both)
    with pytest.raises(Precondition):
        await world.update(HOSPITAL, lab.id, both, "another")
    for patient in (first, second):
        record = (await world.account(patient))[-1]
        assert (record.kind, record.out, record.reasons) == ("update", 4, ("version-conflict",))
        assert [(e.type, e.id, e.version_id) for e in record.ents] == [
            ("Observation", lab.id, lab.version_id)
        ]


async def test_a_record_that_moves_to_another_patient_stands_with_both(world: World) -> None:
    first, second = await world.patient(), await world.patient()
    lab = await world.create(HOSPITAL, observation(first))
    await world.update(HOSPITAL, lab.id, observation(second))
    for patient in (first, second):
        record = (await world.account(patient))[-1]
        assert (record.kind, record.ents[0].id) == ("update", lab.id)


async def test_a_count_over_more_groups_than_are_remembered_is_given(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhir_bridge.exchange.gates._KEPT_DECISIONS", 4)
    monkeypatch.setattr("fhir_bridge.exchange.consents._KEPT_PATIENTS", 12)
    for _ in range(10):
        await world.patient()
    answer = await world.search(HOSPITAL, "Patient", _total="accurate", _count="1")
    assert tree_of(answer.raw)["total"] == 10


@pytest.mark.parametrize("most", [1_000, 0])
async def test_a_count_goes_round_again_for_those_whom_it_passes(
    world: World, beside: World, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Consents of others, written by the other process, do not send it round; beyond a number
    of patients anybody's do, and it ends all the same."""
    monkeypatch.setattr("fhir_bridge.exchange.find._MOST_COUNTED", most)
    first, second, _ = await permitted(world)
    await world.create(HOSPITAL, consent(second))
    await caught_up(beside)
    real, appends = world.rooms.pen._append, list[int]()

    async def counted(append: Any) -> Any:
        appends.append(1)
        if len(appends) == 1:
            await beside.create(HOSPITAL, consent(second))
        return await real(append)

    world.rooms.pen._append = counted
    answer = await world.search(
        CLINIC, "Observation", subject=f"Patient/{first}", _total="accurate", _count="0"
    )
    assert tree_of(answer.raw)["total"] == 1
    assert len(appends) == (1 if most else 2)


async def test_what_was_heard_later_does_not_overtake_what_is_not_in_effect(
    world: World, beside: World, tmp_path: Path
) -> None:
    first, second, given = await permitted(world)
    rooms = world.rooms
    await rooms.pending.settle_all()
    client = BundleClient(tmp_path / "nobody", rooms)
    reached, slow = rooms.follower.reached, asyncio.Event()

    async def held(size: int) -> int:
        await slow.wait()
        return await reached(size)

    await beside.update(HOSPITAL, given, consent(second))
    revoked = beside.rooms.pending.high
    await beside.create(HOSPITAL, {"resourceType": "Location"})
    rooms.follower.reached = held  # type: ignore[method-assign]
    one = client._hear((first, second), revoked)
    await asyncio.sleep(0)
    rooms.follower.reached = reached  # type: ignore[method-assign]
    two = client._hear((), beside.rooms.pending.high)
    await asyncio.sleep(0.05)
    assert rooms.gates.heard_size < revoked
    assert not two.done()
    slow.set()
    await asyncio.wait({one, two})
    assert rooms.gates.heard_size == beside.rooms.pending.high
    assert await total(world, first) == 0


async def test_everything_is_forgotten_also_where_the_locator_cannot_be_read(
    world: World,
) -> None:
    first, _, _ = await permitted(world)

    def unreadable() -> int:
        raise Unavailable("the locator cannot be read", code="locator-behind")

    world.rooms.gates._covered = unreadable
    world.rooms.gates.forget_all()
    assert first not in world.rooms.consents._held
    assert not any(gate._memo for gate in world.rooms.gates._live)
