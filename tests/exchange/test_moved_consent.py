"""A Consent that is changed to name another patient no longer speaks for the first."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_bridge.errors import NotFound
from tests.exchange.moving import permitted, put_of, served, total
from tests.exchange.world import BASE, CLINIC, HOSPITAL, World, consent


async def _hidden(world: World, patient: str) -> None:
    assert await total(world, patient) == 0
    with pytest.raises(NotFound):
        await world.read(CLINIC, "Patient", patient)


async def test_by_an_update(world: World) -> None:
    first, second, made = await permitted(world)
    await world.update(HOSPITAL, made, consent(second))
    await _hidden(world, first)
    assert (await world.read(CLINIC, "Patient", second)).id == second


async def test_by_a_transaction(world: World) -> None:
    first, second, made = await permitted(world)
    tree = consent(second) | {"id": made}
    await world.transaction(
        HOSPITAL, {"resource": tree, "request": {"method": "PUT", "url": f"Consent/{made}"}}
    )
    await _hidden(world, first)


async def test_by_a_deletion(world: World) -> None:
    first, _, made = await permitted(world)
    await world.delete(HOSPITAL, "Consent", made)
    await _hidden(world, first)


async def test_in_the_process_for_large_bundles(
    world: World, beside: World, tmp_path: Path
) -> None:
    first, second, made = await permitted(world)
    async with served(beside, world, tmp_path) as client:
        # Not the first contact, after which all would be forgotten.
        greeting = put_of("Patient", second, {})
        await client.run("transaction", HOSPITAL, world.request(), greeting, BASE)
        assert await total(world, first) == 1
        body = put_of("Consent", made, consent(second))
        await client.run("transaction", HOSPITAL, world.request(), body, BASE)
        await _hidden(world, first)


async def test_a_disclosure_decided_before_is_refused_by_the_ledger(
    world: World, beside: World
) -> None:
    first, second, made = await permitted(world)
    assert (await beside.read(CLINIC, "Patient", first)).id == first
    await world.update(HOSPITAL, made, consent(second))
    with pytest.raises(NotFound):
        await beside.read(CLINIC, "Patient", first)
