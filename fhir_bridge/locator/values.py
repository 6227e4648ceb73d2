"""How values are kept: hashes of 64 bits salted per file, UUIDs as 16 bytes.

The salt is random and lies inside the encrypted file, so nobody outside can prepare two values
that meet. One meeting by chance among a billion values is about a one in 40 matter per file;
ids and versions are therefore compared in full where they are looked up.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

__all__ = ["Hasher", "packed", "unpacked"]

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Hasher:
    """Salted 64-bit hashes; recent ones are remembered."""

    def __init__(self, salt: bytes) -> None:
        base = hashlib.blake2b(key=salt, digest_size=8)

        def number(kind: str, text: str) -> int:
            state = base.copy()
            state.update((kind + text).encode("utf-8", "surrogatepass"))
            return int.from_bytes(state.digest(), "big", signed=True)

        self._of = lru_cache(maxsize=8192)(number)

    def token(self, code: str) -> int:
        """Of a code, an identifier value or a uri."""
        return self._of("t", code)

    def system(self, uri: str) -> int:
        """Of a system, for "any code of this system"."""
        return self._of("s", uri)

    def resource(self, type_: str, id_: str) -> int:
        """Of a local resource."""
        return self._of("r", f"{type_}/{id_}")

    def url(self, url: str) -> int:
        """Of a reference that leads elsewhere."""
        return self._of("u", url)

    def subject(self, subject: str | bytes) -> int:
        """Of whom an audit row is about."""
        if isinstance(subject, bytes):
            return self._of("h", subject.hex())
        return self._of("p", subject)


def packed(text: str) -> str | bytes:
    """A lower-case UUID as its 16 bytes, any other text as it is."""
    if len(text) == 36 and _UUID.fullmatch(text):
        return bytes.fromhex(text.replace("-", ""))
    return text


def unpacked(stored: str | bytes) -> str:
    """The text that ``packed`` took."""
    if isinstance(stored, str):
        return stored
    h = stored.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"
