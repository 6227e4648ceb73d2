"""Every request's first question: who asks? Cheap when it was asked before.

RFC 6750 §2.1, RFC 9068 §4. A verified token is remembered under its SHA-256 until it expires,
and forgotten as soon as any client or token loses its standing.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence

from fhir_bridge.clock import Clock
from fhir_bridge.errors import Unauthenticated
from fhir_bridge.smart.standing import Standing
from fhir_bridge.smart.tokens import (
    MAX_LIFETIME_S,
    MAX_TOKEN_CHARS,
    Addresses,
    TokenKeys,
    requester_of,
)
from fhir_bridge.terms import Requester

__all__ = ["TokenCheck"]

_LOOK_EVERY_US = 1_000_000
# A clock set back by more must not stretch the life of a token.
_MAX_CLOCK_STEP_S = 30


class TokenCheck:
    """Turns ``Authorization`` headers into a Requester. One per process, on one thread."""

    def __init__(
        self,
        standing: Standing,
        keys: TokenKeys,
        addresses: Addresses,
        clock: Clock,
        capacity: int = 4096,
    ) -> None:
        self._standing = standing
        self._keys = keys
        self._addresses = addresses
        self._now_us = clock.now_us
        self._capacity = capacity
        self._known: OrderedDict[bytes, tuple[int, Requester]] = OrderedDict()
        self._shared = standing.shared
        self._seen = b""
        self._look_at_us = 0

    def check(self, authorization: Sequence[str]) -> Requester:
        """The requester, from all values of the ``Authorization`` header.

        Unauthenticated with code ``no-token``, ``several-tokens``, ``invalid-token``,
        ``expired-token`` or ``revoked-token``; Unavailable when standing cannot be read.
        """
        if len(authorization) != 1:
            raise _headers(len(authorization))
        value = authorization[0]
        name = hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()
        now = self._now_us()
        if self._shared[:] != self._seen or now >= self._look_at_us:
            self._look(now)
        known = self._known.get(name)
        if known is not None and now < known[0]:
            self._known.move_to_end(name)
            return known[1]
        return self._verify(name, value, now)

    def _look(self, now_us: int) -> None:
        if self._standing.refresh():
            self._known.clear()
        self._seen = self._standing.seen
        self._look_at_us = now_us + _LOOK_EVERY_US

    def _verify(self, name: bytes, value: str, now_us: int) -> Requester:
        self._known.pop(name, None)
        expires_us, requester = self.read(_bearer(value), now_us)
        self._known[name] = (expires_us, requester)
        if len(self._known) > self._capacity:
            self._known.popitem(last=False)
        return requester

    def read(self, unverified_token: str, now_us: int) -> tuple[int, Requester]:
        """Expiry (µs) and requester of one token, nothing remembered."""
        if self._shared[:] != self._seen or now_us >= self._look_at_us:
            self._look(now_us)
        claims = self._keys.verify(unverified_token)
        issued, expires = claims.get("iat"), claims.get("exp")
        if (
            claims.get("iss") != self._addresses.issuer
            or claims.get("aud") != self._addresses.audience
            or claims.get("sub") != claims.get("client_id")
            or type(issued) is not int
            or type(expires) is not int
            or not 0 < expires - issued <= MAX_LIFETIME_S
            or issued > now_us // 1_000_000 + _MAX_CLOCK_STEP_S
            or not isinstance(claims.get("generation"), int)
        ):
            raise Unauthenticated("the access token is not for this server", code="invalid-token")
        if expires * 1_000_000 <= now_us:
            raise Unauthenticated("the access token has expired", code="expired-token")
        requester = requester_of(claims)
        if not self._standing.good(requester.client_id, claims["generation"], requester.token_id):
            raise Unauthenticated("the access token is no longer valid", code="revoked-token")
        return expires * 1_000_000, requester


def _headers(count: int) -> Unauthenticated:
    if count:
        # Two headers are two claims about who asks: proxies and servers pick different ones.
        return Unauthenticated("more than one Authorization header", code="several-tokens")
    return Unauthenticated(
        "an access token is needed: Authorization: Bearer …; see .well-known/smart-configuration",
        code="no-token",
    )


def _bearer(value: str) -> str:
    """RFC 6750 §2.1; the scheme is case-insensitive (RFC 9110 §11.1)."""
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARS:
        raise Unauthenticated("the Authorization header is not Bearer …", code="invalid-token")
    return token
