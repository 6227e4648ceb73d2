"""A power cut at any moment: what was acknowledged is there, what was released is recorded."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fhir_bridge.errors import BridgeError
from tests.crash.powercut import after_the_cut, built
from tests.http.node import Node, client_of
from tests.http.test_kill import checked, killed, writing
from tests.tiers import count, seed

COMPILER = shutil.which("cc") or shutil.which("gcc")
_SLOPPY = """
import sys
from fhir_bridge.ledger.engines.sqlite import schema
real = schema._for_writing
def sloppy(connection):
    real(connection).execute("PRAGMA synchronous = OFF")
    return connection
schema._for_writing = sloppy
from fhir_bridge.cli import run
sys.exit(run(sys.argv[1:]))
"""

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler to build the shim with")


class Cuts:
    """A node whose power is cut again and again."""

    def __init__(self, folder: Path, library: Path, *, sloppy: bool = False) -> None:
        self.node = Node.make(folder / "node")
        self.before = folder / "before"
        self.log = folder / "log"
        self.dice = random.Random(seed())
        self.kept: dict[str, bytes] = {}
        self.read: list[str] = []
        self.patient = ""
        self._library = library
        self._start = ["-c", _SLOPPY] if sloppy else ["-m", "fhir_bridge"]

    def started(self) -> subprocess.Popen[str]:
        shutil.rmtree(self.before, ignore_errors=True)
        self.log.unlink(missing_ok=True)
        shutil.copytree(
            self.node.folder, self.before, ignore=shutil.ignore_patterns("*.sock", "*-shm")
        )
        environment = os.environ | {
            "LD_PRELOAD": str(self._library),
            "POWERCUT_ROOT": str(self.node.folder),
            "POWERCUT_LOG": str(self.log),
        }
        return subprocess.Popen(
            [sys.executable, *self._start, "serve", "--json", "--config", str(self.node.config)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    async def once(self) -> None:
        """Serve under load, cut the power, and leave what the disk holds."""
        server = self.started()
        assert server.stdout is not None
        assert await asyncio.to_thread(server.stdout.readline)
        if not self.patient:
            async with client_of(self.node, "ehr") as web:
                made = await web.ask("POST", "Patient", {"resourceType": "Patient"})
                self.patient = made.json["id"]
        work = asyncio.create_task(writing(self.node, self.patient, self.kept, self.read))
        await asyncio.sleep(self.dice.uniform(0.1, 0.5))
        killed(self.node, server)
        await work
        after_the_cut(self.before, self.log, self.node.folder, self.dice)


@pytest.fixture(scope="module")
def library() -> Path:
    assert COMPILER is not None
    return built(COMPILER)


async def test_nothing_acknowledged_is_lost_when_the_power_goes(
    tmp_path: Path, library: Path
) -> None:
    cuts = Cuts(tmp_path, library)
    await asyncio.to_thread(cuts.node.register, "ehr", "Organization/hospital")
    for _ in range(count(200)):
        await cuts.once()
        await checked(cuts.node, dict(list(cuts.kept.items())[-60:]), cuts.read[-60:])
    assert len(cuts.kept) > count(200)
    await checked(cuts.node, cuts.kept, cuts.read)


async def test_without_syncs_the_very_same_test_finds_a_loss(tmp_path: Path, library: Path) -> None:
    cuts = Cuts(tmp_path, library, sloppy=True)
    await asyncio.to_thread(cuts.node.register, "ehr", "Organization/hospital")
    for _ in range(10):
        await cuts.once()
        try:
            await checked(cuts.node, cuts.kept, cuts.read)
        except (AssertionError, BridgeError):  # something acknowledged is not there, or damaged
            return
    pytest.fail("ten power cuts without a sync and nothing was lost: the shim does not cut")
