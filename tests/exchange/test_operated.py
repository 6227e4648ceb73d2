"""An operator's Bundles: durable one by one, seen by all when the last of them is answered."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from fhir_bridge.assembly.identity import operator
from fhir_bridge.errors import Incorrect, Unavailable
from fhir_bridge.exchange import Operated
from fhir_bridge.exchange.pending import Follower
from fhir_bridge.ledger import Append, Appended, Refused
from tests.exchange.world import (
    BASE,
    CLINIC,
    HOSPITAL,
    World,
    consent,
    observation,
    tree_of,
)

Tree = dict[str, Any]


def _chart(number: int, **more: Any) -> bytes:
    """A patient who permits the clinic, under an id of its own."""
    patient = {"resourceType": "Patient", "id": f"p{number}", **more}
    entries = [
        {"resource": patient, "request": {"method": "PUT", "url": f"Patient/p{number}"}},
        {"resource": consent(f"p{number}"), "request": {"method": "POST", "url": "Consent"}},
    ]
    bundle: Tree = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    return json.dumps(bundle).encode()


async def test_when_all_are_answered_every_consent_holds_and_all_is_found(world: World) -> None:
    operated, who = Operated(world.rooms), operator("Organization/hospital")
    before = world.rooms.changes.serial

    async def run(number: int) -> Tree:
        answer = await operated.run(
            "transaction", who, world.request(), _chart(number, birthDate="1980-01-01"), BASE
        )
        return tree_of(answer.raw)

    answers = await asyncio.gather(*(run(n) for n in range(12)))
    assert all(len(answer["entry"]) == 2 for answer in answers)
    reached = world.rooms.follower.known
    assert reached >= world.rooms.pending.high
    assert set(world.rooms.changes.since(before) or ()) >= {f"p{n}" for n in range(12)}
    found = await world.found(CLINIC, "Patient", birthdate="1980-01-01", _count="50")
    assert sorted(found) == sorted(f"p{n}" for n in range(12))


async def test_one_that_fails_leaves_the_others_whole(world: World) -> None:
    operated, who = Operated(world.rooms), operator("Organization/hospital")
    bodies = [_chart(1), _chart(2, nonsense=1), _chart(3)]
    told = await asyncio.gather(
        *(operated.run("transaction", who, world.request(), body, BASE) for body in bodies),
        return_exceptions=True,
    )
    assert isinstance(told[1], Incorrect)
    for id_ in ("p1", "p3"):
        assert (await world.read(CLINIC, "Patient", id_)).id == id_
    assert world.rooms.follower.known >= world.rooms.pending.high


async def test_a_last_one_that_is_cancelled_leaves_the_effects_of_the_others(world: World) -> None:
    operated, who = Operated(world.rooms), operator("Organization/hospital")
    gate = asyncio.Event()

    async def late() -> None:
        await gate.wait()

    await operated.run("transaction", who, world.request(), _chart(1), BASE)
    held = world.rooms.effects.start(late())
    last = asyncio.create_task(operated.run("transaction", who, world.request(), _chart(2), BASE))
    await asyncio.sleep(0.05)
    last.cancel()
    with pytest.raises(asyncio.CancelledError):
        await last
    assert not held.done()
    gate.set()
    await world.rooms.effects.settled()
    assert held.done()
    assert operated.is_idle


async def test_one_does_not_wait_for_what_others_write_in_the_meantime(world: World) -> None:
    operated, who = Operated(world.rooms), operator("Organization/hospital")
    stop = asyncio.Event()
    real = world.rooms.pen._append

    async def slow(append: Append) -> Appended | Refused:
        await asyncio.sleep(0.005)
        return await real(append)

    world.rooms.pen._append = slow

    async def client() -> None:
        while not stop.is_set():
            await world.patient()

    others = [asyncio.create_task(client()) for _ in range(4)]
    await asyncio.sleep(0.05)
    try:
        async with asyncio.timeout(10):
            await operated.run("transaction", who, world.request(), _chart(1), BASE)
    finally:
        stop.set()
        await asyncio.gather(*others)


class _Flaky:
    """A follower that does not answer at first."""

    def __init__(self, inner: Follower, failures: int) -> None:
        self._inner = inner
        self.failures = failures

    @property
    def known(self) -> int:
        return self._inner.known

    async def reached(self, size: int) -> int:
        if self.failures and size > self.known:
            self.failures -= 1
            raise Unavailable("behind", code="locator-behind")
        return await self._inner.reached(size)


async def test_an_effect_comes_about_though_the_locator_did_not_answer_at_first(
    world: World,
) -> None:
    patient = await world.patient()
    await world.create(HOSPITAL, observation(patient))
    made = await world.create(HOSPITAL, consent(patient))
    assert await world.found(CLINIC, "Observation", subject=f"Patient/{patient}")
    world.rooms.follower = _Flaky(world.rooms.follower, failures=1)
    await world.update(HOSPITAL, made.id, consent(patient, status="inactive"))
    # It is durable, and so it is told; what was decided before must not stay.
    await world.rooms.effects.settled()
    assert not await world.found(CLINIC, "Observation", subject=f"Patient/{patient}")
