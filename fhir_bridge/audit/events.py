"""The builders, one per kind of event: the arguments each kind must have."""

from __future__ import annotations

from collections.abc import Iterable

from fhir_bridge.audit.record import DENIED, FAILED, Entity, record
from fhir_bridge.terms import Requester

__all__ = [
    "record_failure",
    "record_read",
    "record_refusal",
    "record_search",
    "record_token",
    "record_transaction",
    "record_write",
]


def record_write(
    kind: str,
    entity: Entity,
    *,
    at_us: int,
    requester: Requester,
    network: str,
    request_id: str,
    patient: str | None = None,
    consents: Iterable[str] = (),
    relation: str = "",
) -> bytes:
    """create, update or delete of one resource version (ITI BALP PatientCreate …)."""
    return record(
        kind,
        at_us=at_us,
        requester=requester,
        network=network,
        request_id=request_id,
        entities=(entity,),
        patient=patient,
        consents=consents,
        relation=relation,
    )


def record_transaction(
    entities: Iterable[Entity],
    *,
    at_us: int,
    requester: Requester,
    network: str,
    request_id: str,
    patient: str | None = None,
    kind: str = "transaction",
) -> bytes:
    """The entries of a transaction or batch that concern one patient."""
    return record(
        kind,
        at_us=at_us,
        requester=requester,
        network=network,
        request_id=request_id,
        entities=entities,
        patient=patient,
    )


def record_read(
    kind: str,
    entity: Entity,
    *,
    at_us: int,
    requester: Requester,
    network: str,
    request_id: str,
    patient: str | None,
    relation: str,
    consents: Iterable[str] = (),
    reasons: Iterable[str] = (),
) -> bytes:
    """read, vread or proof: one resource version released (ITI BALP PatientRead)."""
    return record(
        kind,
        at_us=at_us,
        requester=requester,
        network=network,
        request_id=request_id,
        entities=(entity,),
        patient=patient,
        relation=relation,
        consents=consents,
        reasons=reasons,
    )


def record_search(
    kind: str,
    query: str,
    entities: Iterable[Entity],
    *,
    at_us: int,
    requester: Requester,
    network: str,
    request_id: str,
    patient: str | None,
    relation: str,
    consents: Iterable[str] = (),
    reasons: Iterable[str] = (),
) -> bytes:
    """search, history or everything: what of one patient one answer released (PatientQuery)."""
    return record(
        kind,
        at_us=at_us,
        requester=requester,
        network=network,
        request_id=request_id,
        entities=entities,
        patient=patient,
        relation=relation,
        consents=consents,
        reasons=reasons,
        query=query,
    )


def record_refusal(
    kind: str,
    *,
    at_us: int,
    requester: Requester,
    network: str,
    request_id: str,
    reasons: Iterable[str],
    basis: str,
    entities: Iterable[Entity] = (),
    patient: str | None = None,
    consents: Iterable[str] = (),
    relation: str = "",
    query: str = "",
) -> bytes:
    """A request of any kind that was denied, with the coded legal basis (45 CFR 171)."""
    return record(
        kind,
        at_us=at_us,
        requester=requester,
        network=network,
        request_id=request_id,
        outcome=DENIED,
        entities=entities,
        patient=patient,
        relation=relation,
        consents=consents,
        reasons=reasons,
        basis=basis,
        query=query,
    )


def record_failure(
    kind: str,
    *,
    at_us: int,
    requester: Requester,
    network: str,
    request_id: str,
    code: str,
    query: str = "",
) -> bytes:
    """A request that failed for another reason than a decision; ``code``: the error's code."""
    return record(
        kind,
        at_us=at_us,
        requester=requester,
        network=network,
        request_id=request_id,
        outcome=FAILED,
        reasons=(code,),
        query=query,
    )


def record_token(
    *,
    at_us: int,
    requester: Requester,
    network: str,
    request_id: str,
    query: str,
    granted: bool = True,
    reasons: Iterable[str] = (),
) -> bytes:
    """A token request; ``query`` is the form without the assertion (IHE IUA ITI-71)."""
    return record(
        "token",
        at_us=at_us,
        requester=requester,
        network=network,
        request_id=request_id,
        outcome=0 if granted else DENIED,
        reasons=reasons,
        query=query,
    )
