"""The operator reads: over the owner's socket of a running server, or with the node in hand.

Either way through the gates of the organisation that the operator acts for, and with the
disclosure on the ledger before anything is handed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from fhir_bridge.assembly.build import open_locator
from fhir_bridge.assembly.identity import operator
from fhir_bridge.assembly.local import local_rooms
from fhir_bridge.assembly.node import open_keys
from fhir_bridge.assembly.owner import holder
from fhir_bridge.assembly.owner_socket import OwnerSocket
from fhir_bridge.assembly.places import Places
from fhir_bridge.assembly.serve import check_node
from fhir_bridge.config import Settings
from fhir_bridge.exchange import RequestInfo, Rooms, disclose, find, prove

__all__ = ["Inquiry", "Version", "inquire"]

_LIMIT_S = 120.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Version:
    """One released version."""

    version_id: str
    raw: bytes


class Inquiry(Protocol):
    """What a reading command may ask of a node."""

    async def types(self) -> list[str]:
        """The resource types of which there is anything."""
        ...

    async def read(self, type_: str, id_: str, version_id: str | None) -> Version:
        """One version (None: the current one); its disclosure is durable."""
        ...

    async def proof(self, type_: str, id_: str, version_id: str) -> bytes:
        """The proof of one version under a signed checkpoint; its release is durable."""
        ...

    async def page(self, type_: str, count: int, after: str | None) -> bytes:
        """A searchset of a type; ``after`` is the ``next`` link of the page before."""
        ...


def inquire(settings: Settings, organization: str, work: Callable[[Inquiry], Awaitable[T]]) -> T:
    """What ``work`` makes of the node, asked as the operator acting for ``organization``."""
    run = _remotely if holder(Places.of(settings).data) is not None else _locally
    return asyncio.run(run(settings, organization, work))


async def _remotely(
    settings: Settings, organization: str, work: Callable[[Inquiry], Awaitable[T]]
) -> T:
    async with OwnerSocket(settings, organization, _LIMIT_S) as owner:
        return await work(_Remote(owner, settings))


async def _locally(
    settings: Settings, organization: str, work: Callable[[Inquiry], Awaitable[T]]
) -> T:
    check_node(settings)
    async with local_rooms(settings) as rooms:
        return await work(_Local(rooms, organization, f"{settings.http.base_url}/fhir"))


class _Local:
    """The use cases in this process."""

    def __init__(self, rooms: Rooms, organization: str, base_url: str) -> None:
        self._rooms = rooms
        self._who = operator(organization)
        self._base = base_url

    def _request(self, query: str) -> RequestInfo:
        return RequestInfo(self._rooms.clock.new_id(), "command line", query=query)

    async def types(self) -> list[str]:
        return self._rooms.locator.types()

    async def read(self, type_: str, id_: str, version_id: str | None) -> Version:
        rooms, request = self._rooms, self._request("")
        if version_id is None:
            found = await disclose.read(rooms, self._who, request, type_, id_)
        else:
            found = await disclose.vread(rooms, self._who, request, type_, id_, version_id)
        return Version(found.version_id, found.raw)

    async def proof(self, type_: str, id_: str, version_id: str) -> bytes:
        # no clock signs here: the checkpoint that the proof waits for is made now
        await self._rooms.ledger.checkpoint_now()
        request = self._request("$ledger-proof")
        text = await prove.proof(self._rooms, self._who, request, type_, id_, version_id)
        return text.encode()

    async def page(self, type_: str, count: int, after: str | None) -> bytes:
        rooms, who, base = self._rooms, self._who, self._base
        if after is None:
            pairs = [("_count", str(count))]
            request = self._request(f"{type_}?_count={count}")
            return (await find.search(rooms, who, request, type_, pairs, base)).raw
        request = self._request(f"{type_}?_page")
        return (await find.next_page(rooms, who, request, _cursor(after), base)).raw


class _Remote:
    """The running server, over its owner's socket."""

    def __init__(self, owner: OwnerSocket, settings: Settings) -> None:
        self._owner = owner
        self._settings = settings

    async def types(self) -> list[str]:
        settings = self._settings
        locator = open_locator(Places.of(settings).locator, open_keys(settings), settings)
        try:
            return locator.types()
        finally:
            locator.close()

    async def read(self, type_: str, id_: str, version_id: str | None) -> Version:
        history = f"/_history/{version_id}" if version_id is not None else ""
        raw, etag = await self._owner.ask(f"/{type_}/{id_}{history}")
        return Version(etag.removeprefix('W/"').removesuffix('"'), raw)

    async def proof(self, type_: str, id_: str, version_id: str) -> bytes:
        return (await self._owner.ask(f"/{type_}/{id_}/_history/{version_id}/$ledger-proof"))[0]

    async def page(self, type_: str, count: int, after: str | None) -> bytes:
        query = {"_count": str(count)} if after is None else {"_page": _cursor(after)}
        path = f"/{type_}" if after is None else ""
        return (await self._owner.ask(f"{path}?{urlencode(query)}"))[0]


def _cursor(link: str) -> str:
    """The sealed place in a ``next`` link."""
    return dict(parse_qsl(urlsplit(link).query)).get("_page", "")
