"""Addresses of tiles (c2sp.org/tlog-tiles): ``tile/<L>/<N>[.p/<W>]``, ``tile/entries/<N>[.p/<W>]``.

A tile has 256 hashes; the rightmost tile of a level may be partial. An entry bundle holds the
entries of one lowest tile, each behind its length as u16.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from fhir_bridge.errors import NotFound
from fhir_bridge.ledger.tree import TILE_HEIGHT, TILE_WIDTH

__all__ = ["TileAddress", "entry_bundle", "parse_tile_path", "tile_width"]

_PATH = re.compile(r"(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
_MAX_LEVEL = 63
_MAX_NUMBER = 1 << 48


@dataclass(frozen=True, slots=True)
class TileAddress:
    """One tile or entry bundle."""

    level: int | None
    """None for an entry bundle."""
    number: int
    width: int
    """256, or fewer for a partial tile."""

    def __str__(self) -> str:
        level = "entries" if self.level is None else str(self.level)
        digits = f"{self.number:03d}"
        digits = digits.rjust(-(-len(digits) // 3) * 3, "0")
        parts = [digits[i : i + 3] for i in range(0, len(digits), 3)]
        path = "/".join([*("x" + part for part in parts[:-1]), parts[-1]])
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"{level}/{path}{partial}"


def parse_tile_path(path: str) -> TileAddress:
    """The address behind ``tile/``; NotFound unless it is written in the one way."""
    match = _PATH.fullmatch(path)
    if match is not None:
        level = None if match.group(1) == "entries" else int(match.group(1))
        number = int(match.group(2).replace("/", "").replace("x", ""))
        width = int(match.group(3) or TILE_WIDTH)
        if number < _MAX_NUMBER and (level or 0) <= _MAX_LEVEL:
            address = TileAddress(level, number, width)
            if str(address) == path:
                return address
    raise NotFound("there is no such tile", code="no-such-tile")


def tile_width(size: int, level: int, number: int) -> int:
    """How many hashes the tile has in a tree of ``size``; 0 when it is not there."""
    hashes = size >> TILE_HEIGHT * level
    return max(0, min(TILE_WIDTH, hashes - number * TILE_WIDTH))


def entry_bundle(entries: Iterable[bytes]) -> bytes:
    """Entries, each behind its length as big-endian u16."""
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)
