"""The client's side: a signed assertion that says who asks, and for what.

SMART App Launch 2.2 client-confidential-asymmetric; HL7 UDAP ``hl7-b2b`` extension.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from joserfc import jws

from fhir_bridge.clock import Clock
from fhir_bridge.smart.jwks import private_key

__all__ = ["ASSERTION_TYPE", "assertion", "b2b"]

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME_S = 240


def assertion(
    client_id: str,
    token_url: str,
    private_key_pem: bytes,
    kid: str,
    extensions: Mapping[str, Any] | None = None,
    *,
    clock: Clock | None = None,
) -> str:
    """A ``private_key_jwt`` client assertion, good once and for four minutes.

    ``extensions`` goes into the claim of that name; see ``b2b``.
    """
    clock = clock or Clock()
    key = private_key(private_key_pem)
    alg = "ES384" if key.key_type == "EC" else "RS384"
    now = clock.now_us() // 1_000_000
    claims: dict[str, Any] = {
        "iss": client_id,
        "sub": client_id,
        "aud": token_url,
        "iat": now,
        "exp": now + _LIFETIME_S,
        "jti": clock.new_id(),
    }
    if extensions:
        claims["extensions"] = dict(extensions)
    return sign(claims, {"alg": alg, "kid": kid, "typ": "JWT"}, key)


def b2b(
    organization_id: str,
    *,
    purpose: str | Sequence[str] = (),
    user: str = "",
    name: str = "",
    role: str = "",
) -> dict[str, Any]:
    """The ``hl7-b2b`` extension object for ``assertion(extensions=…)``."""
    purposes = [purpose] if isinstance(purpose, str) else list(purpose)
    members: dict[str, Any] = {
        "version": "1",
        "subject_id": user,
        "subject_name": name,
        "subject_role": role,
        "organization_id": organization_id,
        "purpose_of_use": purposes,
    }
    return {"hl7-b2b": {k: v for k, v in members.items() if v}}


def sign(claims: Mapping[str, Any], header: Mapping[str, Any], key: Any) -> str:
    """A compact JWS over the claims; ``header["alg"]`` is the only algorithm allowed."""
    payload = json.dumps(claims, separators=(",", ":"))
    return jws.serialize_compact(dict(header), payload, key, algorithms=[header["alg"]])
