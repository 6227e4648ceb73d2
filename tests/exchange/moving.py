"""A consent about to move: who permitted what, and a process for large Bundles beside."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fhir_bridge.assembly.bundles import BundleClient, serve_bundles
from fhir_bridge.ledger import Append, Appended, Refused
from tests.exchange.world import CLINIC, HOSPITAL, Tree, World, consent, observation, tree_of

__all__ = [
    "Step",
    "around_the_next_append",
    "held_back",
    "nothing",
    "permitted",
    "put_of",
    "served",
    "total",
    "until",
]

Step = Callable[[], Awaitable[None]]


async def until(holds: Callable[[], bool]) -> None:
    """Wait until ``holds()``, ten seconds at most."""
    for _ in range(10_000):
        if holds():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it does not come about")


async def nothing() -> None:
    pass


def around_the_next_append(world: World, before: Step = nothing, after: Step = nothing) -> None:
    """Run ``before`` when the next append is on its way, ``after`` once it is durable."""
    pen = world.rooms.pen
    real, calls = pen._append, list[int]()

    async def append(append: Append) -> Appended | Refused:
        calls.append(1)
        if len(calls) == 1:
            await before()
        result = await real(append)
        if len(calls) == 1:
            await after()
        return result

    pen._append = append


def held_back(world: World) -> tuple[asyncio.Event, asyncio.Event]:
    """The next append waits: set when it is on its way, and what lets it go on."""
    begun, go = asyncio.Event(), asyncio.Event()

    async def before() -> None:
        begun.set()
        await go.wait()

    around_the_next_append(world, before)
    return begun, go


async def permitted(world: World) -> tuple[str, str, str]:
    """Two patients, the first with a record, and a Consent of the first for the clinic."""
    first, second = await world.patient(), await world.patient()
    await world.create(HOSPITAL, observation(first))
    made = await world.create(HOSPITAL, consent(first))
    assert await total(world, first) == 1
    assert (await world.read(CLINIC, "Patient", first)).id == first
    return first, second, made.id


async def total(world: World, patient: str) -> int:
    answer = await world.search(
        CLINIC, "Observation", subject=f"Patient/{patient}", _total="accurate", _count="0"
    )
    return int(tree_of(answer.raw)["total"])


def put_of(type_: str, id_: str, tree: Tree) -> bytes:
    entry = {
        "resource": {"resourceType": type_, **tree, "id": id_},
        "request": {"method": "PUT", "url": f"{type_}/{id_}"},
    }
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [entry]}).encode()


@asynccontextmanager
async def served(beside: World, world: World, folder: Path) -> AsyncIterator[BundleClient]:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(folder / "b.sock"))
    listening.listen()
    server = await serve_bundles(beside.rooms, listening)
    yield BundleClient(folder / "b.sock", world.rooms)
    server.close()
    await server.wait_closed()
