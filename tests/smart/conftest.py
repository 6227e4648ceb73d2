"""The fixture ``world``: a node with one client, ``ehr``, registered for treatment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.smart.world import World, client, process


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A running node."""
    async with process(tmp_path) as running:
        await running.registry.add(client())
        yield running
