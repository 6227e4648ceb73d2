"""Access tokens: ``at+jwt`` (RFC 9068), ES384, at most five minutes, no refresh.

A token says everything a decision needs (organisation, purpose, roles, user, patient), because
nothing of that may come from the request itself.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from fhir_bridge.errors import BridgeError, Incorrect, Unauthenticated
from fhir_bridge.smart.jwks import private_key, public_jwk
from fhir_bridge.smart.scopes import parse_scopes, scope_text
from fhir_bridge.smart.signer import sign
from fhir_bridge.smart.strict_json import object_of
from fhir_bridge.terms import Requester

__all__ = [
    "MAX_LIFETIME_S",
    "MAX_TOKEN_CHARS",
    "Addresses",
    "TokenKeys",
    "claims_of",
    "requester_of",
    "unpack",
    "verified_payload",
]

MAX_LIFETIME_S = 300
MAX_TOKEN_CHARS = 8192
_TYP = "at+jwt"
_ALG = "ES384"


class Addresses:
    """Every address of a node, from its one base URL (no trailing slash)."""

    __slots__ = ("audience", "introspect", "issuer", "jwks", "revoke", "token")

    def __init__(self, base_url: str) -> None:
        self.issuer = base_url.rstrip("/")
        self.audience = f"{self.issuer}/fhir"
        """The FHIR base: the one audience of our access tokens."""
        self.token = f"{self.issuer}/auth/token"
        self.jwks = f"{self.issuer}/auth/jwks"
        self.introspect = f"{self.issuer}/auth/introspect"
        self.revoke = f"{self.issuer}/auth/revoke"


class TokenKeys:
    """The signing key (P-384 PEM) and earlier ones that still verify."""

    def __init__(self, pem: bytes, previous: Sequence[bytes] = ()) -> None:
        self._signer = _p384(pem)
        public = [public_jwk(each) for each in (pem, *previous)]
        self._kid: str = public[0]["kid"]
        self._verifiers = {
            jwk["kid"]: ECKey.import_key({k: jwk[k] for k in ("kty", "crv", "x", "y")})
            for jwk in public
            if jwk["alg"] == _ALG
        }
        self._jwks = {"keys": public}

    def jwks(self) -> dict[str, Any]:
        """The public keys, for ``/auth/jwks`` (RFC 7517)."""
        return self._jwks

    def sign(self, claims: Mapping[str, Any]) -> str:
        """An access token with these claims."""
        return sign(claims, {"alg": _ALG, "kid": self._kid, "typ": _TYP}, self._signer)

    def verify(self, unverified_token: str) -> dict[str, Any]:
        """The claims, if one of our keys signed them as an access token. Times and standing are
        not looked at. Unauthenticated otherwise, without saying what was wrong with the bytes."""
        header, _ = unpack(unverified_token, MAX_TOKEN_CHARS) or ({}, {})
        kid = header.get("kid")
        if header.keys() != {"alg", "kid", "typ"} or header["typ"] != _TYP:
            raise _not_ours()
        key = self._verifiers.get(kid) if isinstance(kid, str) else None
        if key is None or header["alg"] != _ALG:
            raise _not_ours()
        payload = verified_payload(unverified_token, key, _ALG)
        claims = object_of(payload) if payload is not None else None
        if claims is None:
            raise _not_ours()
        return claims


def requester_of(claims: Mapping[str, Any]) -> Requester:
    """The requester a verified token speaks for."""
    try:
        return Requester(
            client_id=claims["client_id"],
            organization=claims["organization"],
            purpose=claims["purpose"],
            roles=tuple(claims.get("roles", ())),
            user=claims.get("user"),
            patient=claims.get("patient"),
            scopes=parse_scopes(claims["scope"]),
            token_id=claims["jti"],
        )
    except (KeyError, TypeError, AttributeError, BridgeError):
        raise _not_ours() from None


def claims_of(
    requester: Requester, generation: int, addresses: Addresses, now_s: int, lifetime_s: int
) -> dict[str, Any]:
    """The claims of an access token (RFC 9068 §2.2); absent things are left out."""
    own = {
        "roles": list(requester.roles),
        "user": requester.user,
        "patient": requester.patient,
    }
    return {
        "iss": addresses.issuer,
        "sub": requester.client_id,
        "client_id": requester.client_id,
        "aud": addresses.audience,
        "iat": now_s,
        "exp": now_s + lifetime_s,
        "jti": requester.token_id,
        "scope": scope_text(requester.scopes),
        "organization": requester.organization,
        "purpose": requester.purpose,
        "generation": generation,
        **{name: value for name, value in own.items() if value},
    }


def unpack(unverified_token: str, max_chars: int) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """Header and payload of a compact JWS, nothing verified; None if it is not a clean one."""
    parts = unverified_token.split(".")
    if len(unverified_token) > max_chars or len(parts) != 3 or not unverified_token.isascii():
        return None
    header, payload = (_part(part) for part in parts[:2])
    return (header, payload) if header is not None and payload is not None else None


def verified_payload(unverified_token: str, key: Any, alg: str) -> bytes | None:
    """The payload, if ``key`` signed it with exactly ``alg``."""
    registry = jws.JWSRegistry(algorithms=[alg], strict_check_header=False)
    registry.max_header_length = 2048
    try:
        return jws.deserialize_compact(unverified_token, key, registry=registry).payload
    except (JoseError, ValueError, TypeError):
        return None


def _part(text: str) -> dict[str, Any] | None:
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    return object_of(raw)


def _p384(pem: bytes) -> ECKey:
    key = private_key(pem)
    if not isinstance(key, ECKey):
        raise Incorrect("the token signing key must be EC P-384", code="private-key")
    return key


def _not_ours() -> Unauthenticated:
    return Unauthenticated(
        "the access token is not one that this server issued: ask the token endpoint for one",
        code="invalid-token",
    )
