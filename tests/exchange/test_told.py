"""What an answer tells, a refusal too, leaves a record; what never left leaves none."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from fhir_bridge.clock import instant
from fhir_bridge.errors import (
    Forbidden,
    Incorrect,
    NotFound,
    Precondition,
    Unavailable,
    Unsupported,
)
from fhir_bridge.exchange import RequestInfo, find, prove, shown, transaction
from fhir_bridge.exchange.answer import Written
from fhir_bridge.exchange.match import Conditions
from fhir_bridge.ledger import Append, Appended, Refused
from fhir_bridge.terms import Scope
from tests.exchange.moving import permitted, total
from tests.exchange.world import (
    BASE,
    CLINIC,
    HOSPITAL,
    SteppingClock,
    Tree,
    World,
    consent,
    observation,
)

_MRN = "http://hospital.example/mrn"
_COLLECT = {
    "system": "http://terminology.hl7.org/CodeSystem/consentaction",
    "code": "collect",
}
_NOWHERE = "urn:uuid:00000000-0000-4000-8000-0000000000ff"


async def _probe(world: World, value: str) -> list[str]:
    """Where a transaction that must fail does not resolve."""
    tree = json.loads(observation(f"Patient?identifier={_MRN}|{value}"))
    tree["performer"] = [{"reference": _NOWHERE}]
    entry = {"resource": tree, "request": {"method": "POST", "url": "Observation"}}
    with pytest.raises(Incorrect) as caught:
        await world.transaction(HOSPITAL, entry)
    return [issue.where for issue in caught.value.issues]


async def test_a_transaction_that_fails_leaves_what_its_conditions_found(world: World) -> None:
    patient = await world.patient(identifier=[{"system": _MRN, "value": "7"}])
    before = world.marks()
    assert len(await _probe(world, "7")) == 1
    assert world.marks() != before
    record = (await world.account(patient))[-1]
    assert record.kind == "search"
    before = world.marks()
    assert len(await _probe(world, "8")) == 2
    assert world.marks() != before, "that nobody is there is told as well"


async def test_a_condition_that_several_meet_leaves_both(world: World) -> None:
    names = [{"system": _MRN, "value": "7"}]
    patients = [await world.patient(identifier=names) for _ in range(2)]
    with pytest.raises(Precondition):
        await world.create(HOSPITAL, {"resourceType": "Patient"}, f"identifier={_MRN}|7")
    for patient in patients:
        assert (await world.account(patient))[-1].kind == "search"


async def test_another_version_than_if_match_names_leaves_a_refusal(world: World) -> None:
    patient = await world.patient()
    with pytest.raises(Precondition):
        await world.update(HOSPITAL, patient, {"resourceType": "Patient"}, "other")
    record = (await world.account(patient))[-1]
    assert (record.kind, record.reasons) == ("update", ("version-conflict",))


async def test_a_second_deletion_leaves_a_record(world: World) -> None:
    patient = await world.patient()
    made = await world.create(HOSPITAL, observation(patient))
    for _ in range(2):
        await world.delete(HOSPITAL, "Observation", made.id)
    gone = {"request": {"method": "DELETE", "url": f"Observation/{made.id}"}}
    await world.transaction(HOSPITAL, gone)
    assert [r.reasons for r in (await world.account(patient))[-2:]] == [("deleted",)] * 2


async def test_a_page_that_cannot_be_continued_was_not_disclosed(world: World) -> None:
    patient = await world.patient()
    for _ in range(2):
        await world.create(HOSPITAL, observation(patient))
    world.rooms.limits = replace(world.rooms.limits, max_cursor=50)
    before = len(await world.account(patient))
    with pytest.raises(Unsupported):
        await world.found(HOSPITAL, "Observation", subject=f"Patient/{patient}", _count="1")
    assert len(await world.account(patient)) == before


async def test_a_long_query_is_kept_whole_once(world: World) -> None:
    patients = [await world.patient() for _ in range(20)]
    for patient in patients:
        await world.create(HOSPITAL, observation(patient))
    real, sizes = world.rooms.pen._append, list[int]()

    async def append(append: Append) -> Appended | Refused:
        sizes.append(sum(len(row.sealed) for row in append.audits))
        return await real(append)

    world.rooms.pen._append = append
    query = "/Observation?_count=20&code=" + "x" * 40_000
    request = RequestInfo("r", "/test", "192.0.2.1", query)
    await find.search(world.rooms, HOSPITAL, request, "Observation", [("_count", "20")], BASE)
    assert sizes[-1] < 200_000
    kept = {(await world.account(patient))[-1].query for patient in patients}
    assert query in kept
    [named] = kept - {query}
    assert named.startswith(query[:1000])


async def test_a_proof_is_refused_when_the_period_ended_while_it_waited(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = await world.patient()
    made = await world.create(HOSPITAL, observation(patient))
    clock = world.rooms.clock
    assert isinstance(clock, SteppingClock)
    end_us = clock.now_us() + 3_600_000_000
    until: Tree = {"period": {"end": instant(end_us)}}
    await world.create(HOSPITAL, consent(patient, **until))
    await world.rooms.ledger.checkpoint_now()
    real = prove._covering

    async def late(*about: object) -> bytes:
        note = await real(*about)  # type: ignore[arg-type]
        clock._now_us = end_us
        return note

    monkeypatch.setattr(prove, "_covering", late)
    with pytest.raises(NotFound):
        await prove.proof(world.rooms, CLINIC, world.request(), "Observation", made.id, None)


async def test_a_transaction_that_may_not_be_written_leaves_what_its_conditions_found(
    world: World,
) -> None:
    """403 in the place of 400 tells that every condition was met."""
    first, other = await world.patient(), await world.patient()
    names = [{"system": _MRN, "value": "7"}]
    await world.create(HOSPITAL, observation(other, identifier=names))
    never = consent(first, "deny")
    never["provision"] = {"type": "deny", "action": [{"coding": [_COLLECT]}]}
    await world.create(HOSPITAL, never)
    tree = json.loads(observation(first))
    tree["derivedFrom"] = [{"reference": f"Observation?identifier={_MRN}|7"}]
    with pytest.raises(Forbidden):
        await world.transaction(
            HOSPITAL, {"resource": tree, "request": {"method": "POST", "url": "Observation"}}
        )
    assert (await world.account(other))[-1].kind == "search"


@pytest.mark.parametrize("letters", ["c", "cs", "cr"])
async def test_a_condition_needs_the_scopes_of_what_it_tells(world: World, letters: str) -> None:
    await world.patient(identifier=[{"system": _MRN, "value": "7"}])
    who = replace(HOSPITAL, scopes=(Scope("system", "*", frozenset(letters)),))
    for value in ("7", "8"):
        with pytest.raises(Forbidden):
            await world.create(who, {"resourceType": "Patient"}, f"identifier={_MRN}|{value}")


async def test_many_conditions_are_kept_in_bounds(world: World) -> None:
    patient = await world.patient(identifier=[{"system": _MRN, "value": "7"}])
    await world.rooms.pending.settle_all()
    conditions = Conditions(world.rooms, HOSPITAL)
    for n in range(300):
        conditions.matches("Patient", f"identifier={_MRN}|7,{_MRN}|{n:0300}")
    assert await conditions.tell(world.request())
    record = (await world.account(patient))[-1]
    assert record.query.startswith("300 conditions: Patient?identifier=")
    assert "… SHA-256 " in record.query
    assert len(record.query) < 17_000


async def test_a_count_waits_for_a_revocation_that_the_locator_does_not_show_yet(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, made = await permitted(world)
    follower = world.rooms.follower
    real = follower.reached

    async def stands_still(size: int) -> int:
        if size > follower.known:
            raise Unavailable("behind", code="locator-behind")
        return follower.known

    follower.reached = stands_still  # type: ignore[method-assign]
    await world.update(HOSPITAL, made, consent(second))
    with pytest.raises(Unavailable):
        await total(world, first)
    with pytest.raises(Unavailable):
        await world.read(CLINIC, "Patient", first)
    follower.reached = real  # type: ignore[method-assign]
    await world.rooms.effects.settled()
    assert await total(world, first) == 0


async def test_a_locator_that_never_answers_holds_up_a_write_for_a_moment_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shown, "_PATIENCE_S", 0.05)
    patient = await world.patient()
    follower, ever = world.rooms.follower, asyncio.Event()
    real = follower.reached

    async def silent(size: int) -> int:
        await ever.wait()
        return await real(size)

    follower.reached = silent  # type: ignore[method-assign]
    async with asyncio.timeout(2):
        assert (await world.create(HOSPITAL, consent(patient))).created
    ever.set()
    await world.rooms.effects.settled()
    assert await world.found(CLINIC, "Patient") == [patient]


async def test_a_busy_locator_does_not_make_a_durable_write_an_error(world: World) -> None:
    def busy() -> int:
        raise RuntimeError("database is locked")

    world.rooms.pending._sweep_at = 1
    world.rooms.pending._covered = busy
    assert (await world.create(HOSPITAL, {"resourceType": "Device"})).created


async def test_a_fault_while_reading_does_not_deny_what_was_written(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fault(*_: object) -> Written:
        raise KeyError("Maria Muster")

    monkeypatch.setattr(transaction, "read_line", fault)
    told = await world.transaction(
        HOSPITAL,
        {"resource": {"resourceType": "Patient"}, "request": {"method": "POST", "url": "Patient"}},
        {"request": {"method": "GET", "url": "Patient"}},
    )
    assert [line["status"][:3] for line in told] == ["201", "500"]
    assert "Muster" not in json.dumps(told)
