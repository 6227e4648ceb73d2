"""What smart needs from others."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Seal", "Unseal"]


class Seal(Protocol):
    """Authenticated encryption of a stored client; nothing leaves the process unsealed."""

    def __call__(self, plain: bytes, /) -> bytes: ...


class Unseal(Protocol):
    """Undoes ``Seal``; raises ``Corrupt`` for bytes that it did not make."""

    def __call__(self, sealed: bytes, /) -> bytes: ...
