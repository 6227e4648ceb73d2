"""Fixtures: ``made`` (a fresh node's folder, copied for each test) and ``world`` (it at work)."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from fhir_bridge.assembly.build import build_rooms
from fhir_bridge.assembly.local import local_rooms
from fhir_bridge.assembly.node import create_node
from fhir_bridge.config import load
from tests.exchange.world import SteppingClock, World


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A node nobody wrote to yet."""
    folder = tmp_path_factory.mktemp("node") / "made"
    create_node(folder, member="hospital.example", keys=None, port=8099, demo=True)
    return folder


@pytest.fixture
async def world(made: Path, tmp_path: Path) -> AsyncIterator[World]:
    """A node of its own for one test."""
    folder = tmp_path / "node"
    shutil.copytree(made, folder)
    settings = load(folder / "bridge.toml", {})
    async with local_rooms(settings, clock=SteppingClock()) as rooms:
        yield World(rooms, settings)


@pytest.fixture
def beside(world: World) -> Iterator[World]:
    """Another writing process of the same node, but for the process."""
    rooms = world.rooms
    other = build_rooms(
        world.settings, rooms.keys, "bundle", rooms.ledger, rooms.follower, rooms.clock
    )
    yield World(other, world.settings)
    other.locator.close()
    other.reader.close()
    other.store.close()
