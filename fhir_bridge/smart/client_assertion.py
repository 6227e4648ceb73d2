"""Is this client who it says it is? Every rule about ``private_key_jwt`` in one file, no I/O.

SMART App Launch 2.2 client-confidential-asymmetric, RFC 7523 §3, RFC 7515 §4.1, RFC 8725.
The caller looks up the client by ``unverified_client_id`` and then calls ``verify``; the use
of the assertion id is the caller's to record.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from fhir_bridge.errors import Incorrect
from fhir_bridge.smart.client import Client
from fhir_bridge.smart.jwks import ALGORITHMS, verification_key
from fhir_bridge.smart.oauth import OAuthError
from fhir_bridge.smart.strict_json import object_of
from fhir_bridge.smart.tokens import unpack, verified_payload

__all__ = ["Assertion", "Rules", "unverified_client_id", "verify"]

MAX_ASSERTION_CHARS = 8192
MAX_JTI_CHARS = 256
MAX_AHEAD_S = 300
MAX_LEEWAY_S = 30
_TYPES = ("jwt", "client-authentication+jwt")
# Each of these asks the reader to take a key, or a meaning, from the message itself.
_REFUSED_HEADERS = ("jku", "jwk", "x5u", "x5c", "crit", "b64", "zip", "enc", "cty")


@dataclass(frozen=True, slots=True)
class Rules:
    """What an assertion is measured against."""

    token_url: str
    now_s: int
    leeway_s: int = MAX_LEEWAY_S


@dataclass(frozen=True, slots=True)
class Assertion:
    """A verified assertion: who signed it, and what else it says."""

    client_id: str
    jti: str
    expires_s: int
    extensions: Mapping[str, Any]


def unverified_client_id(assertion: str) -> str:
    """The name to look up. Refuses what no client's key could make good."""
    header, claims = unpack(assertion, MAX_ASSERTION_CHARS) or _refuse(
        f"the client_assertion is not a compact JWT of at most {MAX_ASSERTION_CHARS} characters"
    )
    alg = header.get("alg")
    if alg not in ALGORITHMS:
        _refuse(f"the assertion must be signed with one of {', '.join(ALGORITHMS)}")
    if not isinstance(header.get("kid"), str):
        _refuse("the assertion needs a kid header that names a registered key")
    typ = header.get("typ")
    if not isinstance(typ, str) or typ.lower() not in _TYPES:
        _refuse("the assertion needs the header typ: JWT")
    for name in _REFUSED_HEADERS:
        if name in header:
            _refuse(f"the assertion header {name} is not accepted: keys come from registration")
    issuer = claims.get("iss")
    if not isinstance(issuer, str) or not issuer:
        _refuse("the assertion needs iss and sub, both the client id")
    if claims.get("sub") != issuer:
        _refuse("iss and sub of the assertion must both be the client id")
    return issuer


def verify(assertion: str, client: Client | None, rules: Rules) -> Assertion:
    """The assertion, signed by a key of this client and good now.

    An unknown client, a disabled one, an unknown key and a bad signature get one and the same
    answer, so that strangers cannot ask which clients exist.
    """
    claims = _signed_claims(assertion, client)
    if claims is None or client is None or claims.get("iss") != client.client_id:
        _refuse(
            "the client is not registered or is disabled, the kid is not among its registered"
            " keys, or the signature does not verify with that key"
        )
    _check_audience(claims.get("aud"), rules.token_url)
    expires_s = _check_times(claims, rules)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= MAX_JTI_CHARS:
        _refuse(f"the assertion needs a jti of 1 to {MAX_JTI_CHARS} characters")
    extensions = claims.get("extensions", {})
    if not isinstance(extensions, Mapping):
        raise OAuthError("invalid_request", "the claim extensions must be an object")
    return Assertion(client.client_id, jti, expires_s, extensions)


def _signed_claims(assertion: str, client: Client | None) -> dict[str, Any] | None:
    unpacked = unpack(assertion, MAX_ASSERTION_CHARS)
    if client is None or client.disabled or unpacked is None:
        return None
    jwk = client.key(str(unpacked[0].get("kid")))
    if jwk is None:
        return None
    try:
        key, alg = verification_key(jwk)
    except Incorrect:
        return None
    payload = verified_payload(assertion, key, alg)
    return object_of(payload) if payload is not None else None


def _check_audience(audience: object, token_url: str) -> None:
    # A list with further members would be good at their servers too: refuse it.
    if audience != token_url and audience != [token_url]:
        _refuse(f"aud of the assertion must be exactly {token_url}")


def _check_times(claims: Mapping[str, Any], rules: Rules) -> int:
    """RFC 7519 §4.1.4-4.1.6; ``iat`` and ``nbf`` are optional (SMART requires neither)."""
    leeway = min(rules.leeway_s, MAX_LEEWAY_S)
    expires = _time(claims, "exp")
    issued, not_before = _time(claims, "iat"), _time(claims, "nbf")
    if expires is None:
        _refuse("the assertion needs exp")
    if expires <= rules.now_s - leeway:
        _refuse("the assertion has expired; check the clock of the client")
    if expires > rules.now_s + MAX_AHEAD_S + leeway:
        _refuse(f"exp of the assertion must be at most {MAX_AHEAD_S} seconds ahead")
    for name, value in (("iat", issued), ("nbf", not_before)):
        if value is None:
            continue
        if value > rules.now_s + leeway:
            _refuse(f"{name} of the assertion is in the future; check the clock of the client")
        if value >= expires:
            _refuse(f"{name} of the assertion is not before exp")
    if issued is not None and expires - issued > MAX_AHEAD_S + leeway:
        _refuse(f"the assertion must be good for at most {MAX_AHEAD_S} seconds, from iat to exp")
    return math.ceil(expires)


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e11:
        _refuse(f"{name} of the assertion must be a NumericDate: seconds since 1970")
    return value


def _refuse(description: str) -> NoReturn:
    raise OAuthError("invalid_client", description)
