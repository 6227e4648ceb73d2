"""Nothing readable at rest, through every real door: no file, log or temporary file tells."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.exchange.test_at_rest import CANARIES, PATIENT, found_in
from tests.http.node import Node, client_of, run

Tree = dict[str, Any]
NAME, NUMBER, BIRTH, CODE, TEXT = CANARIES
_BARE = """
import sys
from fhir_bridge.keys import sealer
sealer.seal_bytes = lambda key, context, plain: plain
sealer.unseal_bytes = lambda key, context, sealed: sealed
from fhir_bridge.cli import run
sys.exit(run(sys.argv[1:]))
"""
"""A node that does not encrypt bodies: what the search must find."""


def _observation(patient: str, padding: int = 0) -> Tree:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://x.example/codes", "code": CODE}]},
        "subject": {"reference": patient},
        "effectiveDateTime": BIRTH,
        "note": [{"text": TEXT + " " + "x" * padding}],
    }


def _bundle(kind: str, *resources: Tree) -> Tree:
    entries = [
        {"resource": tree, "request": {"method": "POST", "url": tree["resourceType"]}}
        for tree in resources
    ]
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


async def _through_every_door(node: Node, folder: Path) -> list[str]:
    """Write, read, search, fail and import with the canaries; all texts that must not be found."""
    async with client_of(node, "ehr") as ehr, client_of(node, "clinic") as clinic:
        made = await ehr.post("Patient", PATIENT)
        place = f"Patient/{made.json['id']}"
        observed = await ehr.post("Observation", _observation(place))
        changed = observed.json | {"status": "amended"}
        updated = await ehr.put(f"Observation/{observed.json['id']}", changed)
        system = "http%3A%2F%2Fx.example%2Fids"
        query = f"identifier={system}|{NUMBER}&name={NAME}&birthdate={BIRTH}"
        asked = [
            await ehr.get(f"Patient?{query}"),
            await ehr.get(f"Observation?code={CODE}&date={BIRTH}"),
            await ehr.get(place),
            await ehr.get(f"{place}/$everything"),
            await ehr.post("Patient", PATIENT, If_None_Exist=query),
            await ehr.post("", _bundle("transaction", _observation(place))),
            await ehr.post("", _bundle("transaction", _observation(place, 120_000))),
            await ehr.post("", _bundle("batch", _observation(place))),
        ]
        assert [answer.status for answer in asked] == [200] * len(asked)
        refused = [
            await clinic.get(place),
            await clinic.get(f"Patient/{NAME}"),
            await ehr.get(f"Patient?nickname={NAME}"),
            await ehr.get(f"Patient?a%20{NAME}={NUMBER}"),
            await ehr.post("Patient", PATIENT | {"birthDate": f"{BIRTH}x", NAME: NUMBER}),
            await ehr.post("Patient", json.dumps(PATIENT).encode()[:-1]),
            await ehr.get(f"{NAME}/{NUMBER}"),
        ]
        assert all(400 <= answer.status < 500 for answer in refused)
        told = [(n, c) for n, a in enumerate(refused) for c in CANARIES if c.encode() in a.body]
        assert not told
    file = folder / "file.json"
    file.write_text(json.dumps(_bundle("transaction", PATIENT, PATIENT)))
    done = await asyncio.to_thread(run, "import", file, "--config", node.config)
    assert done.returncode == 0, done.stderr
    return [*CANARIES, json.dumps(PATIENT), made.body.decode(), updated.body.decode()]


async def _told(tmp_path: Path, *start: str) -> set[str]:
    """What a node started like this gives away, while it runs and after it has ended."""
    home, outside = tmp_path / "home", tmp_path / "outside"
    for folder in (home / "tmp", outside):
        folder.mkdir(parents=True)
    node = Node.make(home / "node")
    await asyncio.to_thread(node.register, "ehr", "Organization/hospital")
    await asyncio.to_thread(node.register, "clinic", "Organization/clinic")
    server = await asyncio.to_thread(_started, node, home, start)
    assert server.stdout is not None
    try:
        assert await asyncio.to_thread(server.stdout.readline)
        texts = await _through_every_door(node, outside)
        told = found_in(home, texts)
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()
    return told | found_in(home, texts)


def _started(node: Node, home: Path, start: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """The node's processes; what they log and put aside lies in ``home``."""
    with (home / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, *start, "serve", "--json", "--config", str(node.config)],
            stdout=subprocess.PIPE,
            stderr=log,
            env=os.environ | {"TMPDIR": str(home / "tmp")},
        )


async def test_a_running_and_a_stopped_node_give_nothing_away(tmp_path: Path) -> None:
    assert await _told(tmp_path, "-m", "fhir_bridge") == set()


async def test_the_same_search_finds_a_node_that_does_not_encrypt(tmp_path: Path) -> None:
    assert await _told(tmp_path, "-c", _BARE) >= set(CANARIES)
