"""Who saw what of a patient, when, why and under which Consent (45 CFR 164.528; 42 CFR 2.25)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fhir_bridge.audit.record import SUCCESS, Record, parse
from fhir_bridge.audit.render import Server, render

__all__ = ["Disclosure", "accounting", "disclosures_bundle", "hipaa_accountable"]

RELEASING = frozenset({"read", "vread", "search", "history", "everything", "proof"})
"""Kinds of event in which data leaves."""


@dataclass(frozen=True, slots=True)
class Disclosure:
    """One release of one patient's data."""

    at_us: int
    client: str
    organization: str
    user: str
    relation: str
    purpose: str
    resources: tuple[str, ...]
    """Version references of what was released."""
    consents: tuple[str, ...]
    interaction: str
    request: str
    """The query as it came, for a copy of the request (164.528(b)(2)(iv))."""


def accounting(records: Iterable[Record | bytes]) -> list[Disclosure]:
    """Every release among ``records``, oldest first. Refusals and writes are not releases.

    A row whose ledger status is void describes something that did not happen: the caller
    leaves it out.
    """
    events = (parse(r) if isinstance(r, bytes) else r for r in records)
    return sorted(
        (_disclosure(e) for e in events if e.kind in RELEASING and e.out == SUCCESS),
        key=lambda d: (d.at_us, d.client, d.request, d.resources),
    )


def _disclosure(event: Record) -> Disclosure:
    return Disclosure(
        event.at,
        event.client,
        event.org,
        event.user,
        event.rel,
        event.purpose,
        tuple(
            f"{e.type}/{e.id}/_history/{e.version_id}" if e.version_id else f"{e.type}/{e.id}"
            for e in event.ents
        ),
        event.consents,
        event.kind,
        event.query,
    )


def hipaa_accountable(
    disclosures: Iterable[Disclosure], is_tpo: Callable[[str], bool]
) -> list[Disclosure]:
    """The part that 164.528 asks for: not to the individual, not for treatment, payment or
    operations (``is_tpo``), not by authorization (a Consent that permitted)."""
    return [
        d for d in disclosures if d.relation != "self" and not is_tpo(d.purpose) and not d.consents
    ]


def disclosures_bundle(
    rows: Iterable[tuple[str, Record | bytes]], *, server: Server, self_url: str = ""
) -> dict[str, Any]:
    """The answer of ``Patient/$disclosures``: a searchset of AuditEvents, newest first.

    ``rows``: (id of the AuditEvent, record) of one patient. Every access is in it, refusals
    and writes too: the patient sees all; the accounting of the law is a part.
    """
    events = [(key, parse(r) if isinstance(r, bytes) else r) for key, r in rows]
    events.sort(key=lambda row: (-row[1].at, row[0]))
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": len(events)}
    if self_url:
        bundle["link"] = [{"relation": "self", "url": self_url}]
    if events:
        bundle["entry"] = [
            {
                "fullUrl": f"{server.base_url}/AuditEvent/{key}",
                "resource": render(event, server=server, event_id=key),
                "search": {"mode": "match"},
            }
            for key, event in events
        ]
    return bundle
