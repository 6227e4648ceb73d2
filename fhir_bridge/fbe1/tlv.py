"""Tag-length-value with exactly one encoding: tag u8 ‖ length u16 big-endian ‖ value.

A layout is a fixed run of tags; every tag is there exactly once, in order, and nothing follows.
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_bridge.errors import Corrupt

__all__ = ["decode", "encode"]

MAX_VALUE_BYTES = 0xFFFF
_SHORT = 64
_HEADS = [[bytes((tag, 0, size)) for size in range(_SHORT)] for tag in range(16)]
"""Tag and length of nearly every field, made once."""


def encode(values: Sequence[bytes], what: str) -> bytes:
    """``values`` under the tags 1, 2, 3 … in this order."""
    parts: list[bytes] = []
    for tag, value in enumerate(values, 1):
        size = len(value)
        if size < _SHORT:
            parts.append(_HEADS[tag][size])
        elif size > MAX_VALUE_BYTES:
            raise Corrupt(f"{what}: field {tag} is longer than 65,535 bytes", code=f"{what}-field")
        else:
            parts.append(bytes((tag, size >> 8, size & 0xFF)))
        parts.append(value)
    return b"".join(parts)


def decode(data: bytes, count: int, what: str) -> list[bytes]:
    """The values of the tags 1 … ``count``; anything but their one encoding is Corrupt."""
    values: list[bytes] = []
    at = 0
    try:
        for tag in range(1, count + 1):
            if data[at] != tag:
                raise Corrupt(
                    f"{what}: field {tag} is missing or out of order", code=f"{what}-field"
                )
            start = at + 3
            at = start + (data[at + 1] << 8 | data[at + 2])
            values.append(data[start:at])
    except IndexError:
        raise Corrupt(f"{what}: ends in the middle of a field", code=f"{what}-field") from None
    if at != len(data):
        raise Corrupt(f"{what}: does not end with its last field", code=f"{what}-field")
    return values
