"""The opening: what a proof carries so that a resource can be held against its entry.

Fields: tag u8 ‖ length u32 big-endian ‖ value; tags 1 to 8, each once, in order, nothing after.
Body and DEK are empty where the requester may not read the resource.
"""

from __future__ import annotations

from dataclasses import dataclass

from fhir_bridge.errors import Corrupt

__all__ = ["Opening", "decode_opening", "encode_opening"]

_VERSION = b"\x01"
_FIELDS = 8
_HASH = 32


@dataclass(frozen=True, slots=True)
class Opening:
    """An entry, the means to open it, and the entry that made its author's key known."""

    leaf: bytes
    body: bytes
    dek: bytes
    key_leaf: bytes
    """The author's key.add entry."""
    key_body: bytes
    key_index: int
    key_path: tuple[bytes, ...]
    """Its inclusion path to the same checkpoint."""


def encode_opening(opening: Opening) -> bytes:
    """The one encoding."""
    values = (
        _VERSION,
        opening.leaf,
        opening.body,
        opening.dek,
        opening.key_leaf,
        opening.key_body,
        opening.key_index.to_bytes(8, "big"),
        b"".join(opening.key_path),
    )
    return b"".join(
        bytes((tag,)) + len(value).to_bytes(4, "big") + value for tag, value in enumerate(values, 1)
    )


def decode_opening(data: bytes) -> Opening:
    """Corrupt (code ``opening``) unless ``data`` is an opening in its one encoding."""
    values: list[bytes] = []
    at = 0
    for tag in range(1, _FIELDS + 1):
        start = at + 5
        if start > len(data) or data[at] != tag:
            raise Corrupt(f"opening: field {tag} is missing", code="opening")
        at = start + int.from_bytes(data[start - 4 : start], "big")
        values.append(data[start:at])
    version, leaf, body, dek, key_leaf, key_body, key_index, path = values
    if at != len(data) or version != _VERSION or len(key_index) != 8 or len(path) % _HASH:
        raise Corrupt("opening: not a version 1 opening", code="opening")
    hashes = tuple(path[i : i + _HASH] for i in range(0, len(path), _HASH))
    return Opening(leaf, body, dek, key_leaf, key_body, int.from_bytes(key_index, "big"), hashes)
