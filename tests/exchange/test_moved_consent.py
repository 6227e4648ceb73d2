"""A Consent that is changed to name another patient no longer speaks for the first."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from fhir_bridge.assembly.bundles import BundleClient, serve_bundles
from fhir_bridge.errors import NotFound
from tests.exchange.world import BASE, CLINIC, HOSPITAL, Tree, World, consent, observation, tree_of


async def _total(world: World, patient: str) -> int:
    answer = await world.search(
        CLINIC, "Observation", subject=f"Patient/{patient}", _total="accurate", _count="0"
    )
    return int(tree_of(answer.raw)["total"])


async def _permitted(world: World) -> tuple[str, str, str]:
    """Two patients, the first with a record, and a Consent of the first for the clinic."""
    first, second = await world.patient(), await world.patient()
    await world.create(HOSPITAL, observation(first))
    made = await world.create(HOSPITAL, consent(first))
    assert await _total(world, first) == 1
    assert (await world.read(CLINIC, "Patient", first)).id == first
    return first, second, made.id


async def _hidden(world: World, patient: str) -> None:
    assert await _total(world, patient) == 0
    with pytest.raises(NotFound):
        await world.read(CLINIC, "Patient", patient)


async def test_by_an_update(world: World) -> None:
    first, second, made = await _permitted(world)
    await world.update(HOSPITAL, made, consent(second))
    await _hidden(world, first)
    assert (await world.read(CLINIC, "Patient", second)).id == second


async def test_by_a_transaction(world: World) -> None:
    first, second, made = await _permitted(world)
    tree = consent(second) | {"id": made}
    await world.transaction(
        HOSPITAL, {"resource": tree, "request": {"method": "PUT", "url": f"Consent/{made}"}}
    )
    await _hidden(world, first)


async def test_by_a_deletion(world: World) -> None:
    first, _, made = await _permitted(world)
    await world.delete(HOSPITAL, "Consent", made)
    await _hidden(world, first)


def _put(type_: str, id_: str, tree: Tree) -> bytes:
    entry = {
        "resource": {"resourceType": type_, **tree, "id": id_},
        "request": {"method": "PUT", "url": f"{type_}/{id_}"},
    }
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [entry]}).encode()


async def test_in_the_process_for_large_bundles(
    world: World, beside: World, tmp_path: Path
) -> None:
    first, second, made = await _permitted(world)
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "b.sock"))
    listening.listen()
    server = await serve_bundles(beside.rooms, listening)
    client = BundleClient(tmp_path / "b.sock", world.rooms)
    # Not the first contact, after which all would be forgotten.
    await client.run("transaction", HOSPITAL, world.request(), _put("Patient", second, {}), BASE)
    assert await _total(world, first) == 1
    body = _put("Consent", made, consent(second))
    await client.run("transaction", HOSPITAL, world.request(), body, BASE)
    await _hidden(world, first)
    server.close()
    await server.wait_closed()


async def test_a_disclosure_decided_before_is_refused_by_the_ledger(
    world: World, beside: World
) -> None:
    first, second, made = await _permitted(world)
    assert (await beside.read(CLINIC, "Patient", first)).id == first
    await world.update(HOSPITAL, made, consent(second))
    with pytest.raises(NotFound):
        await beside.read(CLINIC, "Patient", first)
