"""Whether a requester may see one resource version, and what absence looks like."""

from __future__ import annotations

from fhir_bridge.errors import NotFound
from fhir_bridge.exchange.contract import RequestInfo
from fhir_bridge.exchange.records import refused
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.locator import Hit
from fhir_bridge.terms import Requester

__all__ = ["absent", "no_such", "tell_of", "visible"]


def visible(rooms: Rooms, requester: Requester, hit: Hit) -> bool:
    """Whether ``requester`` may see this version now."""
    return rooms.gates.reading(requester, "r")(hit.group)


def no_such(type_: str) -> NotFound:
    """The one answer to what is absent and to what is hidden."""
    return NotFound(f"there is no such {type_}")


async def absent(
    rooms: Rooms, requester: Requester, request: RequestInfo, hit: Hit | None, kind: str
) -> None:
    """Record that something was asked for and not given, and why. Absent and hidden cost the
    same: one record of one size, in the directory's chain or in the patient's, before the same
    answer."""
    patients = rooms.locator.facts(hit.group).patients if hit is not None else ()
    reason = _reason(rooms, requester, hit)
    await refused(rooms, requester, request, patients[:1], kind, reason)


async def tell_of(
    rooms: Rooms, requester: Requester, request: RequestInfo, hit: Hit, kind: str, reason: str
) -> None:
    """Record a refusal that tells of a version, with every patient that it names.

    NotFound, and recorded as that, when the requester may not know of it any more.
    """
    patients = rooms.locator.facts(hit.group).patients

    def decide() -> None:
        if not visible(rooms, requester, hit):
            raise no_such(hit.type)

    try:
        await refused(rooms, requester, request, patients, kind, reason, hit, decide)
    except NotFound:
        await absent(rooms, requester, request, hit, kind)
        raise


def _reason(rooms: Rooms, requester: Requester, hit: Hit | None) -> str:
    if hit is None:
        return "absent"
    decision = rooms.gates.reading(requester, "r").decision(hit.group)
    if not decision.permit:
        return decision.reasons[0]
    return "deleted" if hit.deleted else "consent-changed"
