"""The demo's node: made afresh, served by real processes, asked over real HTTP."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhir_bridge.errors import Unavailable

__all__ = ["DemoClient", "DemoNode", "Reply"]

_CALL_LIMIT_S = 30


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back over HTTP."""

    status: int
    body: bytes
    ledger: str
    """The ``Ledger-Status`` header."""

    @property
    def json(self) -> dict[str, Any]:
        """The body as JSON, or nothing where there was none."""
        found: dict[str, Any] = json.loads(self.body) if self.body else {}
        return found


class DemoNode:
    """A node in a folder of its own, marked DEMO."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "bridge.toml"

    def make(self) -> None:
        """Remove the last demo's node and make a new one on a free port."""
        from fhir_bridge.assembly.node import create_node

        shutil.rmtree(self.folder, ignore_errors=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        create_node(self.folder, member="hospital.example", keys=None, port=port, demo=True)

    @contextmanager
    def running(self) -> Iterator[str]:
        """The base URL while a server runs; one that runs already is used as it is."""
        from fhir_bridge.assembly.owner import holder
        from fhir_bridge.assembly.places import Places
        from fhir_bridge.config import load

        settings = load(self.config, {})
        if holder(Places.of(settings).data) is not None:
            yield settings.http.base_url
            return
        with (self.folder / "server.log").open("ab") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "fhir_bridge", "serve", "--json", "--config", self.config],
                stdout=subprocess.PIPE,
                stderr=log,
            )
        try:
            assert server.stdout is not None  # it was asked for
            if not server.stdout.readline():
                raise Unavailable(
                    "the demo's server did not start; its log says why",
                    code="demo",
                    where=str(self.folder / "server.log"),
                )
            yield settings.http.base_url
        finally:
            server.terminate()
            server.wait()
            if server.stdout is not None:
                server.stdout.close()

    def register(self, name: str, organization: str, purpose: str, patient: str = "") -> None:
        """Register a client of the demo; its key lies in the demo's folder."""
        asyncio.run(self._register(name, organization, purpose, patient))

    async def _register(self, name: str, organization: str, purpose: str, patient: str) -> None:
        from fhir_bridge.assembly.identity import open_registry
        from fhir_bridge.assembly.node import open_keys
        from fhir_bridge.clock import Clock
        from fhir_bridge.config import load
        from fhir_bridge.smart import Client, new_client_key, parse_scopes

        settings = load(self.config, {})
        pem, jwk = new_client_key()
        key = self.folder / f"{name}.pem"
        key.write_bytes(pem)
        key.chmod(0o600)
        database, registry = await open_registry(settings, open_keys(settings), Clock())
        scopes = parse_scopes("patient/*.cruds" if patient else "system/*.cruds")
        client = Client(
            name, organization, (purpose,), scopes, {"keys": [jwk]}, patient=patient or None
        )
        await registry.add(client)
        await database.close()


class DemoClient:
    """One registered client, with a token of its own."""

    def __init__(self, node: DemoNode, base: str, name: str) -> None:
        from fhir_bridge.smart import ASSERTION_TYPE, assertion, public_jwk

        key = (node.folder / f"{name}.pem").read_bytes()
        url = f"{base}/auth/token"
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion(name, url, key, public_jwk(key)["kid"]),
            "scope": "patient/*.cruds" if name == "patient" else "system/*.cruds",
        }
        answer = _call(urllib.request.Request(url, urllib.parse.urlencode(form).encode()))
        if answer.status != 200:
            raise Unavailable("the token endpoint refused the demo's client", code="demo")
        self._token = answer.json["access_token"]
        self._base = f"{base}/fhir"

    def get(self, path: str) -> Reply:
        """GET below the FHIR base."""
        return self._send("GET", path)

    def post(self, path: str, resource: dict[str, Any]) -> Reply:
        """POST a resource."""
        return self._send("POST", path, resource)

    def put(self, path: str, resource: dict[str, Any]) -> Reply:
        """PUT a resource."""
        return self._send("PUT", path, resource)

    def _send(self, method: str, path: str, resource: dict[str, Any] | None = None) -> Reply:
        request = urllib.request.Request(
            f"{self._base}/{path}".rstrip("/"),
            data=json.dumps(resource).encode() if resource is not None else None,
            method=method,
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/fhir+json",
            },
        )
        return _call(request)


def _call(request: urllib.request.Request) -> Reply:
    try:
        with urllib.request.urlopen(request, timeout=_CALL_LIMIT_S) as answer:
            return Reply(answer.status, answer.read(), answer.headers.get("Ledger-Status", ""))
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.read(), error.headers.get("Ledger-Status", ""))
