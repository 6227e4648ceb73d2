"""Public keys of clients: which are acceptable, and how a client makes one.

RFC 7517 (JWK), RFC 7638 (thumbprint as key id); SMART client-confidential-asymmetric:
ES384 with P-384, RS384 with RSA of at least 2048 bits.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from fhir_bridge.errors import Incorrect

__all__ = ["ALGORITHMS", "check_jwks", "new_client_key", "public_jwk", "verification_key"]

ALGORITHMS = ("ES384", "RS384")
MAX_KEYS = 10
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
_PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k")
_KEPT = ("kty", "kid", "use", "alg", "crv", "x", "y", "n", "e")


def check_jwks(unverified: Mapping[str, Any]) -> dict[str, Any]:
    """The key set with nothing in it but acceptable public keys; Incorrect says what is wrong.

    One to ten keys, each with its own ``kid``. Private material is refused rather than
    dropped: a private key that was sent anywhere must be replaced.
    """
    keys = unverified.get("keys")
    if not isinstance(keys, list) or not 1 <= len(keys) <= MAX_KEYS:
        raise Incorrect(f"a JWKS holds 1 to {MAX_KEYS} keys under the name keys", code="jwks")
    clean = [_check_jwk(key, position) for position, key in enumerate(keys)]
    if len({key["kid"] for key in clean}) != len(clean):
        raise Incorrect("two keys of the JWKS have the same kid", code="jwks")
    return {"keys": clean}


def verification_key(jwk: Mapping[str, Any]) -> tuple[ECKey | RSAKey, str]:
    """The key and the one algorithm it may verify; Incorrect if the key is not acceptable.

    The algorithm follows from the key, never from the token (RFC 8725 §3.1).
    """
    try:
        if jwk.get("kty") == "EC" and jwk.get("crv") == "P-384":
            ec_key = ECKey.import_key({k: jwk[k] for k in ("kty", "crv", "x", "y")})
            # importing is lazy about the point; this is where an invalid one is found
            _ = ec_key.public_key
            return ec_key, "ES384"
        if jwk.get("kty") == "RSA":
            # measured before it is imported: a giant key costs time, a small one only a warning
            _check_rsa(_number(jwk["n"]), _number(jwk["e"]))
            return RSAKey.import_key({k: jwk[k] for k in ("kty", "n", "e")}), "RS384"
    except (JoseError, ValueError, KeyError, TypeError):
        raise Incorrect("a key of the JWKS cannot be read", code="jwks") from None
    raise Incorrect("keys must be EC P-384 (ES384) or RSA (RS384)", code="jwks")


def new_client_key() -> tuple[bytes, dict[str, Any]]:
    """A fresh P-384 key for a client: private key as PKCS #8 PEM, and its public JWK.

    The PEM is not encrypted: write it to a file only its owner can read.
    """
    private = ec.generate_private_key(ec.SECP384R1())
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return pem, public_jwk(pem)


def public_jwk(private_key_pem: bytes) -> dict[str, Any]:
    """The public JWK of a PEM private key, with its thumbprint as ``kid`` (RFC 7638)."""
    key = private_key(private_key_pem)
    alg = "ES384" if isinstance(key, ECKey) else "RS384"
    public: dict[str, Any] = dict(key.as_dict(private=False))
    return {
        **{name: public[name] for name in _KEPT if name in public},
        "kid": key.thumbprint(),
        "use": "sig",
        "alg": alg,
    }


def private_key(pem: bytes) -> ECKey | RSAKey:
    """A P-384 or RSA private key from PEM; Incorrect if it is neither."""
    try:
        loaded = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise Incorrect(
            "the private key is not an unencrypted PEM private key", code="private-key"
        ) from None
    if isinstance(loaded, ec.EllipticCurvePrivateKey) and loaded.curve.name == "secp384r1":
        return ECKey.import_key(pem)
    if isinstance(loaded, rsa.RSAPrivateKey) and loaded.key_size >= MIN_RSA_BITS:
        return RSAKey.import_key(pem)
    raise Incorrect(
        f"the private key must be EC P-384 or RSA of at least {MIN_RSA_BITS} bits",
        code="private-key",
    )


def _check_rsa(modulus: int, exponent: int) -> None:
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS or not modulus & 1:
        raise Incorrect(
            f"an RSA key must have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits", code="weak-key"
        )
    if exponent < 65537 or exponent.bit_length() > 32 or not exponent & 1:
        raise Incorrect("an RSA key must have the exponent 65537", code="weak-key")


def _number(text: str) -> int:
    """Base64urlUInt (RFC 7518 §2)."""
    return int.from_bytes(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def _check_jwk(unverified: object, position: int) -> dict[str, Any]:
    where = f"keys[{position}]"
    if not isinstance(unverified, Mapping):
        raise Incorrect("a key of the JWKS is not an object", code="jwks", where=where)
    if any(name in unverified for name in _PRIVATE):
        raise Incorrect(
            "the JWKS holds a private or symmetric key: send public keys only, and replace this"
            " one, because it has now travelled",
            code="private-key-sent",
            where=where,
        )
    kid = unverified.get("kid")
    if not isinstance(kid, str) or not 1 <= len(kid) <= 256:
        raise Incorrect("every key needs a kid of 1 to 256 characters", code="jwks", where=where)
    _, alg = verification_key(unverified)
    if unverified.get("use", "sig") != "sig" or unverified.get("alg", alg) != alg:
        raise Incorrect(f"this key must be for signatures with {alg}", code="jwks", where=where)
    kept = {name: unverified[name] for name in _KEPT if name in unverified}
    return {**kept, "use": "sig", "alg": alg}
