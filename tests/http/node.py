"""A node served by its real processes, and clients that ask it over HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from fhir_bridge.assembly.identity import open_registry
from fhir_bridge.assembly.node import create_node, open_keys
from fhir_bridge.clock import Clock
from fhir_bridge.config import load
from fhir_bridge.smart import ASSERTION_TYPE, Client, assertion, new_client_key, parse_scopes

__all__ = ["Node", "Reply", "Web", "client_of", "exact", "run"]

Tree = dict[str, Any]


def exact(raw: bytes | str) -> Any:
    """The JSON with every number as the text that was sent."""
    return json.loads(raw, parse_float=str, parse_int=str)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """``fhir-bridge`` with these arguments."""
    return subprocess.run(
        [sys.executable, "-m", "fhir_bridge", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


@dataclass
class Node:
    """A node in a folder of its own."""

    folder: Path
    keys: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    """Private key and key id by client."""
    bound: set[str] = field(default_factory=set)
    """Clients that stand for one patient."""

    @classmethod
    def make(cls, folder: Path) -> Node:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        create_node(folder, member="hospital.example", keys=None, port=port, demo=True)
        return cls(folder)

    @property
    def config(self) -> Path:
        return self.folder / "bridge.toml"

    @property
    def base(self) -> str:
        return load(self.config, {}).http.base_url

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Its processes run; their log lines go to ``server.log``."""
        with (self.folder / "server.log").open("ab") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", "fhir_bridge", "serve", "--json", "--config", self.config],
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert server.stdout is not None
        try:
            assert server.stdout.readline(), (self.folder / "server.log").read_text()
            yield
        finally:
            server.terminate()
            server.wait()
            server.stdout.close()

    def register(
        self, name: str, organization: str, purpose: str = "TREAT", patient: str | None = None
    ) -> None:
        """A client of the node, with every scope there is for it."""

        async def add() -> None:
            settings = load(self.config, {})
            pem, jwk = new_client_key()
            database, registry = await open_registry(settings, open_keys(settings), Clock())
            scopes = parse_scopes("patient/*.cruds" if patient else "system/*.cruds")
            await registry.add(
                Client(name, organization, (purpose,), scopes, {"keys": [jwk]}, patient=patient)
            )
            await database.close()
            self.keys[name] = (pem, jwk["kid"])
            if patient:
                self.bound.add(name)

        asyncio.run(add())


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: dict[str, str]
    """By name in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Web:
    """One client over HTTP, with a token of its own."""

    def __init__(self, session: aiohttp.ClientSession, base: str, token: str) -> None:
        self._session = session
        self.root = base
        self.base = f"{base}/fhir"
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def ask(
        self, method: str, path: str, body: bytes | Tree | None = None, **headers: str
    ) -> Reply:
        """One request below the FHIR base; ``If_Match`` stands for ``If-Match``."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        sent = {**self._headers, "Content-Type": "application/fhir+json"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        if data is None:
            del sent["Content-Type"]
        url = f"{self.base}/{path}".rstrip("/") if "://" not in path else path
        async with self._session.request(method, url, data=data, headers=sent) as answer:
            raw = await answer.read()
            named = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.status, named, raw)

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.ask("GET", path, None, **headers)

    async def post(self, path: str, body: bytes | Tree, **headers: str) -> Reply:
        return await self.ask("POST", path, body, **headers)

    async def put(self, path: str, body: bytes | Tree, **headers: str) -> Reply:
        return await self.ask("PUT", path, body, **headers)


@asynccontextmanager
async def client_of(node: Node, name: str) -> AsyncIterator[Web]:
    """``name`` with a fresh token; ``""`` asks without any."""
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        base = node.base
        token = await _token(session, node, base, name) if name else ""
        yield Web(session, base, token)


async def _token(session: aiohttp.ClientSession, node: Node, base: str, name: str) -> str:
    pem, kid = node.keys[name]
    url = f"{base}/auth/token"
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion(name, url, pem, kid),
        "scope": "patient/*.cruds" if name in node.bound else "system/*.cruds",
    }
    async with session.post(url, data=form) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["access_token"])
