"""What this process wrote is waited for, and forgotten once the locator shows it."""

from __future__ import annotations

import pytest

from fhir_bridge.exchange import pending
from tests.exchange.world import HOSPITAL, World, observation


async def test_steady_writing_leaves_nothing_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "_KEPT", 8)
    world.rooms.pending._sweep_at = 8
    patient = await world.patient()
    old = (await world.create(HOSPITAL, observation(patient))).id
    for n in range(60):
        await world.create(HOSPITAL, observation(patient, str(n)))
        await world.rooms.follower.reached(world.rooms.reader.size())
        newest = await world.create(HOSPITAL, observation(patient, str(n)))
        await world.read(HOSPITAL, "Observation", old)
        assert (await world.read(HOSPITAL, "Observation", newest.id)).id == newest.id
        assert len(world.rooms.pending._resources) <= 16
