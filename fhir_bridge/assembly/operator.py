"""The operator at work: through the running owner's socket, or with the node in hand.

A command does not know which it is: ``as_operator`` runs its work with the one that is possible.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from fhir_bridge.assembly import roles
from fhir_bridge.assembly.identity import operator
from fhir_bridge.assembly.node import Places, open_keys
from fhir_bridge.assembly.owner import holder, owned
from fhir_bridge.assembly.owner_socket import OwnerSocket
from fhir_bridge.assembly.serve import backstage, check_node
from fhir_bridge.assembly.supervisor import behind
from fhir_bridge.clock import Clock
from fhir_bridge.config import Settings
from fhir_bridge.exchange import Operated, RequestInfo, Rooms

__all__ = ["Operator", "as_operator"]

_LIMIT_S = 600.0
T = TypeVar("T")


class Operator(Protocol):
    """What an operator's command may ask of a node."""

    async def bundle(self, kind: str, raw: bytes) -> bytes:
        """Carry out a ``transaction`` or ``batch``; the response Bundle."""
        ...


def as_operator(
    settings: Settings, organization: str, work: Callable[[Operator], Awaitable[T]]
) -> T:
    """Run ``work`` for ``organization``: over the owner's socket when a server runs, else with
    the node's sequencer and indexer started for the time it takes."""
    if holder(Places.of(settings).data) is not None:
        return asyncio.run(_remotely(settings, organization, work))
    with owned(Places.of(settings).data):
        check_node(settings)
        roles.warm()
        with behind(backstage(settings)):
            return asyncio.run(_locally(settings, organization, work))


async def _remotely(
    settings: Settings, organization: str, work: Callable[[Operator], Awaitable[T]]
) -> T:
    async with OwnerSocket(settings, organization, _LIMIT_S) as owner:
        return await work(_Remote(owner))


async def _locally(
    settings: Settings, organization: str, work: Callable[[Operator], Awaitable[T]]
) -> T:
    rooms = roles.remote_rooms(settings, open_keys(settings), "bundle", Clock())
    return await work(_Local(rooms, organization, settings.http.base_url))


class _Local:
    """The use cases in this process."""

    def __init__(self, rooms: Rooms, organization: str, public_url: str) -> None:
        self._rooms = rooms
        self._operated = Operated(rooms)
        self._who = operator(organization)
        self._base = f"{public_url}/fhir"

    async def bundle(self, kind: str, raw: bytes) -> bytes:
        request = RequestInfo(self._rooms.clock.new_id(), "command line")
        return (await self._operated.run(kind, self._who, request, raw, self._base)).raw


class _Remote:
    """The running server, over its owner's socket."""

    def __init__(self, owner: OwnerSocket) -> None:
        self._owner = owner

    async def bundle(self, kind: str, raw: bytes) -> bytes:
        return (await self._owner.ask("", raw))[0]
