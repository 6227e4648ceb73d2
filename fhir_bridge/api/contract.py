"""What the door needs from the story behind it, and what its own parts hand each other.

Nothing here knows aiohttp: a handler takes a `Call` and gives a `Reply`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from fhir_bridge.api.fields import Fields
from fhir_bridge.exchange.contract import Answer, Receipt, Released, RequestInfo
from fhir_bridge.terms import Interaction, Requester

__all__ = [
    "Access",
    "AccessKind",
    "ApiLimits",
    "ApiSettings",
    "Body",
    "Call",
    "Exchange",
    "Handler",
    "Pairs",
    "Prefer",
    "Reply",
    "Route",
    "SearchParam",
    "Style",
    "Surface",
]

Pairs = Sequence[tuple[str, str]]
"""Decoded query or form parameters, in the order of the request."""


class Exchange(Protocol):
    """The use cases, bound to their rooms. Every failure is a `BridgeError`.

    A method that returns has already made its record durable: writes are committed, and the
    disclosure stands on the ledger before the bytes are handed over.
    """

    def check_token(self, authorization: Sequence[str]) -> Requester: ...

    async def create(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        raw: bytes,
        if_none_exist: str | None = None,
    ) -> Receipt: ...

    async def update(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        id_: str,
        raw: bytes,
        if_match: str | None = None,
    ) -> Receipt: ...

    async def delete(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        id_: str,
        if_match: str | None = None,
    ) -> Receipt: ...

    async def read(
        self, requester: Requester, request: RequestInfo, type_: str, id_: str
    ) -> Released: ...

    async def vread(
        self, requester: Requester, request: RequestInfo, type_: str, id_: str, version_id: str
    ) -> Released: ...

    async def history(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        id_: str,
        count: int,
        base_url: str,
    ) -> Answer: ...

    async def search(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        pairs: Pairs,
        base_url: str,
        *,
        lenient: bool = False,
    ) -> Answer: ...

    async def next_page(
        self, requester: Requester, request: RequestInfo, cursor: str, base_url: str
    ) -> Answer: ...

    async def everything(
        self,
        requester: Requester,
        request: RequestInfo,
        patient_id: str,
        pairs: Pairs,
        base_url: str,
    ) -> Answer: ...

    async def disclosures(
        self, requester: Requester, request: RequestInfo, patient_id: str, base_url: str
    ) -> Answer: ...

    async def transaction(
        self, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
    ) -> Answer: ...

    async def batch(
        self, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
    ) -> Answer: ...

    async def proof(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        id_: str,
        version_id: str | None,
    ) -> str: ...

    async def entry_proof(self, requester: Requester, request: RequestInfo, entry: str) -> str: ...

    async def entry_tile(self, requester: Requester, request: RequestInfo, path: str) -> bytes: ...

    async def tile(self, path: str) -> bytes: ...

    async def checkpoint(self) -> str: ...

    async def token(self, request: RequestInfo, pairs: Pairs) -> Mapping[str, Any]: ...

    async def introspect(self, request: RequestInfo, pairs: Pairs) -> Mapping[str, Any]: ...

    async def revoke(self, request: RequestInfo, pairs: Pairs) -> None: ...

    def jwks(self) -> Mapping[str, Any]: ...

    def smart_configuration(self, public_url: str) -> Mapping[str, Any]: ...

    def ready(self) -> Mapping[str, Any]:
        """``{"ready": bool, "reasons": [{"what": …, "do": …}]}``; no patient value."""
        ...

    def metrics(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """Every limit of the door; reaching one is a clear answer, never a 500."""

    max_resource_bytes: int = 2 << 20
    max_bundle_bytes: int = 50 << 20
    max_form_bytes: int = 64 << 10
    max_parameters: int = 128
    max_history: int = 1000
    """Versions per history answer, and how many come without ``_count``."""
    max_line_bytes: int = 64 << 10
    """Request line; longer is 414. A ``next`` link carries the whole search, which may be as
    long as a form. Must differ from ``max_field_bytes``: see ``protocol``."""
    max_field_bytes: int = 16380
    """One header field; longer is 431."""
    max_headers: int = 100
    max_connections: int = 4096
    max_in_flight: int = 512
    max_requests_per_second: int = 0
    """Per client; 0 is no limit of our own."""
    body_deadline_s: float = 30.0
    handler_deadline_s: float = 60.0
    write_deadline_s: float = 60.0
    idle_deadline_s: float = 75.0
    """Also the deadline for a request's headers."""
    linger_s: float = 2.0
    shutdown_deadline_s: float = 20.0

    def __post_init__(self) -> None:
        if self.max_line_bytes == self.max_field_bytes:
            raise ValueError("max_line_bytes and max_field_bytes must differ")


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """How the outside sees this door."""

    public_url: str
    """Scheme and authority (and path prefix) that clients use, without a final slash."""
    behind_proxy: bool = False
    """TLS ends at a proxy: plain HTTP is accepted off loopback, X-Forwarded-For is believed."""
    metrics_token: str = ""
    """Bearer token for ``/metrics`` off loopback; empty: loopback only."""
    software_version: str = ""
    limits: ApiLimits = field(default_factory=ApiLimits)

    @property
    def base_url(self) -> str:
        """The FHIR base."""
        return f"{self.public_url}/fhir"


@dataclass(frozen=True, slots=True)
class SearchParam:
    """One row of ``CapabilityStatement.rest.resource.searchParam``."""

    name: str
    type: str
    definition: str = ""


@dataclass(frozen=True, slots=True)
class Surface:
    """What is served, as data: resource types and what each can be searched by."""

    types: tuple[str, ...]
    search: Mapping[str, Sequence[SearchParam]] = field(default_factory=dict)
    includes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    rev_includes: Mapping[str, Sequence[str]] = field(default_factory=dict)


class AccessKind(StrEnum):
    """Who may pass."""

    PUBLIC = "public"
    SCOPE = "scope"
    """A token whose scopes carry every letter for the type."""
    PER_ENTRY = "per-entry"
    """A token with any scope; exchange judges each entry or the sealed query."""
    AUDITOR = "auditor"
    """``system/*.rs`` and the role ``auditor``."""
    LOCAL = "local"
    """A loopback client, or the metrics token."""


@dataclass(frozen=True, slots=True)
class Access:
    """The scope column of the route table."""

    kind: AccessKind
    needs: tuple[tuple[str, str], ...] = ()
    """(type, letters) pairs, all of them; an empty type is the type in the path."""


class Style(StrEnum):
    """The dialect of a route: what Accept is weighed against and how a failure is told."""

    FHIR = "fhir"
    OAUTH = "oauth"
    PLAIN = "plain"


class Body(StrEnum):
    """What a request may carry."""

    NONE = "none"
    RESOURCE = "resource"
    BUNDLE = "bundle"
    FORM = "form"


@dataclass(frozen=True, slots=True)
class Prefer:
    """The preferences that we honour (R4 http.html#ops, #handling)."""

    returns: str = ""
    lenient: bool = False


@dataclass(slots=True)
class Call:
    """One request on its way to a handler."""

    exchange: Exchange
    settings: ApiSettings
    route: Route
    params: Mapping[str, str]
    info: RequestInfo
    pairs: list[tuple[str, str]]
    headers: Fields
    body: bytes = b""
    prefer: Prefer = Prefer()
    requester: Requester | None = None

    @property
    def who(self) -> Requester:
        """The requester; a route that is not public always has one."""
        assert self.requester is not None
        return self.requester


@dataclass(slots=True)
class Reply:
    """What a handler gives back; the door adds what every answer carries."""

    status: int = 200
    body: bytes = b""
    media_type: str = "application/fhir+json; charset=utf-8"
    headers: dict[str, str] = field(default_factory=dict)
    close: bool = False
    """End the connection after this answer: the rest of the request is not wanted."""


Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of THE table."""

    method: str
    template: str
    interaction: Interaction | None
    access: Access
    handler: Handler
    style: Style = Style.FHIR
    body: Body = Body.NONE
    operation: str = ""
    """Name without ``$`` where the row is a FHIR operation."""
