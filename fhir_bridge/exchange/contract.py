"""What goes between a door and the story: requests in, receipts and answers out."""

from __future__ import annotations

from msgspec import Struct

__all__ = ["Answer", "Receipt", "Released", "RequestInfo"]


class RequestInfo(Struct, frozen=True, gc=False):
    """What the door knows of a request and the audit trail must keep."""

    id: str
    """Our request id (``X-Request-Id``)."""
    route: str
    """The route template; the only form of the address that logs may show."""
    address: str = ""
    """Network address of the client, for AuditEvent.agent.network."""
    query: str = ""
    """The raw request target; goes into the sealed AuditEvent and nowhere else."""


class Receipt(Struct, frozen=True, gc=False):
    """A write that is durable on the ledger."""

    type: str
    id: str
    version_id: str
    last_updated_us: int
    index: int
    """Position of the entry on the ledger."""
    raw: bytes
    """The bytes as stored (and as they will be served)."""
    created: bool
    """True for a new resource (201), False for a new version or an existing match (200)."""


class Released(Struct, frozen=True, gc=False):
    """One resource version whose disclosure record is durable: its bytes may leave."""

    type: str
    id: str
    version_id: str
    last_updated_us: int
    index: int
    raw: bytes


class Answer(Struct, frozen=True, gc=False):
    """A Bundle whose disclosure records are durable: its bytes may leave."""

    raw: bytes
    index: int
    """Ledger size when the disclosure became durable."""
