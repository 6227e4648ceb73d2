"""JSON to a tree: exact numbers, no duplicate keys, bounded depth, no value in any message."""

from __future__ import annotations

import re
from typing import Any

import jiter

from fhir_bridge.errors import Incorrect, Issue

__all__ = ["JsonValue", "parse", "without_bom"]

JsonValue = Any
"""dict, list, str, bool, None, int, or Decimal for every number written with ``.`` or ``e``."""

_BOM = b"\xef\xbb\xbf"
_PLACE = re.compile(r"line \d+ column \d+")
_WORDS = (
    ("Detected duplicate key", "an object has the same property twice"),
    ("recursion limit", "nested deeper than 200 levels"),
    ("control character", "a raw control character inside a string"),
    ("invalid unicode", "not valid UTF-8"),
    ("lone leading surrogate", "half of a surrogate pair in an escape"),
    ("unexpected end of hex escape", "half of a surrogate pair in an escape"),
    ("EOF", "the JSON text ends too early"),
    ("trailing characters", "something follows the JSON value"),
    ("number out of range", "a number is too long"),
    ("Internal error", "a number is out of range"),
)


def without_bom(data: bytes) -> bytes:
    """The bytes without one leading byte order mark (RFC 8259 §8.1 lets a parser ignore it)."""
    return data.removeprefix(_BOM)


def parse(data: bytes) -> JsonValue:
    """The JSON value of ``data``; raises Incorrect with the position of the first fault.

    The parser caches property names only: values are patient data and must not outlive the call.
    """
    try:
        return jiter.from_json(
            without_bom(data),
            allow_inf_nan=False,
            cache_mode="keys",
            catch_duplicate_keys=True,
            float_mode="decimal",
        )
    except ValueError as fault:
        text = str(fault)
    place = _PLACE.search(text)
    where = place.group() if place else ""
    words = next((w for start, w in _WORDS if text.startswith(start)), "not valid JSON")
    message = f"{words} ({where})" if where else words
    raise Incorrect(message, code="json", where=where, issues=[Issue("structure", message, where)])
