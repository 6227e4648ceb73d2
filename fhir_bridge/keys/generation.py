"""One generation: how the rows of the key store are wrapped and named while it lasts.

Both keys come from the master key and from the generation key. Once the generation key is
destroyed, an old copy of the key store opens nothing and does not even say whom it knew.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_wrap,
)

from fhir_bridge.errors import Corrupt
from fhir_bridge.keys.mac import hkdf, keyed

__all__ = ["INNER_BYTES", "Generation"]

INNER_BYTES = 32
"""patient name[16] ‖ patient-and-class name[16]: what a pair is called inside a box."""


class Generation:
    """Wraps boxes (AES-KW, RFC 3394) and names rows under one generation."""

    __slots__ = ("_ref", "_wrap", "number")

    def __init__(self, number: int, master: bytes, generation_key: bytes) -> None:
        secret = master + generation_key + number.to_bytes(8, "big")
        self.number = number
        self._wrap = hkdf(secret, b"fbe1/generation-wrap")
        self._ref = keyed(hkdf(secret, b"fbe1/generation-ref"))

    def wrap(self, content: bytes) -> bytes:
        """The box of ``content`` (a multiple of 8 bytes)."""
        return aes_key_wrap(self._wrap, content)

    def unwrap(self, box: bytes) -> bytes:
        """The content of a box; Corrupt when it is not of this generation or damaged."""
        try:
            return aes_key_unwrap(self._wrap, box)
        except (InvalidUnwrap, ValueError):
            raise Corrupt("a box of the key store does not unwrap", code="key-box") from None

    def pek_row(self, inner: bytes) -> bytes:
        """The row name[16] of a PEK."""
        return self._ref(b"pek" + inner)[:16]

    def set_row(self, members: bytes) -> bytes:
        """The row name[16] of a set, from the inner names of its sorted pairs."""
        return self._ref(b"set" + members)[:16]

    def handle_row(self, handle: bytes) -> bytes:
        """The row name[16] under which a handle is found."""
        return self._ref(b"handle" + handle)[:16]
