"""The use cases of one process, bound to its rooms: what a door is handed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from fhir_bridge.exchange import account, disclose, find, ingest, prove, watch
from fhir_bridge.exchange.bundle import carry_out
from fhir_bridge.exchange.contract import Answer, Receipt, Released, RequestInfo
from fhir_bridge.exchange.operated import Operated
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.smart import TokenCheck, TokenEndpoint, TokenKeys, smart_configuration
from fhir_bridge.terms import OPERATOR_ROLE, Requester

__all__ = ["BoundExchange", "BundlePlace", "Identity"]

Pairs = Sequence[tuple[str, str]]
_BIG_BUNDLE_BYTES = 100_000


class BundlePlace(Protocol):
    """Where big Bundles are worked on: a process of its own."""

    async def run(
        self, kind: str, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
    ) -> Answer: ...


class Identity:
    """Who asks, and tokens: the smart room of this process."""

    def __init__(
        self, check: TokenCheck, endpoint: TokenEndpoint, keys: TokenKeys, token_url: str
    ) -> None:
        self.check = check
        self.endpoint = endpoint
        self.keys = keys
        self.token_url = token_url


class BoundExchange:
    """The story with its rooms in hand; every method is one file of this package."""

    def __init__(
        self,
        rooms: Rooms,
        identity: Identity,
        bundles: BundlePlace | None = None,
        operator: Callable[[Sequence[str]], Requester] | None = None,
    ) -> None:
        self._rooms = rooms
        self._identity = identity
        self._bundles = bundles
        self._operated = Operated(rooms)
        self._operator = operator
        """Set only behind the owner's socket: whoever can open it is the operator."""

    def check_token(self, authorization: Sequence[str]) -> Requester:
        """The requester, from the token alone."""
        if self._operator is not None:
            return self._operator(authorization)
        return self._identity.check.check(authorization)

    async def create(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        raw: bytes,
        if_none_exist: str | None = None,
    ) -> Receipt:
        return await ingest.create(self._rooms, requester, request, type_, raw, if_none_exist)

    async def update(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        id_: str,
        raw: bytes,
        if_match: str | None = None,
    ) -> Receipt:
        return await ingest.update(self._rooms, requester, request, type_, id_, raw, if_match)

    async def delete(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        id_: str,
        if_match: str | None = None,
    ) -> Receipt:
        return await ingest.delete(self._rooms, requester, request, type_, id_, if_match)

    async def read(
        self, requester: Requester, request: RequestInfo, type_: str, id_: str
    ) -> Released:
        return await disclose.read(self._rooms, requester, request, type_, id_)

    async def vread(
        self, requester: Requester, request: RequestInfo, type_: str, id_: str, version_id: str
    ) -> Released:
        return await disclose.vread(self._rooms, requester, request, type_, id_, version_id)

    async def history(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        id_: str,
        count: int,
        base_url: str,
    ) -> Answer:
        return await disclose.history(self._rooms, requester, request, type_, id_, count, base_url)

    async def search(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        pairs: Pairs,
        base_url: str,
        *,
        lenient: bool = False,
    ) -> Answer:
        return await find.search(
            self._rooms, requester, request, type_, pairs, base_url, lenient=lenient
        )

    async def next_page(
        self, requester: Requester, request: RequestInfo, cursor: str, base_url: str
    ) -> Answer:
        return await find.next_page(self._rooms, requester, request, cursor, base_url)

    async def everything(
        self,
        requester: Requester,
        request: RequestInfo,
        patient_id: str,
        pairs: Pairs,
        base_url: str,
    ) -> Answer:
        return await find.everything(self._rooms, requester, request, patient_id, pairs, base_url)

    async def disclosures(
        self, requester: Requester, request: RequestInfo, patient_id: str, base_url: str
    ) -> Answer:
        return await account.disclosures(self._rooms, requester, request, patient_id, base_url)

    async def transaction(
        self, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
    ) -> Answer:
        return await self._bundle("transaction", requester, request, raw, base_url)

    async def batch(
        self, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
    ) -> Answer:
        return await self._bundle("batch", requester, request, raw, base_url)

    async def _bundle(
        self, kind: str, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
    ) -> Answer:
        """Small Bundles here, big ones where they hold up nobody."""
        if self._bundles is not None and len(raw) > _BIG_BUNDLE_BYTES:
            return await self._bundles.run(kind, requester, request, raw, base_url)
        if OPERATOR_ROLE in requester.roles:
            return await self._operated.run(kind, requester, request, raw, base_url)
        return await carry_out(self._rooms, kind, requester, request, raw, base_url)

    async def proof(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        id_: str,
        version_id: str | None,
    ) -> str:
        return await prove.proof(self._rooms, requester, request, type_, id_, version_id)

    async def entry_proof(self, requester: Requester, request: RequestInfo, entry: str) -> str:
        return watch.entry_proof(self._rooms, entry)

    async def entry_tile(self, requester: Requester, request: RequestInfo, path: str) -> bytes:
        return watch.entry_tile(self._rooms, path)

    async def tile(self, path: str) -> bytes:
        return watch.hash_tile(self._rooms, path)

    async def checkpoint(self) -> str:
        return watch.checkpoint(self._rooms)

    async def token(self, request: RequestInfo, pairs: Pairs) -> Mapping[str, Any]:
        return await self._identity.endpoint.grant(pairs)

    async def introspect(self, request: RequestInfo, pairs: Pairs) -> Mapping[str, Any]:
        return await self._identity.endpoint.introspect(pairs)

    async def revoke(self, request: RequestInfo, pairs: Pairs) -> None:
        await self._identity.endpoint.revoke(pairs)

    def jwks(self) -> Mapping[str, Any]:
        return self._identity.keys.jwks()

    def smart_configuration(self, public_url: str) -> Mapping[str, Any]:
        return smart_configuration(public_url)

    def ready(self) -> Mapping[str, Any]:
        return watch.ready(self._rooms)

    def metrics(self) -> str:
        return watch.metrics(self._rooms)
