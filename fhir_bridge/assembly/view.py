"""A node looked at: nothing is written, and it does not matter whether a server runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fhir_bridge.assembly.build import open_locator
from fhir_bridge.assembly.node import open_keys
from fhir_bridge.assembly.places import Places
from fhir_bridge.clock import Clock
from fhir_bridge.config import Settings
from fhir_bridge.consent import Policy
from fhir_bridge.exchange.bodies import Bodies
from fhir_bridge.exchange.consents import ConsentView
from fhir_bridge.exchange.directory import Directory
from fhir_bridge.exchange.gates import Gates
from fhir_bridge.exchange.reading import body_loader, directives_loader, facts_reader
from fhir_bridge.keys import KeyStore, Opener
from fhir_bridge.ledger import Reader
from fhir_bridge.locator import Locator

__all__ = ["View", "open_view"]


@dataclass(frozen=True, slots=True)
class View:
    """What there is, and who may see it."""

    reader: Reader
    locator: Locator
    gates: Gates

    @property
    def behind(self) -> int:
        """Entries that the search view does not cover yet."""
        return self.reader.head().size - self.locator.upto()[0]


@contextmanager
def open_view(settings: Settings, clock: Clock | None = None) -> Iterator[View]:
    """The node as its files are; for the operator, who sees decisions and not records."""
    clock = clock or Clock()
    places = Places.of(settings)
    keys = open_keys(settings)
    store = KeyStore(places.key_store, keys, clock)
    reader = Reader(places.ledger)
    locator = open_locator(places.locator, keys, settings)
    opener = Opener(keys, store)
    directory = Directory(
        lambda: locator, Bodies(body_loader(reader, opener)).get, settings.node.member
    )
    gates = Gates(
        clock,
        Policy.from_dict(settings.consent.as_dict()),
        ConsentView(directives_loader(lambda: locator, reader, opener)),
        facts_reader(lambda: locator),
        directory.aliases,
        lambda: locator.upto()[0],
    )
    try:
        yield View(reader, locator, gates)
    finally:
        locator.close()
        reader.close()
        store.close()
