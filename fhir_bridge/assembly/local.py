"""A whole node inside one process: for tests, the demo and small tools.

The same rooms as in ``serve``; the sequencer's writer and the indexer's work run inline.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fhir_bridge.assembly.build import build_rooms
from fhir_bridge.assembly.follow import InlineFollower
from fhir_bridge.assembly.node import open_keys, open_locator_writer, open_writer
from fhir_bridge.assembly.owner import owned
from fhir_bridge.assembly.places import Places
from fhir_bridge.clock import Clock
from fhir_bridge.config import Settings
from fhir_bridge.exchange import Rooms
from fhir_bridge.exchange.rebuild import Follow
from fhir_bridge.keys import KeyStore, Opener
from fhir_bridge.ledger import Checkpoints, HeadMemory, LocalLedger, Reader
from fhir_bridge.locator import LocatorWriter

__all__ = ["LocalNode", "local_node", "local_rooms"]


@dataclass(frozen=True, slots=True)
class LocalNode:
    """The rooms, and the locator's writer for the few that rewrite it."""

    rooms: Rooms
    index: LocatorWriter


@asynccontextmanager
async def local_rooms(
    settings: Settings, role: str = "worker", clock: Clock | None = None
) -> AsyncIterator[Rooms]:
    """The rooms of a node that nobody else runs; Conflict when somebody does."""
    async with local_node(settings, role, clock) as node:
        yield node.rooms


@asynccontextmanager
async def local_node(
    settings: Settings, role: str = "worker", clock: Clock | None = None
) -> AsyncIterator[LocalNode]:
    """A node that nobody else runs, its writers included; Conflict when somebody does."""
    clock = clock or Clock()
    places = Places.of(settings)
    with owned(places.data):
        keys = open_keys(settings)
        writer = open_writer(settings, keys, clock)
        checkpoints = Checkpoints(
            writer,
            keys.note_signers(),
            HeadMemory(places.head_memory),
            clock,
            settings.ledger.checkpoint_interval_s,
        )
        ledger = LocalLedger(writer, checkpoints)
        index = open_locator_writer(settings, keys)
        follow = Follow(
            Reader(places.ledger), Opener(keys, KeyStore(places.key_store, keys, clock)), index
        )
        follower = InlineFollower(follow.step)
        await follower.reached(writer.head().size)
        rooms = build_rooms(settings, keys, role, ledger, follower, clock)
        try:
            yield LocalNode(rooms, index)
            await follower.reached(writer.head().size)
        finally:
            await ledger.checkpoint_now()
            await ledger.close()
            index.close()
