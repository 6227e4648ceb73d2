"""The moment of a disclosure: decided, recorded, durable; only then may anything leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fhir_bridge.errors import NotFound
from fhir_bridge.exchange.commit import Records, Use, record_use
from fhir_bridge.exchange.contract import RequestInfo
from fhir_bridge.exchange.gates import Gate
from fhir_bridge.exchange.records import released
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.locator import Hit
from fhir_bridge.terms import Requester

__all__ = ["patients_of", "release"]


async def release(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    letter: str,
    hits: Sequence[Hit],
    kind: str,
    still: Callable[[Gate], bool] = lambda gate: True,
    *,
    counted: Sequence[str] = (),
    everybody: bool = False,
) -> int:
    """Make the disclosure of ``hits`` durable; the ledger size with it.

    ``letter`` of the scope that they are read by; ``still``: what else must hold then;
    ``counted``: further patients whose consents the answer hangs on, or ``everybody``. NotFound
    when one of them may not leave any more: a Consent came in the meantime, or one ended.
    """
    patients = sorted({*patients_of(rooms, hits), *counted})
    gate: Gate

    def decide() -> None:
        nonlocal gate
        gate = rooms.gates.reading(requester, letter)
        if not (all(gate(hit.group) for hit in hits) and still(gate)):
            raise NotFound("a consent changed while this was being answered; ask again")

    def records() -> Records:
        return released(rooms, requester, request, gate, hits, kind)

    use = Use(requester.organization, patients, decide, records, everybody=everybody)
    return (await record_use(rooms, use)).size


def patients_of(rooms: Rooms, hits: Sequence[Hit]) -> list[str]:
    """Every patient that the entries name, sorted."""
    groups = {hit.group for hit in hits}
    return sorted({p for group in groups for p in rooms.locator.facts(group).patients})
