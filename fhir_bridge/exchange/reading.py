"""Small readers that other parts are given: an entry's bytes, a group's facts, a patient's
directives, the end of an audit chain. All read what is durable and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from fhir_bridge.audit import parse as parse_record
from fhir_bridge.consent import Decider, Directive, Facts, has_authority, normalise
from fhir_bridge.errors import NotFound
from fhir_bridge.exchange.consents import Held
from fhir_bridge.exchange.drafts import consent_facts
from fhir_bridge.exchange.trail import Chain, audit_pairs
from fhir_bridge.fbe1 import Header
from fhir_bridge.fhir import parse
from fhir_bridge.keys import KeyStore, Opener
from fhir_bridge.ledger import Reader
from fhir_bridge.locator import Locator

__all__ = ["body_loader", "chain_finder", "directives_loader", "facts_reader", "opened"]

_LOOK_BACK = 256
_KEPT_FACTS = 16_384


def opened(reader: Reader, opener: Opener, index: int) -> tuple[Header, bytes]:
    """Header and stored bytes of one entry; NotFound when it was erased."""
    row = reader.row(index)
    if row.body is None:
        raise NotFound("this entry was erased", code="shredded")
    return opener.open(row.leaf, row.body, row.box, row.hint)


def body_loader(reader: Reader, opener: Opener) -> Callable[[int], bytes]:
    """Stored bytes by position."""
    return lambda index: opened(reader, opener, index)[1]


def facts_reader(locator: Callable[[], Locator]) -> Callable[[int], Facts]:
    """Consent facts by group, remembered while memory allows."""
    known: dict[tuple[str, int], Facts] = {}

    def facts(group: int) -> Facts:
        view = locator()
        key = (view.generation, group)
        found = known.get(key)
        if found is None:
            if len(known) >= _KEPT_FACTS:
                known.clear()
            found = known[key] = consent_facts(view.facts(group))
        return found

    return facts


def directives_loader(
    locator: Callable[[], Locator], reader: Reader, opener: Opener
) -> Callable[[str], Held]:
    """A patient's directives from the Consents that the locator covers.

    A Consent counts only from a writer with authority: the patient, or a custodian (an author
    of the Patient entry). Anybody else's neither permits nor denies.
    """

    def load(patient: str) -> Held:
        view = locator()
        seen, _ = view.upto()
        custodians = {view.facts(h.group).author for h in view.history("Patient", patient)}
        found: list[Directive] = []
        written = view.consents_of(patient)
        for index in written:
            header, stored = opened(reader, opener, index)
            if not has_authority(header.organisation, patient, custodians):
                continue
            normalised = normalise(parse(stored))
            if normalised.patient == patient and normalised.directive is not None:
                found.append(normalised.directive)
        return Held(Decider(found), seen, silent=not written)

    return load


def chain_finder(
    name: str, locator: Callable[[], Locator], reader: Reader, opener: Opener, store: KeyStore
) -> Callable[[str], Chain | None]:
    """Where this writer's chain of a patient stands, from the rows themselves."""

    def find(patient: str) -> Chain | None:
        handle = store.key_set(audit_pairs(patient)).handle
        before: int | None = None
        while numbers := locator().audit_of(handle, before, _LOOK_BACK):
            for number in numbers:
                row = reader.audit_row(number)
                seq, _, raw = opener.open_audit(row.sealed, row.hint)
                if parse_record(raw).chain == name:
                    return Chain(seq + 1, hashlib.sha256(row.sealed).digest())
            before = numbers[-1]
        return None

    return find
