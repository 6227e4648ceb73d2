"""Whether a requester may see one resource version, and what absence looks like."""

from __future__ import annotations

from fhir_bridge.exchange.contract import RequestInfo
from fhir_bridge.exchange.records import refused
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.locator import Hit
from fhir_bridge.terms import Interaction, Requester

__all__ = ["absent", "visible"]


def visible(rooms: Rooms, requester: Requester, hit: Hit, letter: str = "r") -> bool:
    """Whether ``requester`` may see this version now."""
    return rooms.gates.reading(requester, letter)(hit.group)


async def absent(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    hit: Hit | None,
    interaction: Interaction,
) -> None:
    """Record that something was asked for and not given. Absent and hidden cost the same:
    one record, in the directory's chain or in the patient's, before the same answer."""
    patients = rooms.locator.facts(hit.group).patients if hit is not None else ()
    await refused(rooms, requester, request, patients[:1], interaction)
