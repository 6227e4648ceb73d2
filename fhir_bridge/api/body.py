"""Request bodies: read within a size and a deadline, unpacked within the same size.

The HTTP library would unpack by itself, without a bound of ours and with a 500 for bad input;
it is told not to. RFC 9110 §8.4: one ``gzip`` coding is understood, anything else is 415.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Protocol

from fhir_bridge.api.deadlines import Deadlines
from fhir_bridge.api.fields import Fields
from fhir_bridge.api.outcome import Refused
from fhir_bridge.errors import Incorrect

__all__ = ["Stream", "check_encoding", "read", "refuse_announced", "unpack"]

_GZIP = 16 + zlib.MAX_WBITS


class Stream(Protocol):
    """The part of a body stream that is used here."""

    async def readany(self) -> bytes: ...

    def at_eof(self) -> bool: ...

    def is_eof(self) -> bool: ...


def too_large(limit: int) -> Refused:
    """413, naming the limit; the connection ends because the rest is not read."""
    return Refused(
        413, "too-long", f"the body is larger than {limit} bytes", code="body-size", close=True
    )


def refuse_announced(headers: Fields, limit: int) -> None:
    """Refuse a body whose stated length is already too much."""
    length = headers.get("Content-Length")
    if length is not None and int(length) > limit:
        raise too_large(limit)


def check_encoding(headers: Fields) -> bool:
    """Whether the body is gzipped; any other or nested coding is refused."""
    coding = (headers.get("Content-Encoding") or "").strip().lower()
    if coding in ("", "identity"):
        return False
    if coding in ("gzip", "x-gzip"):
        return True
    raise Refused(
        415,
        "not-supported",
        "only one gzip content coding is understood",
        code="content-encoding",
        headers={"Accept-Encoding": "gzip, identity"},
        close=True,
    )


async def read(stream: Stream, limit: int, deadlines: Deadlines) -> bytes:
    """The bytes as sent; 408 when they do not arrive in time, 413 past the limit."""
    try:
        if stream.is_eof():  # all of it is here: nothing will be waited for
            return await _read(stream, limit)
        with deadlines.within():
            return await _read(stream, limit)
    except TimeoutError as error:
        raise Refused(
            408, "timeout", "the body did not arrive in time", code="slow-body", close=True
        ) from error
    except Refused:
        raise
    except Exception as error:
        # Whatever the HTTP library says of a broken body, it is the sender's doing.
        raise Refused(
            400, "structure", "the body is not framed as announced", code="bad-body", close=True
        ) from error


async def _read(stream: Stream, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while not stream.at_eof():
        part = await stream.readany()
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def unpack(packed: bytes, limit: int) -> bytes:
    """Gunzip in a thread (zlib gives up the GIL), never holding more than ``limit`` bytes."""
    return await asyncio.to_thread(_unpack, packed, limit)


def _unpack(packed: bytes, limit: int) -> bytes:
    machine = zlib.decompressobj(_GZIP)
    try:
        plain = machine.decompress(packed, limit + 1)
    except zlib.error as error:
        raise Incorrect("the body is not valid gzip", code="bad-gzip") from error
    if len(plain) > limit:
        raise too_large(limit)
    if not machine.eof or machine.unused_data:
        raise Incorrect("the gzip body is cut short or has a tail", code="bad-gzip")
    return plain
