"""JSON objects from strangers: no duplicate keys, no NaN, a shallow nesting."""

from __future__ import annotations

import json
from typing import Any, NoReturn

__all__ = ["object_of"]

MAX_DEPTH = 8


def object_of(unverified: bytes) -> dict[str, Any] | None:
    """The JSON object in these bytes, or None if it is anything else or is not clean."""
    try:
        value = json.loads(
            unverified.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse
        )
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and _depth(value) <= MAX_DEPTH else None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found


def _refuse(_: str) -> NoReturn:
    raise ValueError("not JSON")


def _depth(value: object, level: int = 1) -> int:
    if level > MAX_DEPTH:
        return level
    if isinstance(value, dict):
        return max((_depth(v, level + 1) for v in value.values()), default=level)
    if isinstance(value, list):
        return max((_depth(v, level + 1) for v in value), default=level)
    return level
