"""The token endpoint, introspection and revocation, without a web framework.

RFC 6749 §4.4 (client_credentials), RFC 7521/7523 (private_key_jwt), RFC 7662, RFC 7009.
Callers pass the form as pairs, so that a repeated parameter is seen and refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_bridge.clock import Clock
from fhir_bridge.errors import Incorrect, NotFound, Unauthenticated
from fhir_bridge.smart.acting import acting
from fhir_bridge.smart.check import TokenCheck
from fhir_bridge.smart.client import Client
from fhir_bridge.smart.client_assertion import Assertion, Rules, unverified_client_id, verify
from fhir_bridge.smart.database import Database, name_key
from fhir_bridge.smart.oauth import Form, OAuthError, form_of
from fhir_bridge.smart.registry import Registry
from fhir_bridge.smart.replay import Replay
from fhir_bridge.smart.scopes import intersect, parse_scopes, scope_text
from fhir_bridge.smart.signer import ASSERTION_TYPE
from fhir_bridge.smart.tokens import MAX_LIFETIME_S, Addresses, TokenKeys, claims_of
from fhir_bridge.terms import Requester, Scope

__all__ = ["Issued", "TokenEndpoint"]

_GRANT = "client_credentials"
_OTHER_METHODS = ("client_secret",)


@dataclass(frozen=True, slots=True)
class Issued:
    """An issued token: the JSON to answer with, and whom it speaks for (for the audit)."""

    response: dict[str, Any]
    requester: Requester


class TokenEndpoint:
    """Issues, describes and revokes access tokens. All refusals are ``OAuthError``."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        keys: TokenKeys,
        check: TokenCheck,
        addresses: Addresses,
        clock: Clock,
        *,
        lifetime_s: int = MAX_LIFETIME_S,
        leeway_s: int = 30,
        types: Iterable[str] = (),
    ) -> None:
        if not 1 <= lifetime_s <= MAX_LIFETIME_S:
            raise Incorrect(f"token lifetime must be 1 to {MAX_LIFETIME_S} s", code="settings")
        self._database = database
        self._registry = registry
        self._replay = Replay(database, clock)
        self._keys = keys
        self._check = check
        self._addresses = addresses
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._leeway_s = leeway_s
        self._types = frozenset(types)

    async def grant(
        self, pairs: Sequence[tuple[str, str]], token_url: str | None = None
    ) -> dict[str, Any]:
        """The token response (RFC 6749 §5.1); see ``issue``."""
        return (await self.issue(pairs, token_url)).response

    async def issue(self, pairs: Sequence[tuple[str, str]], token_url: str | None = None) -> Issued:
        """An access token for an authenticated client; its assertion is used up even when the
        rest of the request is refused. ``token_url`` is ours unless said otherwise."""
        form = form_of(pairs)
        grant_type = form.get("grant_type")
        if grant_type is None:
            raise OAuthError("invalid_request", "grant_type is required")
        if grant_type != _GRANT:
            raise OAuthError("unsupported_grant_type", f"the only grant_type here is {_GRANT}")
        client, assertion = await self._authenticate(form, token_url)
        doing = acting(client, assertion.extensions, self._addresses.audience)
        scopes = self._scopes(client, form)
        requester = Requester(
            client_id=client.client_id,
            organization=client.organization,
            purpose=doing.purpose,
            roles=doing.roles,
            user=doing.user,
            patient=client.patient,
            scopes=scopes,
            token_id=self._clock.new_id(),
        )
        claims = claims_of(
            requester, client.generation, self._addresses, self._now_s(), self._lifetime_s
        )
        response = {
            "access_token": self._keys.sign(claims),
            "token_type": "bearer",
            "expires_in": self._lifetime_s,
            "scope": scope_text(scopes),
        }
        if client.patient is not None:
            response["patient"] = client.patient
        return Issued(response, requester)

    async def introspect(
        self, pairs: Sequence[tuple[str, str]], token_url: str | None = None
    ) -> dict[str, Any]:
        """RFC 7662 §2.2. A client learns about its own tokens only: of any other token it hears
        what it hears of an expired one, ``{"active": false}``."""
        form = form_of(pairs)
        client, _ = await self._authenticate(form, token_url)
        token = _token(form)
        try:
            expires_us, requester = self._check.read(token, self._clock.now_us())
        except Unauthenticated:
            return {"active": False}
        if requester.client_id != client.client_id:
            return {"active": False}
        known: dict[str, Any] = {
            "active": True,
            "scope": scope_text(requester.scopes),
            "client_id": requester.client_id,
            "token_type": "bearer",
            "exp": expires_us // 1_000_000,
            "sub": requester.client_id,
            "aud": self._addresses.audience,
            "iss": self._addresses.issuer,
            "jti": requester.token_id,
        }
        return known if requester.patient is None else {**known, "patient": requester.patient}

    async def revoke(self, pairs: Sequence[tuple[str, str]], token_url: str | None = None) -> None:
        """RFC 7009: durable, and in force everywhere on return. A token that is not (or no
        longer) valid needs no revoking and is no error; another client's is refused."""
        form = form_of(pairs)
        client, _ = await self._authenticate(form, token_url)
        try:
            expires_us, requester = self._check.read(_token(form), self._clock.now_us())
        except Unauthenticated:
            return
        if requester.client_id != client.client_id:
            raise OAuthError("invalid_grant", "the token was issued to another client")
        await self._database.run(
            "INSERT INTO revoked (key, until_s) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (name_key("token", requester.token_id), expires_us // 1_000_000 + MAX_LIFETIME_S),
        )
        self._database.announce()

    async def _authenticate(self, form: Form, token_url: str | None) -> tuple[Client, Assertion]:
        for name in _OTHER_METHODS:
            if name in form:
                raise OAuthError("invalid_client", f"{name} is not used here: private_key_jwt is")
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise OAuthError("invalid_client", f"client_assertion_type must be {ASSERTION_TYPE}")
        signed = form.get("client_assertion")
        if signed is None:
            raise OAuthError("invalid_client", "client_assertion is required")
        client_id = unverified_client_id(signed)
        if form.get("client_id", client_id) != client_id:
            raise OAuthError("invalid_client", "client_id is not the client of the assertion")
        try:
            client = await self._registry.get(client_id)
        except NotFound:
            client = None
        rules = Rules(token_url or self._addresses.token, self._now_s(), self._leeway_s)
        assertion = verify(signed, client, rules)
        # last, so that only a client that holds the key can write to the table
        until_s = assertion.expires_s + self._leeway_s
        if client is None or not await self._replay.first_use(client_id, assertion.jti, until_s):
            raise OAuthError(
                "invalid_client", "the assertion was used before: make a new one, with a new jti"
            )
        return client, assertion

    def _scopes(self, client: Client, form: Form) -> tuple[Scope, ...]:
        asked = parse_scopes(form.get("scope", ""), self._types)
        granted = intersect(asked, client.scopes)
        if client.patient is None:
            granted = tuple(s for s in granted if s.context != "patient")
        if not granted:
            raise OAuthError(
                "invalid_scope", "none of the scopes is among those registered for this client"
            )
        return granted

    def _now_s(self) -> int:
        return self._clock.now_us() // 1_000_000


def _token(form: Form) -> str:
    token = form.get("token")
    if token is None:
        raise OAuthError("invalid_request", "token is required")
    return token
