"""The processes of a node belong together: none is left behind, whatever ends the first."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.http.node import Node, client_of


def _started(node: Node, log: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "fhir_bridge", "serve", "--json", "--config", str(node.config)]
    with log.open("wb") as file:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file)


async def test_a_node_killed_outright_leaves_no_process_and_starts_again_with_all_it_said(
    tmp_path: Path,
) -> None:
    node = Node.make(tmp_path / "node")
    await asyncio.to_thread(node.register, "ehr", "Organization/hospital")
    server = await asyncio.to_thread(_started, node, tmp_path / "log")
    assert server.stdout is not None
    ready = json.loads(await asyncio.to_thread(server.stdout.readline))
    async with client_of(node, "ehr") as ehr:
        made = await ehr.post("Patient", {"resourceType": "Patient", "active": True})
        assert made.status == 201
    os.kill(ready["pid"], signal.SIGKILL)
    server.wait()
    # Its children hold the other end of this pipe for as long as they live.
    await asyncio.to_thread(server.stdout.read)
    server.stdout.close()
    began = time.monotonic()
    with node.serving():
        async with client_of(node, "ehr") as ehr:
            read = await ehr.get(f"Patient/{made.json['id']}")
    assert read.body == made.body
    assert time.monotonic() - began < 20
