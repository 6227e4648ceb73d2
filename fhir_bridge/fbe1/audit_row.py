"""An audit row: one record of use, sealed, padded, never compressed (docs/fbe1.md §6).

Compressing text that a requester chose together with text that they may not read tells its
length; so audit records are padded to three sizes and to multiples of the third.
"""

from __future__ import annotations

from fhir_bridge.errors import Corrupt

__all__ = ["decode_record", "encode_record", "join_row", "row_leaf_data", "split_row"]

_VERSION = b"\x01"
_HEAD = 1 + 8 + 32 + 4
_SIZES = (2048, 8192, 32768)
IN_EFFECT = 0
VOID = 1


def encode_record(seq: int, previous: bytes, record: bytes) -> bytes:
    """The padded record, ready to be sealed.

    ``seq`` counts the rows of one patient from 1; ``previous`` is the SHA-256 of the sealed row
    before it, zeros for the first.
    """
    if not 1 <= seq < 1 << 64 or len(previous) != 32 or (seq == 1) is not (previous == bytes(32)):
        raise Corrupt("audit record: only the first follows nothing", code="audit-chain")
    content = b"".join(
        (_VERSION, seq.to_bytes(8, "big"), previous, len(record).to_bytes(4, "big"), record)
    )
    return content.ljust(_padded(len(content)), b"\x00")


def decode_record(padded: bytes) -> tuple[int, bytes, bytes]:
    """(seq, previous, record); Corrupt unless ``padded`` is their one encoding."""
    if len(padded) < _HEAD or padded[:1] != _VERSION:
        raise Corrupt("audit record: unknown version", code="audit-version")
    end = _HEAD + int.from_bytes(padded[41:45], "big")
    if len(padded) != _padded(end) or padded.count(0, end) != len(padded) - end:
        raise Corrupt("audit record: wrong padding", code="audit-padding")
    seq, previous = int.from_bytes(padded[1:9], "big"), padded[9:41]
    if seq < 1 or (seq == 1) is not (previous == bytes(32)):
        raise Corrupt("audit record: only the first follows nothing", code="audit-chain")
    return seq, previous, padded[45:end]


def join_row(nonce: bytes, sealed_record: bytes) -> bytes:
    """The stored bytes of a row: version ‖ nonce[16] ‖ sealed record."""
    if len(nonce) != 16:
        raise Corrupt("audit row: the nonce takes 16 bytes", code="audit-row")
    return _VERSION + nonce + sealed_record


def split_row(row: bytes) -> tuple[bytes, bytes]:
    """(nonce, sealed record)."""
    if len(row) <= 17 or row[:1] != _VERSION:
        raise Corrupt("audit row: unknown version or too short", code="audit-row")
    return row[1:17], row[17:]


def row_leaf_data(status: int, row: bytes) -> bytes:
    """What a batch's RFC 6962 tree hashes for one row; status 0 in effect, 1 void."""
    if status not in (IN_EFFECT, VOID):
        raise Corrupt("audit row: unknown status", code="audit-row")
    return bytes((status,)) + row


def _padded(length: int) -> int:
    for size in _SIZES:
        if length <= size:
            return size
    return -(-length // _SIZES[-1]) * _SIZES[-1]
