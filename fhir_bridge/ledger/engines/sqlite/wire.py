"""Frames between workers and the sequencer: u32 length, big-endian, then msgpack.

A connection is an ordered pipe: the n-th outcome answers the n-th request. Every frame is a
list; a worker's frame holds all requests of one turn of its event loop, the sequencer's all
outcomes of one commit.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from fhir_bridge.errors import Corrupt, TooLarge
from fhir_bridge.ledger.contract import Append, Appended, Failed, Refused

__all__ = [
    "Answer",
    "CheckpointNow",
    "Done",
    "Erase",
    "Frames",
    "Rebox",
    "Request",
    "Settle",
    "Signed",
    "decode_answers",
    "decode_requests",
    "encode_frame",
]

MAX_FRAME_BYTES = 256 << 20
"""Twice the largest Bundle, as bodies are padded to a power of two, and its audit records."""
_LENGTH = struct.Struct(">I")


class CheckpointNow(Struct, frozen=True, array_like=True, tag=2):
    """Sign what is committed."""


class Erase(Struct, frozen=True, array_like=True, tag=3):
    """Append and delete bodies."""

    append: Append
    indexes: tuple[int, ...]


class Rebox(Struct, frozen=True, array_like=True, tag=4):
    """Replace boxes: index, box, hint."""

    boxes: tuple[tuple[int, bytes, bytes], ...]


class Settle(Struct, frozen=True, array_like=True, tag=5):
    """Answered behind all before; what ``writer`` sent over earlier connections is thrown away.

    ``connection`` grows with each of them: nanoseconds since the machine started.
    """

    writer: str
    connection: int = 0


class Signed(Struct, frozen=True, array_like=True, tag=4, gc=False):
    """A signed checkpoint."""

    note: bytes


class Done(Struct, frozen=True, array_like=True, tag=5, gc=False):
    """Durable, nothing to say."""


Request = Append | CheckpointNow | Erase | Rebox | Settle
Answer = Appended | Refused | Failed | Signed | Done

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(list[Append | CheckpointNow | Erase | Rebox | Settle])
_answers = msgspec.msgpack.Decoder(list[Appended | Refused | Failed | Signed | Done])


def encode_frame(items: Sequence[Request] | Sequence[Answer]) -> bytes:
    """One frame. TooLarge (``frame-bytes``) over 256 MiB."""
    payload = _encoder.encode(items)
    if len(payload) > MAX_FRAME_BYTES:
        raise TooLarge("more than 256 MiB in one append", code="frame-bytes")
    return _LENGTH.pack(len(payload)) + payload


def decode_requests(payload: bytes) -> list[Request]:
    """Corrupt (code ``frame``) for anything but a list of requests."""
    try:
        return list(_requests.decode(payload))
    except msgspec.MsgspecError:
        raise Corrupt("a frame is not readable", code="frame") from None


def decode_answers(payload: bytes) -> list[Answer]:
    """Corrupt (code ``frame``) for anything but a list of answers."""
    try:
        return list(_answers.decode(payload))
    except msgspec.MsgspecError:
        raise Corrupt("a frame is not readable", code="frame") from None


class Frames:
    """Cuts a byte stream into frames."""

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._buffer = bytearray()
        self._max_bytes = max_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that are complete now; Corrupt when one announces too many bytes."""
        buffer = self._buffer
        buffer += data
        found, at = [], 0
        while len(buffer) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, at)
            if length > self._max_bytes:
                raise Corrupt("a frame is longer than allowed", code="frame")
            end = at + _LENGTH.size + length
            if len(buffer) < end:
                break
            found.append(bytes(buffer[at + _LENGTH.size : end]))
            at = end
        del buffer[:at]
        return found
