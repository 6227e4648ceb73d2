"""An append that fails, in whichever way: no audit chain forks or has a gap."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge.assembly.build import build_rooms
from fhir_bridge.assembly.follow import InlineFollower
from fhir_bridge.assembly.node import create_node, open_keys, open_locator_writer, open_writer
from fhir_bridge.assembly.places import Places
from fhir_bridge.clock import Clock
from fhir_bridge.config import load
from fhir_bridge.errors import Unavailable
from fhir_bridge.exchange import pen
from fhir_bridge.exchange.rebuild import Follow
from fhir_bridge.keys import KeyStore, Opener
from fhir_bridge.ledger import (
    Append,
    Appended,
    AuditRow,
    LocalLedger,
    Reader,
    Refused,
    SequencerClient,
)
from fhir_bridge.ledger.contract import Failed
from fhir_bridge.ledger.engines.sqlite.sequencer import Sequencer
from tests.exchange.moving import until
from tests.exchange.world import HOSPITAL, World


async def _is_whole(world: World, patient: str) -> None:
    await world.read(HOSPITAL, "Patient", patient)
    assert await world.account(patient)  # Corrupt where a chain has a gap or a fork


async def _lost(append: Append) -> Appended | Refused:
    raise Unavailable("lost", code="sequencer-gone")


async def test_a_recovery_that_is_cut_off_or_fails_is_tried_again(world: World) -> None:
    patient = await world.patient()
    await world.read(HOSPITAL, "Patient", patient)
    rooms = world.rooms
    follower, append, asked = rooms.follower.reached, rooms.pen._append, list[int]()

    async def behind(size: int) -> int:
        asked.append(size)
        raise Unavailable("behind", code="locator-behind")

    rooms.pen._append = _lost
    rooms.follower.reached = behind  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        await world.read(HOSPITAL, "Patient", patient)
    request = asyncio.create_task(world.read(HOSPITAL, "Patient", patient))
    await until(lambda: len(asked) > 1)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    assert rooms.pen.broken
    rooms.pen._append = append
    rooms.follower.reached = follower  # type: ignore[method-assign]
    await _is_whole(world, patient)


async def test_an_append_that_fails_after_its_request_is_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = await world.patient()
    ledger = world.rooms.ledger
    assert isinstance(ledger, LocalLedger)
    full = lambda appends: [Failed("disk-full", "full")] * len(appends)  # noqa: E731
    monkeypatch.setattr(ledger._writer, "commit", full)
    ask = ledger._ask

    def asked(what: Any) -> Any:
        future = ask(what)
        request.cancel()
        return future

    monkeypatch.setattr(ledger, "_ask", asked)
    request = asyncio.create_task(world.read(HOSPITAL, "Patient", patient))
    with pytest.raises(asyncio.CancelledError):
        await request
    await asyncio.sleep(0.01)
    monkeypatch.undo()
    assert ledger.failures == 1
    await _is_whole(world, patient)


async def test_sealing_that_breaks_off_in_the_middle(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = await world.patient()
    trail = world.rooms.trail
    rows = trail.rows

    def breaks(records: Iterable[tuple[str, bytes]]) -> tuple[AuditRow, ...]:
        rows(records)
        raise ZeroDivisionError

    monkeypatch.setattr(trail, "rows", breaks)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await world.read(HOSPITAL, "Patient", patient)
    monkeypatch.undo()
    await _is_whole(world, patient)


async def test_a_pen_that_stays_broken_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = await world.patient()

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(pen, "_LIMIT_S", 0.05)
    monkeypatch.setattr(world.rooms.pen, "_recover", never)
    world.rooms.pen._spoiled = True
    with pytest.raises(Unavailable) as caught:
        await world.read(HOSPITAL, "Patient", patient)
    assert caught.value.code == "pen-broken"


@asynccontextmanager
async def _beside_a_slow_disk(
    folder: Path, stall: threading.Event, stalled: threading.Event
) -> AsyncIterator[World]:
    """A node at work whose sequencer, in a thread, once waits in a commit."""
    create_node(folder, member="hospital.example", keys=None, port=8099, demo=True)
    settings = load(folder / "bridge.toml", {})
    places, keys, clock = Places.of(settings), open_keys(settings), Clock()

    def on_step(name: str) -> None:
        if name == "commit" and stall.is_set():
            stall.clear()
            stalled.set()
            threading.Event().wait(1.5)

    writer = open_writer(settings, keys, clock)
    writer._step = on_step
    sequencer, over = Sequencer(writer, places.sequencer_socket), threading.Event()
    thread = threading.Thread(target=sequencer.serve, args=(over.is_set,))
    thread.start()
    index = open_locator_writer(settings, keys)
    store = KeyStore(places.key_store, keys, clock)
    follow = Follow(Reader(places.ledger), Opener(keys, store), index)
    client = SequencerClient(places.sequencer_socket, "worker", limit_s=0.5)
    rooms = build_rooms(settings, keys, "worker", client, InlineFollower(follow.step), clock)
    try:
        yield World(rooms, settings)
    finally:
        over.set()
        await client.close()
        thread.join(5)
        sequencer.close()
        writer.close()
        index.close()
        store.close()
        rooms.locator.close()


async def test_what_was_given_up_does_not_come_about_behind_the_recovery(tmp_path: Path) -> None:
    stall, stalled = threading.Event(), threading.Event()
    async with _beside_a_slow_disk(tmp_path / "node", stall, stalled) as world:
        patient, other = await world.patient(), await world.patient()
        stall.set()
        first = asyncio.create_task(world.read(HOSPITAL, "Patient", other))
        await asyncio.to_thread(stalled.wait, 5)
        with pytest.raises(Unavailable):
            await world.read(HOSPITAL, "Patient", patient)
        with pytest.raises(Unavailable):
            await first
        await asyncio.sleep(1.5)
        await _is_whole(world, other)
        await _is_whole(world, patient)
