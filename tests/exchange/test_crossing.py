"""A change of consent that crosses a request under way, a cancellation or a lost connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fhir_bridge.errors import NotFound, Unavailable
from tests.exchange.moving import (
    around_the_next_append,
    held_back,
    nothing,
    permitted,
    put_of,
    served,
    total,
)
from tests.exchange.world import BASE, CLINIC, HOSPITAL, World, consent


def _forget_all(world: World) -> None:
    world.rooms.gates.forget_all()


def _crowd_out(world: World) -> None:
    for n in range(600):
        world.rooms.gates.reading(replace(CLINIC, token_id=f"t{n}"), "r")


def _rename(world: World) -> None:
    world.rooms.gates.forget_names()


@pytest.mark.parametrize("lose", [nothing, _forget_all, _crowd_out, _rename])
async def test_a_read_under_way_does_not_survive_a_revocation(
    world: World, beside: World, lose: Callable[..., object]
) -> None:
    first, second, made = await permitted(world)
    assert (await beside.read(CLINIC, "Patient", first)).id == first

    async def before() -> None:
        await world.update(HOSPITAL, made, consent(second))
        if lose is not nothing:
            lose(beside)

    around_the_next_append(beside, before)
    with pytest.raises(NotFound):
        await beside.read(CLINIC, "Patient", first)


async def _settled(world: World) -> None:
    await world.rooms.follower.reached(world.rooms.reader.size())
    await world.rooms.effects.settled()


async def test_a_revocation_whose_request_is_cut_off_while_it_is_appended(world: World) -> None:
    first, second, made = await permitted(world)
    durable, answered = asyncio.Event(), asyncio.Event()

    async def after() -> None:
        durable.set()
        await answered.wait()

    around_the_next_append(world, after=after)
    request = asyncio.create_task(world.update(HOSPITAL, made, consent(second)))
    await durable.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    answered.set()
    await _settled(world)
    assert await total(world, first) == 0


async def test_a_revocation_whose_answer_is_lost(world: World) -> None:
    first, second, made = await permitted(world)

    async def after() -> None:
        raise Unavailable("lost", code="sequencer-gone")

    around_the_next_append(world, after=after)
    with pytest.raises(Unavailable):
        await world.update(HOSPITAL, made, consent(second))
    await _settled(world)
    assert await total(world, first) == 0


async def test_a_large_bundle_whose_request_is_cut_off_is_heard_of(
    world: World, beside: World, tmp_path: Path
) -> None:
    first, second, made = await permitted(world)
    async with served(beside, world, tmp_path) as client:
        greeting = put_of("Patient", second, {})
        await client.run("transaction", HOSPITAL, world.request(), greeting, BASE)
        begun, go = held_back(beside)
        body = put_of("Consent", made, consent(second))
        request = asyncio.create_task(
            client.run("transaction", HOSPITAL, world.request(), body, BASE)
        )
        await begun.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        assert await total(world, first) == 1
        go.set()
        await world.rooms.effects.settled()
        assert await total(world, first) == 0


class _Down:
    """A locator that does not move any more."""

    def __init__(self, known: int) -> None:
        self.known = known

    async def reached(self, size: int) -> int:
        if size > self.known:
            raise Unavailable("behind", code="locator-behind")
        return self.known


async def test_a_locator_that_stands_still_does_not_make_a_durable_write_look_undone(
    world: World, beside: World, tmp_path: Path
) -> None:
    first, second, made = await permitted(world)
    async with served(beside, world, tmp_path) as client:
        greeting = put_of("Patient", second, {})
        await client.run("transaction", HOSPITAL, world.request(), greeting, BASE)
        down = _Down(world.rooms.follower.known)
        follower, world.rooms.follower, beside.rooms.follower = world.rooms.follower, down, down
        body = put_of("Consent", made, consent(second))
        async with asyncio.timeout(5):
            await client.run("transaction", HOSPITAL, world.request(), body, BASE)
            # Nor does it let anything cross the revocation.
            with pytest.raises((NotFound, Unavailable)):
                await world.read(CLINIC, "Patient", first)
        world.rooms.follower = beside.rooms.follower = follower
        down.known = 1 << 40  # what is under way comes to its end
        await world.rooms.effects.settled()
        await beside.rooms.effects.settled()


async def test_after_a_restart_of_the_other_process_its_count_is_taken_over(
    world: World, beside: World, tmp_path: Path
) -> None:
    _, second, _ = await permitted(world)
    async with served(beside, world, tmp_path) as client:
        client._heard = 1 << 50
        greeting = put_of("Patient", second, {})
        await client.run("transaction", HOSPITAL, world.request(), greeting, BASE)
        assert client._heard == beside.rooms.changes.serial
