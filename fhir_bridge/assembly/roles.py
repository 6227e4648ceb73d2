"""The processes of a node: sequencer, indexer, bundle worker, HTTP worker."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import uvloop

from fhir_bridge.api import Door, serve, serve_unix
from fhir_bridge.assembly.build import build_rooms
from fhir_bridge.assembly.bundles import BundleClient, serve_bundles
from fhir_bridge.assembly.follow import FollowerClient, follow_forever
from fhir_bridge.assembly.identity import open_identity, operator_of
from fhir_bridge.assembly.log_lines import LogLines
from fhir_bridge.assembly.node import open_keys, open_locator_writer, open_writer
from fhir_bridge.assembly.places import Places
from fhir_bridge.assembly.sockets import listening
from fhir_bridge.assembly.surface import api_settings, surface
from fhir_bridge.clock import Clock
from fhir_bridge.config import Settings
from fhir_bridge.exchange import BoundExchange, Rooms
from fhir_bridge.exchange.rebuild import Follow
from fhir_bridge.fhir import compile_types
from fhir_bridge.keys import KeyStore, NodeKeys, Opener
from fhir_bridge.ledger import Checkpoints, HeadMemory, Reader, SequencerClient, run_sequencer

__all__ = [
    "bundle_role",
    "indexer_role",
    "remote_rooms",
    "run_loop",
    "sequencer_role",
    "warm",
    "worker_role",
]

Ready = Callable[[], None]
T = TypeVar("T")
_BEHIND, _FAR_BEHIND = 10, 15
"""Niceness of large Bundles behind small requests, and of the indexer behind everybody: an import
is as fast as the one process that works on it."""

_BATCH_OBJECTS = 200_000
"""About what a batch of the indexer and a large Bundle keep until they are done."""

COMMON_TYPES = (
    "AllergyIntolerance",
    "CarePlan",
    "CareTeam",
    "Claim",
    "Condition",
    "Consent",
    "Coverage",
    "Device",
    "DiagnosticReport",
    "DocumentReference",
    "Encounter",
    "ExplanationOfBenefit",
    "Goal",
    "ImagingStudy",
    "Immunization",
    "Location",
    "Medication",
    "MedicationAdministration",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "ServiceRequest",
)
"""Compiled before forking, so that every process shares them."""


def warm() -> None:
    """Compile what every process will need, and keep it shared once they are forked.

    A collection writes to every object that it looks at, and a page that is written to is no
    longer shared: what exists now is taken out of the collector's sight.
    """
    compile_types(COMMON_TYPES)
    gc.collect()
    gc.freeze()


def sequencer_role(settings: Settings, ready: Ready) -> None:
    """Order, tree, audit leaf, head, checkpoint: the ledger's one writer."""
    clock = Clock()
    keys = open_keys(settings)
    places = Places.of(settings)
    writer = open_writer(settings, keys, clock)
    checkpoints = Checkpoints(
        writer,
        keys.note_signers(),
        HeadMemory(places.head_memory),
        clock,
        settings.ledger.checkpoint_interval_s,
    )
    checkpoints.now()
    run_sequencer(writer, places.sequencer_socket, checkpoints, ready)


def indexer_role(settings: Settings, ready: Ready) -> None:
    """Fills the locator, behind everybody else."""
    os.nice(_FAR_BEHIND)
    _quiet_collector(_BATCH_OBJECTS)
    keys = open_keys(settings)
    places = Places.of(settings)
    reader = Reader(places.ledger)
    index = open_locator_writer(settings, keys)
    follow = Follow(reader, Opener(keys, KeyStore(places.key_store, keys, Clock())), index)
    follow_forever(follow.step, reader.size, index.tidy, places.indexer_socket, ready)
    index.close()


def bundle_role(settings: Settings, ready: Ready) -> None:
    """Works on large Bundles."""
    os.nice(_BEHIND)

    async def run() -> None:
        rooms = remote_rooms(settings, open_keys(settings), "bundle", Clock())
        server = await serve_bundles(rooms, listening(Places.of(settings).bundle_socket))
        ready()
        await _terminated()
        server.close()

    run_loop(run, _BATCH_OBJECTS)


def worker_role(settings: Settings, door: socket.socket, ready: Ready) -> None:
    """Serves HTTP, and the owner's socket."""

    async def run() -> None:
        clock = Clock()
        keys = open_keys(settings)
        places = Places.of(settings)
        rooms = remote_rooms(settings, keys, "worker", clock)
        identity = await open_identity(settings, keys, clock)
        bundles = (
            BundleClient(places.bundle_socket, rooms) if settings.processes.bundle_worker else None
        )
        shown, api, log = surface(), api_settings(settings), LogLines(sys.stderr)
        public = Door(BoundExchange(rooms, identity, bundles), shown, api, clock, log)
        owner = Door(BoundExchange(rooms, identity, bundles, operator_of), shown, api, clock, log)
        try:
            servings = [
                await serve(public, sockets=[door]),
                await serve_unix(owner, listening(places.owner_socket)),
            ]
            ready()
            await _terminated()
            await asyncio.gather(*(serving.stop() for serving in servings))
        finally:
            log.flush()

    run_loop(run)


def remote_rooms(settings: Settings, keys: NodeKeys, role: str, clock: Clock) -> Rooms:
    """The rooms of a process beside a running sequencer and indexer."""
    places = Places.of(settings)
    return build_rooms(
        settings,
        keys,
        role,
        SequencerClient(places.sequencer_socket, role),
        FollowerClient(places.indexer_socket),
        clock,
    )


def _quiet_collector(young: int = 20_000) -> None:
    """What exists now lives for ever, and next to nothing that comes is a cycle.

    ``young``: objects before they are looked at.
    """
    gc.freeze()
    gc.set_threshold(young, 20, 50)


def run_loop(run: Callable[[], Awaitable[T]], young: int = 20_000) -> T:
    """Run until done, with the garbage collector out of the way of what lives for ever."""

    async def main() -> T:
        _quiet_collector(young)
        return await run()

    return uvloop.run(main())


async def _terminated() -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
