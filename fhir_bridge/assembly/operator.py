"""The operator at work: through the running owner's socket, or with the node in hand.

A command does not know which it is: ``as_operator`` runs its work with the one that is possible.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from fhir_bridge.assembly.owner import holder
from fhir_bridge.assembly.owner_socket import OwnerSocket
from fhir_bridge.assembly.places import Places
from fhir_bridge.config import Settings

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
    # The whole house, which beside a server is not needed and takes a while to load.
    from fhir_bridge.assembly.in_hand import in_hand

    return in_hand(settings, organization, work)


async def _remotely(
    settings: Settings, organization: str, work: Callable[[Operator], Awaitable[T]]
) -> T:
    async with OwnerSocket(settings, organization, _LIMIT_S) as owner:
        return await work(_Remote(owner))


class _Remote:
    """The running server, over its owner's socket."""

    def __init__(self, owner: OwnerSocket) -> None:
        self._owner = owner

    async def bundle(self, kind: str, raw: bytes) -> bytes:
        return (await self._owner.ask("", raw))[0]
