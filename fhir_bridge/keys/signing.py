"""Signatures: Ed25519 for authors and checkpoints, ML-DSA-44 beside it for checkpoints.

The library accepts Ed25519 public keys of small order, under which one signature fits many
messages: they are refused here, by value and as non-canonical encodings (RFC 8032 §5.1.3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey

from fhir_bridge.errors import BridgeError, Corrupt
from fhir_bridge.fbe1 import key_id, signed_bytes, split_leaf

__all__ = [
    "Signer",
    "check_public_key",
    "ed25519_holds",
    "ed25519_signer",
    "mldsa44_holds",
    "mldsa44_signer",
    "verify_ed25519",
    "verify_leaf",
    "verify_mldsa44",
]

_P = (1 << 255) - 19
_SMALL_ORDER_Y = frozenset(
    {
        0,
        1,
        _P - 1,
        int("05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826", 16),
        int("7a03ac9277fdc74ec6cc392cfa53202a0f67100d760b3cba4fd84d3d706a17c7", 16),
    }
)
"""The y of every point whose order divides 8."""


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key reduced to what may be done with it."""

    algorithm: str
    """``ed25519`` or ``mldsa44``."""
    public: bytes
    """Raw public key: 32 or 1312 bytes."""
    sign: Callable[[bytes], bytes]

    @property
    def key_id(self) -> bytes:
        """The author key id of an Ed25519 key (docs/fbe1.md §2)."""
        return key_id(self.public)


def ed25519_signer(seed: bytes) -> Signer:
    """The signer of a 32-byte Ed25519 seed."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    return Signer("ed25519", key.public_key().public_bytes_raw(), key.sign)


def mldsa44_signer(seed: bytes) -> Signer:
    """The signer of a 32-byte ML-DSA-44 seed (FIPS 204 §5.1)."""
    key = MLDSA44PrivateKey.from_seed_bytes(seed)
    return Signer("mldsa44", key.public_key().public_bytes_raw(), lambda message: key.sign(message))


def check_public_key(public: bytes) -> None:
    """Corrupt (code ``public-key``) for an Ed25519 key that must not be registered or trusted."""
    y = int.from_bytes(public, "little") & ((1 << 255) - 1)
    if len(public) != 32 or y >= _P or y in _SMALL_ORDER_Y:
        raise Corrupt("Ed25519 public key is malformed or of small order", code="public-key")


@lru_cache(maxsize=1024)
def _ed25519(public: bytes) -> Ed25519PublicKey:
    check_public_key(public)
    return Ed25519PublicKey.from_public_bytes(public)


@lru_cache(maxsize=64)
def _mldsa44(public: bytes) -> MLDSA44PublicKey:
    try:
        return MLDSA44PublicKey.from_public_bytes(public)
    except ValueError:
        raise Corrupt("ML-DSA-44 public key is malformed", code="public-key") from None


def verify_ed25519(public: bytes, message: bytes, signature: bytes) -> None:
    """Returns when the signature holds; Corrupt (``signature``, ``public-key``) otherwise."""
    try:
        _ed25519(public).verify(signature, message)
    except InvalidSignature:
        raise Corrupt("Ed25519 signature does not verify", code="signature") from None


def verify_mldsa44(public: bytes, message: bytes, signature: bytes) -> None:
    """Returns when the signature holds (empty context); Corrupt otherwise."""
    try:
        _mldsa44(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise Corrupt("ML-DSA-44 signature does not verify", code="signature") from None


def verify_leaf(leaf: bytes, public: bytes) -> None:
    """Returns when the author's signature of this leaf holds; Corrupt otherwise."""
    core, body_hash, signature = split_leaf(leaf)
    verify_ed25519(public, signed_bytes(core, body_hash), signature)


def ed25519_holds(public: bytes, message: bytes, signature: bytes) -> bool:
    """`verify_ed25519` as a question, for rooms that are handed a check."""
    return _holds(verify_ed25519, public, message, signature)


def mldsa44_holds(public: bytes, message: bytes, signature: bytes) -> bool:
    """`verify_mldsa44` as a question."""
    return _holds(verify_mldsa44, public, message, signature)


def _holds(
    verify: Callable[[bytes, bytes, bytes], None], public: bytes, message: bytes, signature: bytes
) -> bool:
    try:
        verify(public, message, signature)
    except BridgeError:
        return False
    return True
