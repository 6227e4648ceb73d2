"""From the text of one search value to what it asks for (R4 search.html, per parameter type)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fhir_bridge.errors import Incorrect
from fhir_bridge.search.amounts import decimal_of, range_of_decimal, sortable
from fhir_bridge.search.moments import range_of
from fhir_bridge.search.normalise import fold, split_reference

__all__ = ["HOW", "date", "number", "quantity", "reference", "split", "string", "token", "uri"]

HOW = {
    "eq": "within",
    "ne": "outside",
    "gt": "above",
    "lt": "below",
    "ge": "from",
    "le": "upto",
    "sa": "after",
    "eb": "before",
    "ap": "overlaps",
}
"""R4 search.html#prefix: how the stored range must lie to the asked one."""

_TENTH = Decimal("0.1")


def split(text: str, mark: str, most: int = -1) -> list[str]:
    """Cut at ``mark`` where it is not escaped; escapes stay (R4 search.html#escaping)."""
    parts: list[str] = [""]
    escaped = False
    for c in text:
        if c == mark and not escaped and len(parts) != most:
            parts.append("")
        else:
            parts[-1] += c
        escaped = c == "\\" and not escaped
    return parts


def _plain(text: str) -> str:
    return re.sub(r"\\([\\,|$])", r"\1", text)


def token(text: str) -> tuple[Any, ...]:
    """``code``, ``system|code``, ``|code`` or ``system|`` (R4 #token)."""
    parts = [_plain(part) for part in split(text, "|", 2)]
    if len(parts) == 1:
        return None, parts[0]
    system, code = parts
    if not system and not code:
        raise Incorrect("a token needs a system or a code", code="search-value")
    return system, code or None


def string(text: str, how: str) -> tuple[Any, ...]:
    """How to compare, the folded text and the exact one (R4 #string)."""
    exact = _plain(text)
    return how, fold(exact), exact


def uri(text: str) -> tuple[Any, ...]:
    """The uri as it is (R4 #uri)."""
    return (_plain(text),)


def date(text: str, now_us: int) -> tuple[Any, ...]:
    """How to compare, and the range that the value means (R4 #date).

    ``ap`` widens it by a tenth of its distance from now, as R4 suggests.
    """
    prefix, value = _prefixed(text)
    low, high = range_of(_zoned(value))
    if prefix == "ap":
        gap = max(abs(now_us - low), abs(now_us - high)) // 10
        return HOW["ap"], low - gap, high + gap
    return HOW[prefix], low, high


def _zoned(value: str) -> str:
    # in a query an unescaped "+" of a zone arrives as a space
    return value[:-6] + "+" + value[-5:] if value[-6:-5] == " " else value


def number(text: str) -> tuple[Any, ...]:
    """A number without a unit (R4 #number)."""
    return (*_amount(text), None, None)


def quantity(text: str) -> tuple[Any, ...]:
    """``number``, ``number|system|code`` or ``number||code`` (R4 #quantity)."""
    parts = [_plain(part) for part in split(text, "|")]
    if len(parts) not in (1, 3):
        raise Incorrect("a quantity is written number|system|code", code="search-value")
    system, code = (parts[1] or None, parts[2] or None) if len(parts) == 3 else (None, None)
    return (*_amount(parts[0]), system, code)


def _amount(text: str) -> tuple[str, bytes, bytes]:
    prefix, value = _prefixed(text)
    exact = decimal_of(value)
    if prefix in ("eq", "ne"):
        # R4 #number: 5.4 asks for [5.35, 5.45); other prefixes take the number as exact
        low, high = range_of_decimal(exact)
    elif prefix == "ap":
        low, high = exact - abs(exact) * _TENTH, exact + abs(exact) * _TENTH
    else:
        low = high = exact
    return HOW[prefix], sortable(low), sortable(high)


def _prefixed(text: str) -> tuple[str, str]:
    value = _plain(text)
    return (value[:2], value[2:]) if value[:2] in HOW else ("eq", value)


def reference(
    text: str, type_: str, targets: Sequence[str], bases: Sequence[str]
) -> list[tuple[Any, ...]]:
    """``id``, ``Type/id`` or an address (R4 #reference); ``type_`` is the ``:[type]`` modifier.

    A bare id stands for that id in any of the target types.
    """
    value = _plain(text)
    found = split_reference(value)
    if found is not None:
        base, named, id_ = found
        if base is not None and base not in bases:
            return [("", "", value)]
        if type_ and type_ != named:
            raise Incorrect("the reference and its modifier name two types", code="search-value")
        return [(named, id_, "")]
    if "/" in value or ":" in value or "|" in value:
        return [("", "", value)]
    return [(named, value, "") for named in ((type_,) if type_ else targets)]
