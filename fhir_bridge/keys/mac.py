"""HMAC-SHA256 with the key already taken in, and the one-block HKDF built on it.

``hashlib`` states are copied instead of keyed anew: the same HMAC (RFC 2104) at a third of the
time, and it keeps the interpreter's lock.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

__all__ = ["Mac", "expand", "hkdf", "keyed"]

Mac = Callable[[bytes], bytes]
"""message → HMAC-SHA256, 32 bytes."""

_INNER = bytes(x ^ 0x36 for x in range(256))
_OUTER = bytes(x ^ 0x5C for x in range(256))


def keyed(key: bytes) -> Mac:
    """HMAC-SHA256 under ``key`` (at most 64 bytes)."""
    block = key.ljust(64, b"\x00")
    inner = hashlib.sha256(block.translate(_INNER))
    outer = hashlib.sha256(block.translate(_OUTER))

    def mac(message: bytes) -> bytes:
        first = inner.copy()
        first.update(message)
        second = outer.copy()
        second.update(first.digest())
        return second.digest()

    return mac


def expand(mac: Mac, info: bytes) -> bytes:
    """The first block of HKDF-Expand (RFC 5869 §2.3): 32 bytes. ``mac`` is keyed with the PRK."""
    return mac(info + b"\x01")


def hkdf(secret: bytes, info: bytes) -> bytes:
    """32 bytes of HKDF-SHA256 with an empty salt (RFC 5869 §2.2, §2.3)."""
    return expand(keyed(hmac.digest(bytes(32), secret, "sha256")), info)
