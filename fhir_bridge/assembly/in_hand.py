"""A node without a server, in the hand of one command: its processes run while that works."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from fhir_bridge.assembly import roles
from fhir_bridge.assembly.identity import operator
from fhir_bridge.assembly.node import open_keys
from fhir_bridge.assembly.operator import Operator
from fhir_bridge.assembly.owner import owned
from fhir_bridge.assembly.places import Places
from fhir_bridge.assembly.serve import backstage, check_node
from fhir_bridge.assembly.supervisor import behind
from fhir_bridge.clock import Clock
from fhir_bridge.config import Settings
from fhir_bridge.exchange import Operated, RequestInfo, Rooms

__all__ = ["in_hand"]

T = TypeVar("T")


def in_hand(settings: Settings, organization: str, work: Callable[[Operator], Awaitable[T]]) -> T:
    """Run ``work`` for ``organization``; Conflict when somebody else has the node."""
    with owned(Places.of(settings).data):
        check_node(settings)
        roles.warm()
        with behind(backstage(settings)):
            return roles.run_loop(lambda: _work(settings, organization, work))


async def _work(
    settings: Settings, organization: str, work: Callable[[Operator], Awaitable[T]]
) -> T:
    rooms = roles.remote_rooms(settings, open_keys(settings), "bundle", Clock())
    return await work(_InHand(rooms, organization, settings.http.base_url))


class _InHand:
    """The use cases in this process."""

    def __init__(self, rooms: Rooms, organization: str, public_url: str) -> None:
        self._rooms = rooms
        self._operated = Operated(rooms)
        self._who = operator(organization)
        self._base = f"{public_url}/fhir"

    async def bundle(self, kind: str, raw: bytes) -> bytes:
        request = RequestInfo(self._rooms.clock.new_id(), "command line")
        return (await self._operated.run(kind, self._who, request, raw, self._base)).raw
