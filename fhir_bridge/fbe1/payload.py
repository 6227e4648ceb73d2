"""What a body holds once it is open (docs/fbe1.md §4).

``header length u16 ‖ header ‖ compressed length u32 ‖ compressed bytes ‖ zeros`` up to the
smallest power of two that holds it, 256 at least. Compression itself is done elsewhere.
"""

from __future__ import annotations

from enum import IntEnum
from itertools import pairwise

from msgspec import Struct

from fhir_bridge.errors import Corrupt
from fhir_bridge.fbe1 import tlv

__all__ = ["EntryType", "Header", "decode_payload", "encode_payload"]

_FIELDS = 11
_NUMBERS = (0, 1, 4, 6, 7, 10)
_WIDTHS = [1, 1, 8, 4, 4, 4]
MIN_PAYLOAD_BYTES = 256


class EntryType(IntEnum):
    CREATE = 1
    UPDATE = 2
    DELETE = 3


_ENTRY_TYPES = tuple(EntryType)


class Header(Struct, frozen=True, gc=False):
    """What is sealed beside the stored bytes; valid from construction (Corrupt)."""

    entry_type: EntryType
    classes: tuple[str, ...]
    """The class set: sorted, distinct, at least one, no commas."""
    time_us: int
    media_type: str
    organisation: str
    """Author organisation."""
    version: int
    """Version number of the resource, from 1."""
    consent: bytes = b""
    """Entry id of the consent that allowed the collection, or nothing."""
    mappings: tuple[bytes, ...] = ()
    """SHA-256 of each mapping file that had a part in it."""
    plain_length: int = 0
    """Length of the stored bytes before compression; set by `encode_payload`."""
    dictionary: int = 0
    """Id of the zstd dictionary, 0 for none; set by `encode_payload`."""

    def __post_init__(self) -> None:
        classes = self.classes
        if not classes or (len(classes) > 1 and any(a >= b for a, b in pairwise(classes))):
            raise Corrupt("header: the class set is sorted and not empty", code="header-value")
        if not all(classes) or "," in "".join(classes):
            raise Corrupt("header: a class has a name without commas", code="header-value")
        mappings = self.mappings
        if len(self.consent) not in (0, 32) or (mappings and any(len(m) != 32 for m in mappings)):
            raise Corrupt("header: consent and mappings are 32 bytes each", code="header-value")
        if not 0 <= self.time_us < 1 << 64 or not 0 <= self.version < 1 << 32:
            raise Corrupt("header: time or version out of range", code="header-value")
        if not 0 <= self.plain_length < 1 << 32 or not 0 <= self.dictionary < 1 << 32:
            raise Corrupt("header: length or dictionary out of range", code="header-value")


def encode_payload(header: Header, compressed: bytes, plain_length: int, dictionary: int) -> bytes:
    """The padded payload; ``plain_length`` and ``dictionary`` take the header's place."""
    head = tlv.encode(
        (
            b"\x01",
            bytes((header.entry_type,)),
            ",".join(header.classes).encode(),
            header.consent,
            header.time_us.to_bytes(8, "big"),
            header.media_type.encode(),
            plain_length.to_bytes(4, "big"),
            dictionary.to_bytes(4, "big"),
            b"".join(header.mappings),
            header.organisation.encode(),
            header.version.to_bytes(4, "big"),
        ),
        "header",
    )
    if len(head) > 0xFFFF:
        raise Corrupt("header: longer than 65,535 bytes", code="header-field")
    content = b"".join(
        (len(head).to_bytes(2, "big"), head, len(compressed).to_bytes(4, "big"), compressed)
    )
    return content.ljust(padded_length(len(content)), b"\x00")


def padded_length(length: int) -> int:
    """The smallest power of two that holds ``length`` bytes, 256 at least."""
    return max(MIN_PAYLOAD_BYTES, 1 << (length - 1).bit_length())


def decode_payload(payload: bytes) -> tuple[Header, bytes]:
    """(header, compressed bytes); Corrupt unless ``payload`` is their one encoding."""
    size = len(payload)
    head_end = 2 + int.from_bytes(payload[:2], "big")
    start = head_end + 4
    if size < MIN_PAYLOAD_BYTES or start > size:
        raise Corrupt("payload: header runs past the end", code="payload-length")
    end = start + int.from_bytes(payload[head_end:start], "big")
    if size != padded_length(end):
        raise Corrupt("payload: not padded to the right length", code="payload-length")
    if payload.count(0, end) != size - end:
        raise Corrupt("payload: padding is not zero", code="payload-padding")
    return _decode_header(payload[2:head_end]), payload[start:end]


def _decode_header(data: bytes) -> Header:
    values = tlv.decode(data, _FIELDS, "header")
    if values[0] != b"\x01":
        raise Corrupt("header: unknown version", code="header-version")
    if [len(values[at]) for at in _NUMBERS] != _WIDTHS:
        raise Corrupt("header: a number has the wrong width", code="header-value")
    mappings = values[8]
    if not 1 <= values[1][0] <= 3 or len(mappings) % 32:
        raise Corrupt("header: unknown entry type or broken mappings", code="header-value")
    try:
        classes, media_type, organisation = (values[i].decode() for i in (2, 5, 9))
    except UnicodeDecodeError:
        raise Corrupt("header: text is not UTF-8", code="header-value") from None
    number = int.from_bytes
    return Header(
        _ENTRY_TYPES[values[1][0] - 1],
        tuple(classes.split(",")),
        number(values[4], "big"),
        media_type,
        organisation,
        number(values[10], "big"),
        values[3],
        tuple(mappings[i : i + 32] for i in range(0, len(mappings), 32)) if mappings else (),
        number(values[6], "big"),
        number(values[7], "big"),
    )
