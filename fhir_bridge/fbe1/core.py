"""The core of an entry: what everybody who holds the log may see (docs/fbe1.md §2).

Thirteen TLV fields. A reader learns who wrote how much on which day: not about whom, not what
kind, not under which consent. Nothing in it repeats between two entries of one patient.
"""

from __future__ import annotations

import hashlib
import struct
from enum import IntEnum

from msgspec import Struct

from fhir_bridge.errors import Corrupt
from fhir_bridge.fbe1 import tlv

__all__ = [
    "FIRST",
    "MAX_CLAIMS",
    "Core",
    "Kind",
    "decode_core",
    "encode_core",
    "key_id",
    "length_class_of",
]

VERSION = 1
SUITE = 1
FIRST = bytes(32)
"""``previous`` of the first entry of an author key."""
MAX_CLAIMS = 4
MIN_LENGTH_CLASS = 8
MAX_LENGTH_CLASS = 33
_FIELDS = 13
_KEY_ID_LABEL = b"fhir_bridge/fbe1/key\x00"


class Kind(IntEnum):
    """What the body is: sealed data of a patient or the directory, or a plain control body."""

    DATA = 1
    CONTROL = 2


class Core(Struct, frozen=True, gc=False):
    """One entry's public part; valid from construction (raises Corrupt, code ``core-value``)."""

    origin: str
    kind: Kind
    member: str
    key_id: bytes
    """First 16 bytes of the labelled hash of the author's Ed25519 public key: `key_id`."""
    seq: int
    """1, 2, 3 … without a gap, per author key."""
    previous: bytes
    """Entry id of ``seq - 1`` of the same author key; zeros exactly when ``seq`` is 1."""
    subject_ref: bytes
    claims: tuple[bytes, ...]
    day: int
    """Whole UTC days since 1970-01-01."""
    length_class: int
    """log2 of the padded payload length; 0 for a control entry."""
    nonce: bytes

    def __post_init__(self) -> None:
        if not 1 <= len(self.origin.encode()) <= 255 or not 1 <= len(self.member.encode()) <= 255:
            raise Corrupt("core: origin and member take 1 to 255 bytes", code="core-value")
        if len(self.key_id) != 16 or len(self.subject_ref) != 16 or len(self.nonce) != 16:
            raise Corrupt("core: key id, subject_ref and nonce take 16 bytes", code="core-value")
        if len(self.previous) != 32 or (self.seq == 1) is not (self.previous == FIRST):
            raise Corrupt("core: sequence 1 and only it follows nothing", code="core-value")
        if not 1 <= self.seq < 1 << 64 or not 0 <= self.day < 1 << 32:
            raise Corrupt("core: sequence or day out of range", code="core-value")
        claims = self.claims
        if claims and (
            len(claims) > MAX_CLAIMS
            or len(set(claims)) != len(claims)
            or any(len(c) != 32 for c in claims)
        ):
            raise Corrupt("core: at most four distinct claims of 32 bytes", code="core-value")
        if self.kind is Kind.DATA:
            sized = MIN_LENGTH_CLASS <= self.length_class <= MAX_LENGTH_CLASS
        else:
            sized = self.length_class == 0
        if not sized:
            raise Corrupt("core: length class does not fit the kind", code="core-value")


def encode_core(core: Core) -> bytes:
    """The one encoding of ``core``."""
    return tlv.encode(
        (
            b"\x01",
            b"\x01",
            core.origin.encode(),
            bytes((core.kind,)),
            core.member.encode(),
            core.key_id,
            core.seq.to_bytes(8, "big"),
            core.previous,
            core.subject_ref,
            b"".join(core.claims),
            core.day.to_bytes(4, "big"),
            bytes((core.length_class,)),
            core.nonce,
        ),
        "core",
    )


def decode_core(data: bytes) -> Core:
    """The core in ``data``; Corrupt unless ``data`` is its one encoding."""
    return _at_its_places(data) or _field_by_field(data)


_START = b"\x01\x00\x01\x01\x02\x00\x01\x01\x03"
_KIND = struct.Struct(">3sBBH")
_MIDDLE = struct.Struct(">3s16s3sQ3s32s3s16sBH")
_END = struct.Struct(">3sI3sB3s16s")
_HEADS = (
    *(b"\x04\x00\x01", 5, b"\x06\x00\x10", b"\x07\x00\x08", b"\x08\x00\x20"),
    *(b"\x09\x00\x10", 10, b"\x0b\x00\x04", b"\x0c\x00\x01", b"\x0d\x00\x10"),
)
_KINDS = {1: Kind.DATA, 2: Kind.CONTROL}


def _at_its_places(data: bytes) -> Core | None:
    """The core, its fields taken from where they must lie: a whole log is read like this, and
    field by field takes twice as long. None unless all of them lie there."""
    if data[:9] != _START:
        return None
    try:
        origin_end = 11 + (data[9] << 8 | data[10])
        h4, kind, h5, size = _KIND.unpack_from(data, origin_end)
        member = origin_end + _KIND.size
        member_end = member + size
        h6, key, h7, seq, h8, previous, h9, subject_ref, h10, size = _MIDDLE.unpack_from(
            data, member_end
        )
        claims = member_end + _MIDDLE.size
        claims_end = claims + size
        h11, day, h12, length_class, h13, nonce = _END.unpack_from(data, claims_end)
        names = data[11:origin_end].decode(), data[member:member_end].decode()
    except (IndexError, struct.error, UnicodeDecodeError):
        return None
    heads = (h4, h5, h6, h7, h8, h9, h10, h11, h12, h13)
    if heads != _HEADS or claims_end + _END.size != len(data) or size % 32 or kind not in _KINDS:
        return None
    return Core(
        names[0],
        _KINDS[kind],
        names[1],
        key,
        seq,
        previous,
        subject_ref,
        tuple([data[i : i + 32] for i in range(claims, claims_end, 32)]) if size else (),
        day,
        length_class,
        nonce,
    )


def _field_by_field(data: bytes) -> Core:
    """The same without a shortcut: it names the field that is wrong."""
    values = tlv.decode(data, _FIELDS, "core")
    if values[0] != bytes((VERSION,)) or values[1] != bytes((SUITE,)):
        raise Corrupt("core: unknown version or suite", code="core-version")
    kind, seq, claims, day, length_class = (values[i] for i in (3, 6, 9, 10, 11))
    if (len(kind), len(seq), len(day), len(length_class)) != (1, 8, 4, 1) or len(claims) % 32:
        raise Corrupt("core: a number has the wrong width", code="core-value")
    if kind not in (b"\x01", b"\x02"):
        raise Corrupt("core: unknown kind", code="core-value")
    try:
        origin, member = values[2].decode(), values[4].decode()
    except UnicodeDecodeError:
        raise Corrupt("core: origin or member is not UTF-8", code="core-value") from None
    return Core(
        origin=origin,
        kind=Kind.DATA if kind == b"\x01" else Kind.CONTROL,
        member=member,
        key_id=values[5],
        seq=int.from_bytes(seq, "big"),
        previous=values[7],
        subject_ref=values[8],
        claims=tuple(claims[i : i + 32] for i in range(0, len(claims), 32)) if claims else (),
        day=int.from_bytes(day, "big"),
        length_class=length_class[0],
        nonce=values[12],
    )


def key_id(public_key: bytes) -> bytes:
    """The 16-byte id of an author's Ed25519 public key (32 bytes, raw)."""
    return hashlib.sha256(_KEY_ID_LABEL + public_key).digest()[:16]


def length_class_of(core: bytes) -> int:
    """The length class, read from the fixed-width end of an encoded core (not a full check)."""
    if len(core) < 23 or core[-23:-20] != b"\x0c\x00\x01" or core[-19:-16] != b"\x0d\x00\x10":
        raise Corrupt("core: does not end as a core does", code="core-field")
    return core[-20]
