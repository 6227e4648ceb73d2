"""Between the HTTP worker and the process for large Bundles: nothing unheard of, nothing left."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge.assembly import bundles
from fhir_bridge.assembly.bundles import BundleClient
from fhir_bridge.assembly.identity import operator
from fhir_bridge.errors import BridgeError, Fault, Incorrect, Unavailable
from fhir_bridge.exchange import carry_out, operated
from tests.exchange.moving import (
    around_the_next_append,
    held_back,
    permitted,
    put_of,
    served,
    total,
    until,
)
from tests.exchange.world import BASE, HOSPITAL, World, consent


async def _greet(client: BundleClient, world: World, patient: str) -> None:
    """Not the first contact any more, after which all is forgotten."""
    greeting = put_of("Patient", patient, {})
    await client.run("transaction", HOSPITAL, world.request(), greeting, BASE)


async def test_what_goes_on_after_its_request_was_given_up_is_heard_of(
    world: World, beside: World, tmp_path: Path
) -> None:
    first, second, made = await permitted(world)
    async with served(beside, world, tmp_path) as client:
        await _greet(client, world, second)
        assert await total(world, first) == 1
        begun, go = held_back(beside)
        body = put_of("Consent", made, consent(second))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.run("transaction", HOSPITAL, world.request(), body, BASE)
        await begun.wait()
        go.set()
        await world.rooms.effects.settled()
        assert await total(world, first) == 0


async def test_an_answer_that_cannot_be_read_is_heard_of_all_the_same(
    world: World, beside: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, made = await permitted(world)
    async with served(beside, world, tmp_path) as client:
        await _greet(client, world, second)
        assert await total(world, first) == 1
        real = bundles._receive

        async def receive(reader: asyncio.StreamReader) -> bytes:
            data = await real(reader)
            if b"transaction-response" in data:
                raise Fault("a frame between processes is too long", code="frame")
            return data

        monkeypatch.setattr(bundles, "_receive", receive)
        body = put_of("Consent", made, consent(second))
        with pytest.raises(Fault):
            await client.run("transaction", HOSPITAL, world.request(), body, BASE)
        await world.rooms.effects.settled()
        assert await total(world, first) == 0


async def test_the_last_of_an_import_is_refused_when_all_are_in_effect(
    world: World, beside: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, made = await permitted(world)
    who = operator("Organization/hospital")
    bad = put_of("Observation", "x", {"status": "final"})
    begun, go = asyncio.Event(), asyncio.Event()

    async def held(rooms: Any, kind: str, asks: Any, request: Any, raw: bytes, base: str) -> Any:
        if raw == bad:
            begun.set()
            await go.wait()
        return await carry_out(rooms, kind, asks, request, raw, base)

    monkeypatch.setattr(operated, "carry_out", held)
    async with served(beside, world, tmp_path) as client:
        await _greet(client, world, second)
        assert await total(world, first) == 1
        refused = asyncio.create_task(client.run("transaction", who, world.request(), bad, BASE))
        await begun.wait()
        body = put_of("Consent", made, consent(second))
        await client.run("transaction", who, world.request(), body, BASE)
        go.set()
        with pytest.raises(Incorrect):
            await refused
        assert not world.rooms.effects._tasks
        assert await total(world, first) == 0


async def test_bundles_of_requests_that_are_over_do_not_pile_up(
    world: World, tmp_path: Path
) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(tmp_path / "b.sock"))
    listening.listen(512)
    over = asyncio.Event()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_unix_server(never, sock=listening)
    client = BundleClient(tmp_path / "b.sock", world.rooms)
    requests = [
        asyncio.create_task(client.run("batch", HOSPITAL, world.request(), b"{}", BASE))
        for _ in range(3 * bundles._AT_ONCE)
    ]
    await until(lambda: len(world.rooms.effects._tasks) == bundles._AT_ONCE)
    for request in requests:
        request.cancel()
    await asyncio.gather(*requests, return_exceptions=True)
    assert len(world.rooms.effects._tasks) == bundles._AT_ONCE
    over.set()
    await world.rooms.effects.settled()
    await until(lambda: client._places._value == bundles._AT_ONCE)
    server.close()


async def test_a_fault_over_there_is_logged_without_its_message(
    world: World,
    beside: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fails(*_: Any) -> Any:
        return {"known": 1}["Erika Mustermann"]

    async with served(beside, world, tmp_path) as client:
        monkeypatch.setattr(bundles, "carry_out", fails)
        with pytest.raises(BridgeError) as caught, caplog.at_level(logging.ERROR):
            await client.run("batch", HOSPITAL, world.request(), b"{}", BASE)
    assert isinstance(caught.value, Fault)
    assert "KeyError" in caplog.text
    assert "Erika" not in caplog.text


async def test_a_revocation_whose_answer_was_lost_is_heard_of_once_it_is_known(
    world: World, beside: World, tmp_path: Path
) -> None:
    first, second, made = await permitted(world)
    async with served(beside, world, tmp_path) as client:
        await _greet(client, world, second)
        assert await total(world, first) == 1
        pen = beside.rooms.pen
        recover, slowly = pen._recover, asyncio.Event()

        async def lost() -> None:
            raise Unavailable("lost", code="sequencer-gone")

        async def recovers() -> None:
            await slowly.wait()
            await recover()

        around_the_next_append(beside, after=lost)
        pen._recover = recovers
        body = put_of("Consent", made, consent(second))
        asked = client.run("transaction", HOSPITAL, world.request(), body, BASE)
        revocation = asyncio.create_task(asked)
        await until(lambda: pen.broken)
        slowly.set()
        with pytest.raises(Unavailable):
            await revocation
        await world.rooms.effects.settled()
        assert await total(world, first) == 0
