"""One audit record: compact JSON, version 1, written before the answer leaves.

A record is what the ledger seals; AuditEvent is what people read and is rendered from it, so
that its form can follow the profiles while the sealed bytes stay what they were.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from fhir_bridge.errors import Corrupt
from fhir_bridge.terms import Requester

__all__ = ["DENIED", "FAILED", "SUCCESS", "VERSION", "Entity", "Record", "parse", "record"]

VERSION = 1
SUCCESS, DENIED, FAILED = 0, 4, 8
"""R4 audit-event-outcome: 0 success, 4 minor failure, 8 serious failure."""


class Entity(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One resource version that the event concerns: an array in the JSON."""

    type: str
    id: str
    version_id: str = ""
    index: int = -1
    """Position on the ledger; -1: none (refused, or a version never stored)."""
    labels: tuple[str, ...] = ()
    action: str = ""
    """In a transaction: create, update or delete."""


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """The fields, in the order in which they are written; empty ones are left out."""

    v: int
    kind: str
    """A key of render.SHAPES."""
    at: int
    """Microseconds since 1970, UTC."""
    client: str
    org: str = ""
    user: str = ""
    roles: tuple[str, ...] = ()
    purpose: str = ""
    jti: str = ""
    rel: str = ""
    """self, own or other."""
    net: str = ""
    """Network address of the client."""
    out: int = SUCCESS
    req: str = ""
    """X-Request-Id."""
    patient: str = ""
    ents: tuple[Entity, ...] = ()
    consents: tuple[str, ...] = ()
    """Version references of the Consents that decided."""
    reasons: tuple[str, ...] = ()
    """Reason codes of the decision."""
    basis: str = ""
    """Legal basis of a refusal, coded."""
    query: str = ""
    """The raw request; encoded as base64 only when rendered."""
    desc: str = ""
    chain: str = ""
    """Which of the node's writers keeps the chain that this record extends."""


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


def record(
    kind: str,
    *,
    at_us: int,
    requester: Requester,
    network: str,
    request_id: str,
    outcome: int = SUCCESS,
    entities: Iterable[Entity] = (),
    patient: str | None = None,
    relation: str = "",
    consents: Iterable[str] = (),
    reasons: Iterable[str] = (),
    basis: str = "",
    query: str = "",
    description: str = "",
    chain: str = "",
) -> bytes:
    """The bytes of one record. Durable only once the ledger has appended them.

    One record names at most one patient: an answer about several leaves one record for each.
    A query is recorded as it came; nothing of it goes to any log.
    """
    return _encode(
        Record(
            VERSION,
            kind,
            at_us,
            requester.client_id,
            requester.organization,
            requester.user or "",
            requester.roles,
            requester.purpose,
            requester.token_id,
            relation,
            network,
            outcome,
            request_id,
            patient or "",
            tuple(entities),
            tuple(consents),
            tuple(reasons),
            basis,
            query,
            description,
            chain,
        )
    )


def parse(data: bytes) -> Record:
    """The record in ``data``; raises Corrupt when it is none, or of a version not known."""
    try:
        found = _decode(data)
    except msgspec.DecodeError:
        raise Corrupt("not an audit record", code="audit-record") from None
    if found.v != VERSION:
        raise Corrupt("an audit record of an unknown version", code="audit-version")
    return found
