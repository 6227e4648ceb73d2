"""One condition, one resource: whoever gives up, comes again or works in another process."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from fhir_bridge.assembly.identity import operator
from fhir_bridge.errors import BridgeError
from fhir_bridge.exchange import Receipt, batch, carry_out, ingest
from fhir_bridge.ledger import Append, Appended, Refused
from tests.exchange.moving import around_the_next_append, put_of
from tests.exchange.world import BASE, CLINIC, HOSPITAL, Tree, World, consent, observation, tree_of

_MRN = "http://hospital.example/mrn"
_SEVEN = f"identifier={_MRN}|7"
_PATIENT: Tree = {"resourceType": "Patient", "identifier": [{"system": _MRN, "value": "7"}]}


def _bundle(kind: str, *entries: Tree) -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": entries}).encode()


def _once(resource: Tree) -> Tree:
    request = {"method": "POST", "url": resource["resourceType"], "ifNoneExist": _SEVEN}
    return {"resource": resource, "request": request}


class _Late:
    """The answer to the next write is late; what it asked for is durable."""

    def __init__(self, world: World) -> None:
        self._real = world.rooms.pen._append
        self.durable, self.told = asyncio.Event(), asyncio.Event()
        world.rooms.pen._append = self._append

    async def _append(self, append: Append) -> Appended | Refused:
        result = await self._real(append)
        if append.entries and not self.durable.is_set():
            self.durable.set()
            await self.told.wait()
        return result


async def test_who_gave_up_and_comes_again_finds_it(world: World) -> None:
    patient = await world.patient()
    result = observation(patient, identifier=[{"system": _MRN, "value": "7"}])
    late, before = _Late(world), world.marks()[0]
    first = asyncio.create_task(world.create(HOSPITAL, result, _SEVEN))
    await late.durable.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    again = asyncio.create_task(world.create(HOSPITAL, result, _SEVEN))
    await asyncio.sleep(0.01)
    late.told.set()
    assert not (await again).created
    assert world.marks()[0] == before + 1


async def test_two_processes_make_one(world: World, beside: World) -> None:
    async def meanwhile() -> None:
        assert (await world.create(HOSPITAL, _PATIENT, _SEVEN)).created

    around_the_next_append(beside, meanwhile)
    raw = _bundle("transaction", _once(_PATIENT))
    answer = await carry_out(beside.rooms, "transaction", HOSPITAL, beside.request(), raw, BASE)
    assert tree_of(answer.raw)["entry"][0]["response"]["status"] == "200 OK"
    assert len(await world.found(HOSPITAL, "Patient", identifier=f"{_MRN}|7")) == 1


async def test_organisations_do_not_wait_for_one_another(world: World) -> None:
    late = _Late(world)
    first = asyncio.create_task(world.create(HOSPITAL, _PATIENT, _SEVEN))
    await late.durable.wait()
    async with asyncio.timeout(2):
        assert (await world.create(CLINIC, _PATIENT, _SEVEN)).created
    late.told.set()
    assert (await first).created


async def test_what_a_transaction_deletes_meets_no_condition_of_it(world: World) -> None:
    old = await world.patient(identifier=_PATIENT["identifier"])
    lab = {**json.loads(observation(f"Patient?{_SEVEN}")), "id": "x"}
    gone = {"request": {"method": "DELETE", "url": f"Patient/{old}"}}
    with pytest.raises(BridgeError, match="do not resolve"):
        await world.transaction(
            HOSPITAL, {"resource": lab, "request": {"method": "POST", "url": "Observation"}}, gone
        )
    await world.transaction(HOSPITAL, _once(_PATIENT), gone)
    [found] = await world.found(HOSPITAL, "Patient", identifier=f"{_MRN}|7")
    assert found != old


async def test_a_transaction_that_is_planned_anew_starts_from_nothing(
    world: World, beside: World
) -> None:
    """An operator may name ids; one that is hidden meanwhile must not get its next version."""
    patient = await world.patient()
    made = await world.create(HOSPITAL, observation(patient))
    hides = consent(patient, "deny")
    hides["provision"]["actor"][0]["reference"]["reference"] = HOSPITAL.organization
    hides["provision"]["action"] = [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/consentaction",
                    "code": "access",
                }
            ]
        }
    ]
    del hides["provision"]["purpose"]

    async def hidden() -> None:
        await world.create(HOSPITAL, hides)

    around_the_next_append(beside, hidden)
    raw = put_of("Observation", made.id, json.loads(observation(patient, "2.00")))
    before = world.marks()[0]
    who = operator(HOSPITAL.organization)
    with pytest.raises(BridgeError):
        await carry_out(beside.rooms, "transaction", who, beside.request(), raw, BASE)
    assert world.marks()[0] == before + 1


async def test_a_fault_in_one_entry_of_a_batch_is_its_own_line(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, calls = ingest.create, list[int]()

    async def create(*about: Any) -> Receipt:
        calls.append(1)
        if len(calls) == 1:
            raise KeyError("Maria Muster")
        return await real(*about)

    monkeypatch.setattr(batch, "create", create)
    entry = {"resource": _PATIENT, "request": {"method": "POST", "url": "Patient"}}
    raw = _bundle("batch", entry, entry)
    answer = await carry_out(world.rooms, "batch", HOSPITAL, world.request(), raw, BASE)
    told = [line["response"]["status"][:3] for line in tree_of(answer.raw)["entry"]]
    assert told == ["500", "201"]
    assert "KeyError" in caplog.text
    assert "Muster" not in caplog.text + answer.raw.decode()


async def test_one_condition_has_many_spellings(world: World, beside: World) -> None:
    named = {**_PATIENT, "name": [{"family": "Muster"}]}

    async def meanwhile() -> None:
        assert (await world.create(HOSPITAL, named, f"{_SEVEN}&family=Muster")).created

    around_the_next_append(beside, meanwhile)
    other = f"family=Muster&identifier={_MRN}%7C7"
    assert not (await beside.create(HOSPITAL, named, other)).created
