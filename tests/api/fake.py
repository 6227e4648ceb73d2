"""A whole exchange in memory: enough to hold the door to its word, and able to fail on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from fhir_bridge.api.contract import Pairs
from fhir_bridge.errors import BridgeError, Gone, NotFound, Precondition, Unauthenticated
from fhir_bridge.exchange.contract import Answer, Receipt, Released, RequestInfo
from fhir_bridge.terms import Requester, Scope

UPDATED_US = 1_700_000_000_123_456


def requester(*scopes: str, client_id: str = "clinic", roles: tuple[str, ...] = ()) -> Requester:
    """A requester with scopes written as ``system/Patient.rs``."""
    parsed = []
    for text in scopes:
        context, _, rest = text.partition("/")
        type_, _, letters = rest.partition(".")
        parsed.append(Scope(context, type_, frozenset(letters)))
    return Requester(client_id, "Organization/1", "TREAT", roles, scopes=tuple(parsed))


class FakeExchange:
    """Resources by address; tokens by name; every call is remembered."""

    def __init__(self) -> None:
        self.tokens: dict[str, Requester] = {
            "all": requester("system/*.cruds", roles=("auditor",)),
            "narrow": requester("system/Basic.cruds"),
            "none": requester(),
        }
        self.store: dict[tuple[str, str], bytes] = {}
        self.hidden: set[tuple[str, str]] = set()
        self.deleted: set[tuple[str, str]] = set()
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.fail: BaseException | None = None
        self.delay_s = 0.0
        self.is_ready = True
        self.payload = b"\x01" * 32

    async def _enter(self, name: str, *args: Any) -> None:
        self.calls.append((name, args))
        if self.delay_s:
            await asyncio.sleep(self.delay_s)
        if self.fail is not None:
            raise self.fail

    def check_token(self, authorization: Sequence[str]) -> Requester:
        scheme, _, token = authorization[0].partition(" ")
        if scheme != "Bearer" or token not in self.tokens:
            raise Unauthenticated("the token is not valid", code="invalid-token")
        return self.tokens[token]

    def put(self, type_: str, id_: str, raw: bytes | None = None) -> bytes:
        raw = raw or orjson.dumps({"resourceType": type_, "id": id_})
        self.store[type_, id_] = raw
        return raw

    def _get(self, type_: str, id_: str) -> bytes:
        if (type_, id_) in self.deleted:
            raise Gone("deleted", code="gone")
        if (type_, id_) not in self.store:
            raise NotFound("absent", code="absent")
        if (type_, id_) in self.hidden:
            raise NotFound("hidden by consent", code="hidden")
        return self.store[type_, id_]

    async def create(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        raw: bytes,
        if_none_exist: str | None = None,
    ) -> Receipt:
        await self._enter("create", requester, request, type_, raw, if_none_exist)
        return Receipt(type_, "new", "v1", UPDATED_US, 7, self.put(type_, "new", raw), True)

    async def update(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        id_: str,
        raw: bytes,
        if_match: str | None = None,
    ) -> Receipt:
        await self._enter("update", requester, request, type_, id_, raw, if_match)
        self._get(type_, id_)
        if if_match not in (None, "v1"):
            raise Precondition("the version moved on", code="if-match")
        return Receipt(type_, id_, "v2", UPDATED_US, 8, self.put(type_, id_, raw), False)

    async def delete(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        id_: str,
        if_match: str | None = None,
    ) -> Receipt:
        await self._enter("delete", requester, request, type_, id_, if_match)
        self._get(type_, id_)
        self.deleted.add((type_, id_))
        return Receipt(type_, id_, "v3", UPDATED_US, 9, b"", False)

    async def read(
        self, requester: Requester, request: RequestInfo, type_: str, id_: str
    ) -> Released:
        await self._enter("read", requester, request, type_, id_)
        return Released(type_, id_, "v1", UPDATED_US, 5, self._get(type_, id_))

    async def vread(
        self, requester: Requester, request: RequestInfo, type_: str, id_: str, version_id: str
    ) -> Released:
        await self._enter("vread", requester, request, type_, id_, version_id)
        return Released(type_, id_, version_id, UPDATED_US, 5, self._get(type_, id_))

    def _bundle(self, kind: str = "searchset") -> Answer:
        return Answer(orjson.dumps({"resourceType": "Bundle", "type": kind}), 6)

    async def history(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        id_: str,
        count: int,
        base_url: str,
    ) -> Answer:
        await self._enter("history", requester, request, type_, id_, count, base_url)
        self._get(type_, id_)
        return self._bundle("history")

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
        await self._enter("search", requester, request, type_, list(pairs), base_url, lenient)
        return self._bundle()

    async def next_page(
        self, requester: Requester, request: RequestInfo, cursor: str, base_url: str
    ) -> Answer:
        await self._enter("next_page", requester, request, cursor, base_url)
        return self._bundle()

    async def everything(
        self,
        requester: Requester,
        request: RequestInfo,
        patient_id: str,
        pairs: Pairs,
        base_url: str,
    ) -> Answer:
        await self._enter("everything", requester, request, patient_id, pairs, base_url)
        self._get("Patient", patient_id)
        return self._bundle()

    async def disclosures(
        self, requester: Requester, request: RequestInfo, patient_id: str, base_url: str
    ) -> Answer:
        await self._enter("disclosures", requester, request, patient_id, base_url)
        self._get("Patient", patient_id)
        return self._bundle()

    async def transaction(
        self, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
    ) -> Answer:
        await self._enter("transaction", requester, request, raw, base_url)
        return self._bundle("transaction-response")

    async def batch(
        self, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
    ) -> Answer:
        await self._enter("batch", requester, request, raw, base_url)
        return self._bundle("batch-response")

    async def proof(
        self,
        requester: Requester,
        request: RequestInfo,
        type_: str,
        id_: str,
        version_id: str | None,
    ) -> str:
        await self._enter("proof", requester, request, type_, id_, version_id)
        self._get(type_, id_)
        return "c2sp.org/tlog-proof@v1\n"

    async def entry_proof(self, requester: Requester, request: RequestInfo, entry: str) -> str:
        await self._enter("entry_proof", requester, request, entry)
        return "c2sp.org/tlog-proof@v1\n"

    async def entry_tile(self, requester: Requester, request: RequestInfo, path: str) -> bytes:
        await self._enter("entry_tile", requester, request, path)
        return self.payload

    async def tile(self, path: str) -> bytes:
        await self._enter("tile", path)
        return self.payload

    async def checkpoint(self) -> str:
        await self._enter("checkpoint")
        return "origin\n1\nhash=\n"

    async def token(self, request: RequestInfo, pairs: Pairs) -> Mapping[str, Any]:
        await self._enter("token", request, list(pairs))
        return {"access_token": "t", "token_type": "bearer", "expires_in": 300}

    async def introspect(self, request: RequestInfo, pairs: Pairs) -> Mapping[str, Any]:
        await self._enter("introspect", request, list(pairs))
        return {"active": False}

    async def revoke(self, request: RequestInfo, pairs: Pairs) -> None:
        await self._enter("revoke", request, list(pairs))

    def jwks(self) -> Mapping[str, Any]:
        return {"keys": []}

    def smart_configuration(self, public_url: str) -> Mapping[str, Any]:
        return {"token_endpoint": f"{public_url}/auth/token"}

    def ready(self) -> Mapping[str, Any]:
        return {"ready": self.is_ready, "reasons": []}

    def metrics(self) -> str:
        return "up 1\n"


class FakeOAuthError(BridgeError):
    """The shape of the token endpoint's own errors."""

    category = "incorrect"

    def __init__(self, error: str, description: str, status: int) -> None:
        super().__init__(description, code=error)
        self.error = error
        self.description = description
        self.status = status
