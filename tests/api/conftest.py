"""The door over a real loopback socket, in front of a fake exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
import pytest

from fhir_bridge.api import ApiLimits, ApiSettings, Door, SearchParam, Serving, Surface, serve
from fhir_bridge.clock import Clock
from tests.api.fake import FakeExchange

SURFACE = Surface(
    types=("Basic", "Observation", "Patient"),
    search={
        "Patient": (
            SearchParam("identifier", "token", "http://hl7.org/fhir/SearchParameter/x"),
            SearchParam("name", "string"),
        )
    },
    includes={"Observation": ("Observation:subject",)},
    rev_includes={"Patient": ("Observation:subject",)},
)


@dataclass
class Answered:
    """One answer, read whole."""

    status: int
    headers: Any
    raw: bytes

    @property
    def tree(self) -> Any:
        return orjson.loads(self.raw)

    @property
    def issue(self) -> Any:
        assert self.headers["Content-Type"] == "application/fhir+json; charset=utf-8"
        assert self.tree["resourceType"] == "OperationOutcome"
        return self.tree["issue"][0]


@dataclass
class Stand:
    """A served door with all that a test may want to touch."""

    exchange: FakeExchange
    door: Door
    serving: Serving
    lines: list[str]
    session: aiohttp.ClientSession
    address: tuple[str, int] = field(default=("", 0))

    async def ask(
        self, method: str, path: str, *, token: str | None = "all", **options: Any
    ) -> Answered:
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token}")
        url = f"http://{self.address[0]}:{self.address[1]}{path}"
        async with self.session.request(method, url, headers=headers, **options) as response:
            return Answered(response.status, response.headers, await response.read())

    async def send(self, raw: bytes, *, wait_s: float = 5.0) -> bytes:
        """Raw bytes in, all bytes out until the server closes or falls silent."""
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            writer.write(raw)
            out = b""
            try:
                async with asyncio.timeout(wait_s):
                    while part := await reader.read(65536):
                        out += part
            except TimeoutError:
                pass
            return out
        finally:
            writer.close()


Opener = Callable[..., Awaitable[Stand]]


@pytest.fixture
async def open_door() -> AsyncIterator[Opener]:
    """Opens doors with limits and settings of the test's choice."""
    opened: list[Stand] = []

    async def opener(limits: ApiLimits | None = None, **settings: Any) -> Stand:
        exchange = FakeExchange()
        lines: list[str] = []
        settings.setdefault("public_url", "https://bridge.example")
        chosen = ApiSettings(limits=limits or ApiLimits(linger_s=0.2), **settings)
        door = Door(exchange, SURFACE, chosen, Clock(), lines.append)
        serving = await serve(door)
        stand = Stand(exchange, door, serving, lines, aiohttp.ClientSession())
        stand.address = serving.addresses[0]
        opened.append(stand)
        return stand

    yield opener
    for stand in opened:
        await stand.session.close()
        await stand.serving.stop(1.0)


@pytest.fixture
async def stand(open_door: Opener) -> Stand:
    """A door with the usual limits and one patient behind it."""
    made = await open_door()
    made.exchange.put("Patient", "p1")
    return made
