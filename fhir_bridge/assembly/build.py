"""Builds the rooms of one process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from fhir_bridge.api.contract import Style
from fhir_bridge.api.outcome import failure, status_of
from fhir_bridge.assembly.places import Places
from fhir_bridge.clock import Clock
from fhir_bridge.config import Settings
from fhir_bridge.consent import Policy
from fhir_bridge.errors import BridgeError, Unavailable
from fhir_bridge.exchange import Limits, Rooms
from fhir_bridge.exchange.bodies import Bodies
from fhir_bridge.exchange.changes import Changes
from fhir_bridge.exchange.consents import ConsentView
from fhir_bridge.exchange.directory import Directory
from fhir_bridge.exchange.gates import Gates
from fhir_bridge.exchange.pen import Pen
from fhir_bridge.exchange.pending import Follower, Pending
from fhir_bridge.exchange.reading import body_loader, chain_finder, directives_loader, facts_reader
from fhir_bridge.exchange.trail import Trail
from fhir_bridge.keys import KeyStore, NodeKeys, Sealer
from fhir_bridge.ledger import Ledger, Reader
from fhir_bridge.locator import Locator
from fhir_bridge.search import fingerprint

__all__ = ["build_rooms"]

_CACHE_KIB = {"worker": 16_384}
_SMALL_KIB = 4096
"""Page cache of a reader of the locator: searches are the HTTP worker's."""
_REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden"}
_REASONS |= {404: "Not Found", 409: "Conflict", 410: "Gone", 412: "Precondition Failed"}
_REASONS |= {413: "Content Too Large", 500: "Internal Server Error", 503: "Service Unavailable"}


def build_rooms(
    settings: Settings,
    keys: NodeKeys,
    role: str,
    ledger: Ledger,
    follower: Follower,
    clock: Clock,
) -> Rooms:
    """The rooms of the process that writes as ``role``; one event loop each."""
    places = Places.of(settings)
    store = KeyStore(places.key_store, keys, clock)
    reader = Reader(places.ledger)
    sealer = Sealer(keys, role, settings.node.origin, settings.node.member, store, clock)
    sealer.resume(_chain(reader, sealer))
    locator = open_locator(places.locator, keys, settings, _CACHE_KIB.get(role, _SMALL_KIB))
    view: Callable[[], Locator] = lambda: locator  # noqa: E731
    bodies = Bodies(body_loader(reader, sealer))
    consents = ConsentView(directives_loader(view, reader, sealer))
    gates = Gates(
        clock,
        Policy.from_dict(settings.consent.as_dict()),
        consents,
        facts_reader(view),
        Directory(view, bodies.get, settings.node.member).aliases,
        lambda: locator.upto()[0],
    )
    changes = Changes.of(clock)
    trail = Trail(role, sealer, chain_finder(role, view, reader, sealer, store))

    async def recover() -> None:
        """Take sequence, chains and consents anew from what is durable."""
        await follower.reached(reader.head().size)
        gates.forget_all()
        changes.lose()
        sealer.resume(_chain(reader, sealer))
        trail.forget()

    pen = Pen(ledger, recover)
    return Rooms(
        clock=clock,
        member=settings.node.member,
        origin=settings.node.origin,
        base_url=f"{settings.http.base_url}/fhir",
        keys=keys,
        store=store,
        sealer=sealer,
        ledger=ledger,
        reader=reader,
        locator=locator,
        follower=follower,
        consents=consents,
        gates=gates,
        trail=trail,
        pen=pen,
        bodies=bodies,
        changes=changes,
        pending=Pending(follower, pen, lambda: locator.upto()[0]),
        tell=_tell,
        limits=_limits(settings),
    )


def _limits(settings: Settings) -> Limits:
    return Limits(
        default_count=settings.search.default_count,
        max_count=settings.search.max_count,
        max_entries=settings.http.max_entries,
        max_parameters=settings.http.max_parameters,
        proof_wait_s=settings.ledger.checkpoint_interval_s + 5,
    )


def open_locator(
    path: Path, keys: NodeKeys, settings: Settings, cache_kib: int = _SMALL_KIB
) -> Locator:
    """A reader of the locator."""
    return Locator(
        path,
        keys.locator_key(),
        fingerprint(),
        examine=settings.search.max_examined,
        cache_kib=cache_kib,
    )


def _chain(reader: Reader, sealer: Sealer) -> tuple[int, bytes]:
    chain = reader.author_chain(sealer.key_id)
    if chain is None:
        raise Unavailable(
            "the ledger does not know this process's author key; was it made by another node?",
            code="unknown-author",
        )
    return chain


def _tell(error: BridgeError) -> tuple[str, bytes]:
    """Status line and OperationOutcome of a batch entry that failed."""
    status, _ = status_of(error)
    reason = _REASONS.get(status, "Error")
    return f"{status} {reason}", failure(error, Style.FHIR, "").body
