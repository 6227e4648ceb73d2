"""The operator at work: through the running owner's socket, or with the node in hand.

A command does not know which it is: ``as_operator`` runs its work with the one that is possible.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import aiohttp
import orjson

from fhir_bridge.assembly import roles
from fhir_bridge.assembly.identity import OPERATOR_SCHEME, operator
from fhir_bridge.assembly.node import Places, open_keys
from fhir_bridge.assembly.owner import holder, owned
from fhir_bridge.assembly.serve import backstage, check_node
from fhir_bridge.assembly.supervisor import behind
from fhir_bridge.clock import Clock
from fhir_bridge.config import Settings
from fhir_bridge.errors import BridgeError, Incorrect, Issue, Unavailable
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
    connector = aiohttp.UnixConnector(str(Places.of(settings).owner_socket))
    timeout = aiohttp.ClientTimeout(total=_LIMIT_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        return await work(_Remote(session, organization))


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

    def __init__(self, session: aiohttp.ClientSession, organization: str) -> None:
        self._session = session
        self._headers = {
            "Authorization": OPERATOR_SCHEME + organization,
            "Content-Type": "application/fhir+json",
        }

    async def bundle(self, kind: str, raw: bytes) -> bytes:
        try:
            async with self._session.post(
                "http://owner/fhir", data=raw, headers=self._headers
            ) as answer:
                body = await answer.read()
                if answer.status == 200:
                    return body
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(
                "the running server does not answer on its owner's socket", code="owner-socket"
            ) from error
        raise _told(answer.status, body)


def _told(status: int, body: bytes) -> BridgeError:
    """The server's OperationOutcome as an error."""
    try:
        issues = [
            Issue(i["code"], i.get("diagnostics", ""), (i.get("expression") or [""])[0])
            for i in orjson.loads(body)["issue"]
        ]
    except (ValueError, KeyError, TypeError):
        issues = []
    kind = Unavailable if status >= 500 else Incorrect
    message = issues[0].message if issues else f"the server answered {status}"
    return kind(message, code=f"http-{status}", issues=issues)
