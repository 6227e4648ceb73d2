"""The leaf: core ‖ SHA-256(body) ‖ Ed25519 signature (docs/fbe1.md §3). Never deleted.

The entry id leaves the signature out, so that it is fixed before anybody signs. Whether the
signature verifies is asked elsewhere (``keys``); here are only the bytes.
"""

from __future__ import annotations

import hashlib

from fhir_bridge.errors import Corrupt

__all__ = ["MAX_LEAF_BYTES", "entry_id", "join_leaf", "signed_bytes", "split_leaf"]

MAX_LEAF_BYTES = 65_535
_TAIL = 96
_SIGNED_LABEL = b"fhir_bridge/fbe1/leaf\x00"
_ID_LABEL = b"fhir_bridge/fbe1/id\x00"


def split_leaf(leaf: bytes) -> tuple[bytes, bytes, bytes]:
    """(core bytes, body hash[32], signature[64]); the core is not yet decoded."""
    if not _TAIL < len(leaf) <= MAX_LEAF_BYTES:
        raise Corrupt("leaf: too short or longer than 65,535 bytes", code="leaf-length")
    return leaf[:-96], leaf[-96:-64], leaf[-64:]


def join_leaf(core: bytes, body_hash: bytes, signature: bytes) -> bytes:
    """The leaf of three parts, checked for their lengths."""
    leaf = core + body_hash + signature
    if len(body_hash) != 32 or len(signature) != 64 or len(leaf) > MAX_LEAF_BYTES:
        raise Corrupt("leaf: a part has the wrong length", code="leaf-length")
    return leaf


def signed_bytes(core: bytes, body_hash: bytes) -> bytes:
    """What the author signs."""
    return _SIGNED_LABEL + core + body_hash


def entry_id(core: bytes, body_hash: bytes) -> bytes:
    """The 32-byte name of the entry."""
    return hashlib.sha256(_ID_LABEL + core + body_hash).digest()
