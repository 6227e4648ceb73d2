"""The cursor of a ``next`` link: a sealed place in an answer.

It is bound to its requester, the query and the place where the page before ended. Nothing of it
can be read or made by anybody else (R4 http.html#paging leaves its form to the server).
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Any

import orjson

from fhir_bridge.errors import BridgeError, NotFound, Unsupported
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.terms import Requester

__all__ = ["cursor_of", "place_of"]

_PURPOSE = "cursor"


def cursor_of(rooms: Rooms, requester: Requester, place: dict[str, Any]) -> str:
    """A sealed place in an answer, for this requester alone."""
    seal, _ = rooms.keys.sealing(_PURPOSE)
    packed = zlib.compress(orjson.dumps({**place, "who": _who(requester)}, default=_plain))
    cursor = base64.urlsafe_b64encode(seal(packed)).decode().rstrip("=")
    if len(cursor) > rooms.limits.max_cursor:
        raise Unsupported(
            "this search is too long to be continued on a next page; ask for fewer values",
            code="too-costly",
        )
    return cursor


def place_of(rooms: Rooms, requester: Requester, cursor: str) -> dict[str, Any]:
    """The place in a cursor; NotFound unless it was given to this requester."""
    _, unseal = rooms.keys.sealing(_PURPOSE)
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place: dict[str, Any] = orjson.loads(zlib.decompress(unseal(raw)))
    except (BridgeError, ValueError, binascii.Error, zlib.error):
        raise _no_page() from None
    if place["who"] != _who(requester):
        raise _no_page()
    return {**place, "after": _revived(place["after"])}


def _who(requester: Requester) -> list[str]:
    return [requester.client_id, requester.organization, requester.purpose, requester.user or ""]


def _no_page() -> NotFound:
    return NotFound("there is no such page; start the search again", code="no-page")


def _plain(value: object) -> object:
    """Sort keys may be bytes; JSON has none."""
    if isinstance(value, bytes):
        return {"b": base64.b64encode(value).decode()}
    raise TypeError(type(value).__name__)


def _revived(after: Any) -> Any:
    if isinstance(after, list):
        return [_revived(one) for one in after]
    if isinstance(after, dict):
        return base64.b64decode(after["b"])
    return after
