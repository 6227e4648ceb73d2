"""A key set: what seals and opens the entries of one set of (patient, class) pairs."""

from __future__ import annotations

from collections.abc import Sequence

from fhir_bridge.fbe1.labels import AUDIT_USE, REF_USE, SET, WRAP_USE
from fhir_bridge.keys.mac import expand, hkdf, keyed

__all__ = ["KeySet", "Pairs", "canonical"]

Pairs = tuple[tuple[str, str], ...]
"""(patient, class) pairs; patient "" where the entry is about no patient."""


def canonical(pairs: Sequence[tuple[str, str]]) -> Pairs:
    """The pairs sorted and distinct, as keys are made from them."""
    return tuple(sorted(set(pairs)))


class KeySet:
    """The sub keys of one set. Every pair's PEK went into it: without any one, nothing opens."""

    __slots__ = ("_mac", "_ref", "handle", "handle_int")

    def __init__(self, handle: bytes, peks: Sequence[bytes]) -> None:
        self.handle = handle
        """Random, known to the key store alone; the hint of an entry leads to it."""
        self.handle_int = int.from_bytes(handle, "big")
        self._mac = keyed(hkdf(b"".join(peks), SET))
        self._ref = keyed(expand(self._mac, REF_USE))

    def wrap_key(self, entry_id: bytes) -> bytes:
        """The key[32] that wraps the DEK of one entry."""
        return expand(self._mac, WRAP_USE + entry_id)

    def audit_key(self, nonce: bytes) -> bytes:
        """The key[32] that seals one audit row."""
        return expand(self._mac, AUDIT_USE + nonce)

    def subject_ref(self, nonce: bytes) -> bytes:
        """The ``subject_ref`` of the entry with this nonce: fresh, recognisable to key holders."""
        return self._ref(nonce)[:16]
