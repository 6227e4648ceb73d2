"""The one way to Cobblestone-256 (c2sp.org/chunked-encryption, SHA-512 and AES-256-GCM).

Key-committing and bound to its context, 72 bytes longer than the plain text (plus 16 per full
16 KiB). The library takes an empty context and hands out chunks before the end is known to be
authentic: here an empty context is refused and nothing leaves before ``finalize``.
"""

from __future__ import annotations

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from fhir_bridge.errors import Corrupt, Fault

__all__ = ["seal_bytes", "sealed_length", "unseal_bytes"]

_CHUNK = 16_384
_TAG = 16
_HEAD = 24 + 32


def seal_bytes(key: bytes, context: bytes, plain: bytes) -> bytes:
    """``plain`` sealed under a 32-byte key for this very context."""
    if not context:
        raise Fault("sealing without a context", code="empty-context")
    encryptor = Cobblestone256Encryptor(key, context)
    return encryptor.update(plain) + encryptor.finalize()


def unseal_bytes(key: bytes, context: bytes, sealed: bytes) -> bytes:
    """What was sealed; Corrupt (code ``unseal``) for another key, context or any changed byte."""
    if not context:
        raise Fault("unsealing without a context", code="empty-context")
    try:
        decryptor = Cobblestone256Decryptor(key, context)
        return decryptor.update(sealed) + decryptor.finalize()
    except (InvalidTag, ValueError):
        raise Corrupt("sealed bytes do not verify", code="unseal") from None


def sealed_length(plain_length: int) -> int:
    """How long ``plain_length`` bytes become."""
    return _HEAD + plain_length + (plain_length // _CHUNK + 1) * _TAG
