"""kill -9 of every process of a node: what was acknowledged is there, and nothing is half there."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import aiohttp

from fhir_bridge.assembly.local import local_rooms
from fhir_bridge.assembly.owner import holder
from fhir_bridge.audit import parse
from fhir_bridge.clock import Clock
from fhir_bridge.config import load
from fhir_bridge.exchange import Rooms
from fhir_bridge.ledger import verify_log
from tests.http.node import Node, Web, client_of
from tests.tiers import count, seed

_START_S = 60


def started(node: Node, *command: object) -> subprocess.Popen[str]:
    """A command in a process group of its own, so that all of it can be killed at once."""
    with (node.folder / "server.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "fhir_bridge", *map(str, command), "--config", str(node.config)],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )


def killed(node: Node, process: subprocess.Popen[str]) -> None:
    """All of it is gone on return, the children too: the kernel has let go of the lock."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    data = load(node.config, {}).node.data
    end = time.monotonic() + _START_S
    while holder(data) is not None and time.monotonic() < end:
        time.sleep(0.01)


def observation(patient: str, number: int) -> dict[str, object]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": str(number)},
        "subject": {"reference": f"Patient/{patient}"},
    }


async def writing(node: Node, patient: str, kept: dict[str, bytes], read: list[str]) -> None:
    """Creates and reads until the server is gone; what it acknowledged and released."""

    async def one(web: Web, number: int) -> None:
        while True:
            reply = await web.ask("POST", "Observation", observation(patient, number))
            if reply.status != 201:
                return
            kept[reply.json["id"]] = reply.body
            found = await web.ask("GET", f"Observation/{reply.json['id']}")
            if found.status == 200:
                assert found.body == reply.body
                read.append(found.headers["x-request-id"])

    with suppress(aiohttp.ClientError, OSError, AssertionError):
        async with client_of(node, "ehr") as web:
            await asyncio.gather(*(one(web, n) for n in range(4)), return_exceptions=True)


def recorded(rooms: Rooms) -> set[str]:
    """Request ids of every disclosure on the ledger."""
    found: set[str] = set()
    number = 0
    while rows := rooms.reader.audit_rows(number, 4096):
        for row in rows:
            event = parse(rooms.sealer.open_audit(row.sealed, row.hint)[2])
            if event.kind == "read" and event.out == 0 and row.status == 0:
                found.add(event.req)
        number = rows[-1].number + 1
    return found


async def checked(node: Node, kept: dict[str, bytes], read: list[str]) -> None:
    """Everything acknowledged is readable as it was, every release is on the ledger."""
    settings = load(node.config, {})
    verify_log(settings.node.data / "ledger.db", jobs=1)
    async with local_rooms(settings, clock=Clock()) as rooms:
        for id_, raw in kept.items():
            hit = rooms.locator.current("Observation", id_)
            assert hit is not None, id_
            assert rooms.bodies.get(hit.index) == raw
        assert set(read) <= recorded(rooms)


async def test_creates_and_reads_survive_kills_of_the_whole_node(tmp_path: Path) -> None:
    dice = random.Random(seed())
    node = Node.make(tmp_path / "node")
    await asyncio.to_thread(node.register, "ehr", "Organization/hospital")
    kept: dict[str, bytes] = {}
    read: list[str] = []
    patient = ""
    for _ in range(count(200)):
        server = started(node, "serve", "--json")
        assert server.stdout is not None
        assert await asyncio.to_thread(server.stdout.readline)
        if not patient:
            async with client_of(node, "ehr") as web:
                made = await web.ask("POST", "Patient", {"resourceType": "Patient"})
                patient = made.json["id"]
        work = asyncio.create_task(writing(node, patient, kept, read))
        await asyncio.sleep(dice.uniform(0.1, 0.6))
        killed(node, server)
        await asyncio.wait_for(work, _START_S)
        await checked(node, dict(list(kept.items())[-60:]), read[-60:])
    assert len(kept) > count(200)
    assert read
    await checked(node, kept, read)


async def test_an_import_that_is_killed_leaves_whole_transactions(tmp_path: Path) -> None:
    dice = random.Random(seed())
    node = Node.make(tmp_path / "node")
    size, bundles = 20, 80
    folder = tmp_path / "files"
    folder.mkdir()
    for n in range(bundles):
        entries = [
            {
                "resource": {"resourceType": "Basic", "code": {"text": f"b{n}"}},
                "request": {"method": "POST", "url": "Basic"},
            }
            for _ in range(size)
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        (folder / f"{n:03}.json").write_text(json.dumps(bundle))
    settings = load(node.config, {})
    partly = 0
    total = 0
    for _ in range(count(200)):
        tool = started(node, "import", folder, "--json")
        await asyncio.sleep(dice.uniform(0.35, 0.95))
        killed(node, tool)
        verify_log(settings.node.data / "ledger.db", jobs=1)
        async with local_rooms(settings, clock=Clock()) as rooms:
            rows = rooms.reader.rows(0, rooms.reader.head().size)
            sealed = sum(1 for row in rows if row.box)
        assert sealed % size == 0, "a transaction is half there"
        partly += 0 < sealed - total < size * bundles
        total = sealed
    assert partly, "no kill came while the import was at work"
