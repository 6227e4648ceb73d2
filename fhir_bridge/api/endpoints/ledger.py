"""``/ledger``: checkpoint, tiles and proofs of the log (C2SP tlog-tiles, tlog-proof).

Hash tiles are public: they hold hashes of sealed entries. Entry tiles and proofs by entry are
the auditor's.
"""

from __future__ import annotations

import re
from typing import Final

from fhir_bridge.api.contract import Call, Reply
from fhir_bridge.errors import NotFound

__all__ = ["checkpoint", "entry_proof", "entry_tile", "tile"]

_NUMBER: Final = (
    r"(?:x[0-9]{3}/){0,6}[0-9]{3}(\.p/(?:[1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)
_TILE = re.compile(rf"(?:[0-9]|[1-5][0-9]|6[0-3])/{_NUMBER}\Z", re.ASCII)
_ENTRIES = re.compile(rf"{_NUMBER}\Z", re.ASCII)
_FOREVER = "public, max-age=31536000, immutable"


async def checkpoint(call: Call) -> Reply:
    """The latest signed tree head."""
    return Reply(200, (await call.exchange.checkpoint()).encode(), "text/plain; charset=utf-8")


async def tile(call: Call) -> Reply:
    """A tile of hashes: ``<level>/<number>[.p/<width>]``."""
    path = call.params["path"]
    if _TILE.match(path) is None:
        raise NotFound("no such tile")
    return _octets(await call.exchange.tile(path))


async def entry_tile(call: Call) -> Reply:
    """A bundle of sealed leaves, for auditors: ``entries/<number>[.p/<width>]``."""
    path = call.params["path"]
    if _ENTRIES.match(path) is None:
        raise NotFound("no such tile")
    reply = _octets(await call.exchange.entry_tile(call.who, call.info, path))
    reply.headers["Cache-Control"] = "no-store"
    return reply


async def entry_proof(call: Call) -> Reply:
    """The proof of one entry by its index or entry id."""
    text = await call.exchange.entry_proof(call.who, call.info, call.params["entry"])
    return Reply(200, text.encode(), "text/plain; charset=utf-8")


def _octets(raw: bytes) -> Reply:
    # A tile never changes once it exists, not even a partial one (C2SP tlog-tiles).
    return Reply(200, raw, "application/octet-stream", {"Cache-Control": _FOREVER})
