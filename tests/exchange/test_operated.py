"""An operator's Bundles: durable one by one, seen by all when the last of them is answered."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from fhir_bridge.assembly.identity import operator
from fhir_bridge.errors import Incorrect
from fhir_bridge.exchange import Operated
from tests.exchange.world import BASE, CLINIC, World, consent, tree_of

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

    async def run(number: int) -> Tree:
        answer = await operated.run(
            "transaction", who, world.request(), _chart(number, birthDate="1980-01-01"), BASE
        )
        return tree_of(answer.raw)

    answers = await asyncio.gather(*(run(n) for n in range(12)))
    assert all(len(answer["entry"]) == 2 for answer in answers)
    reached = world.rooms.follower.known
    assert reached >= world.rooms.pending.high
    assert set(world.rooms.changes.since(0) or ()) >= {f"p{n}" for n in range(12)}
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


async def test_an_effect_that_fails_is_told_once(world: World) -> None:
    async def failing() -> None:
        raise Incorrect("no", code="no")

    world.rooms.effects.start(failing())
    with pytest.raises(Incorrect):
        await world.rooms.effects.settled()
    await world.rooms.effects.settled()
