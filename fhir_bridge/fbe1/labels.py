"""The one table of labels: every key and every hash of the format says what it is for.

None is a prefix of another, so no two uses can ever hash the same bytes (docs/fbe1.md §1).
"""

from __future__ import annotations

__all__ = [
    "AUDIT_CONTEXT",
    "AUDIT_USE",
    "BODY_CONTEXT",
    "DEK",
    "HANDLE_CHECK",
    "REF_USE",
    "SET",
    "USES",
    "WRAP_USE",
]

SET = b"fbe1/set"
"""HKDF info of a set key."""
WRAP_USE = b"fbe1/wrap"
"""Sub key that wraps a DEK; followed by the entry id[32]."""
REF_USE = b"fbe1/ref"
"""Sub key of ``subject_ref``."""
AUDIT_USE = b"fbe1/audit"
"""Sub key of an audit row; followed by its nonce[16]."""
DEK = b"fbe1/dek"
"""First bytes of the hedged derivation of a DEK."""
HANDLE_CHECK = b"fbe1/handle-check"
"""Sub key of the hint key: the last four bytes of a handle."""
BODY_CONTEXT = b"fhir_bridge/fbe1/body"
"""Cobblestone context of a body; followed by SHA-256(core)."""
AUDIT_CONTEXT = b"fhir_bridge/fbe1/audit"
"""Cobblestone context of an audit row; followed by its nonce[16]."""

USES = (SET, WRAP_USE, REF_USE, AUDIT_USE, DEK, HANDLE_CHECK, BODY_CONTEXT, AUDIT_CONTEXT)
