"""A throw-away node for commands, and records written without a server."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge.assembly.identity import operator
from fhir_bridge.assembly.local import local_rooms
from fhir_bridge.cli import run
from fhir_bridge.config import Settings, load
from fhir_bridge.exchange import RequestInfo, ingest

HOSPITAL, CLINIC = "Organization/hospital", "Organization/clinic"


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Node:
    """A node made by ``init --demo``, and commands run against it."""

    folder: Path
    capture: pytest.CaptureFixture[str]

    @property
    def config(self) -> Path:
        return self.folder / "bridge.toml"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def settings(self) -> Settings:
        return load(self.config, {})

    def run(self, *words: object) -> Said:
        """One command with this node's settings."""
        return self.bare(*words, "--config", self.config)

    def bare(self, *words: object) -> Said:
        """One command as it is."""
        self.capture.readouterr()
        code = run([str(word) for word in words])
        out, err = self.capture.readouterr()
        return Said(code, out, err)

    def ok(self, *words: object) -> Said:
        """One command that must succeed."""
        said = self.run(*words)
        assert said.code == 0, said.err
        return said

    def write(self, resource: dict[str, Any], organization: str = HOSPITAL) -> str:
        """Store a resource as ``organization``; ``Type/id``."""
        return asyncio.run(_write(self.settings, json.dumps(resource).encode(), organization))

    @contextmanager
    def serving(self) -> Iterator[None]:
        """A real server in its own process."""
        words = ["serve", "--json", "--config", str(self.config)]
        with (
            (self.folder / "serve.log").open("wb") as log,
            subprocess.Popen(
                [sys.executable, "-m", "fhir_bridge", *words], stdout=subprocess.PIPE, stderr=log
            ) as server,
        ):
            assert server.stdout is not None
            assert server.stdout.readline(), (self.folder / "serve.log").read_text()
            try:
                yield
            finally:
                server.terminate()
                server.wait(30)


def make(folder: Path, capture: pytest.CaptureFixture[str]) -> Node:
    """A new node on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert run(["init", str(folder), "--demo", "--port", str(port)]) == 0
    return Node(folder, capture)


def patient(family: str) -> dict[str, Any]:
    return {"resourceType": "Patient", "name": [{"family": family}]}


def observation(subject: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "Creatinine"},
        "subject": {"reference": subject},
        **more,
    }


def consent(subject: str, organization: str) -> dict[str, Any]:
    """The subject permits an organisation to read for treatment, until 2100."""
    actor = {"coding": [{"system": _PARTICIPATION, "code": "IRCP"}]}
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"system": _SCOPE, "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": subject},
        "dateTime": "2026-01-01",
        "policyRule": {"coding": [{"system": _ACT, "code": "OPTIN"}]},
        "provision": {
            "type": "permit",
            "period": {"start": "2020-01-01", "end": "2100-01-01"},
            "actor": [{"role": actor, "reference": {"reference": organization}}],
            "purpose": [{"system": _REASON, "code": "TREAT"}],
        },
    }


_SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
_ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"


async def _write(settings: Settings, raw: bytes, organization: str) -> str:
    async with local_rooms(settings) as rooms:
        type_ = json.loads(raw)["resourceType"]
        request = RequestInfo("test", "test")
        receipt = await ingest.create(rooms, operator(organization), request, type_, raw)
        return f"{receipt.type}/{receipt.id}"
