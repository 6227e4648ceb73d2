"""From a value in a resource to search terms, one small function per (search type, data type).

R4 search.html#token, #string, #date, #reference, #uri, #quantity. A term is a tuple whose first
two members are its kind and the parameter's id:

    ("token", id, system, code)    system "": none; None: implied and not known
    ("string", id, folded, exact)
    ("date", id, low, high)        microseconds UTC, half-open
    ("ref", id, type, logical id, url)   a local reference, or ("", "", url) for any other
    ("uri", id, uri)
    ("quantity", id, low, high, system, code, unit)   ``amounts.sortable``, both ends within
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from fhir_bridge.search.amounts import (
    HIGHEST,
    LOWEST,
    decimal_of,
    sortable,
)
from fhir_bridge.search.moments import EARLIEST, LATEST, range_of

__all__ = ["NORMALISERS", "SKIPPED", "Normaliser", "Term", "code_within", "fold"]
__all__ += ["reference_within", "split_reference"]

Term = tuple[Any, ...]
Normaliser = Callable[[int, Any], Iterable[Term]]

_LOCAL = re.compile(
    r"(?:(https?://.+)/)?([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?",
    re.ASCII,
)
_PIECE = 128
_HUMAN_NAME = ("text", "family", "given", "prefix", "suffix")
_ADDRESS = ("text", "line", "city", "district", "state", "postalCode", "country")


@lru_cache(maxsize=8192)
def fold(text: str) -> str:
    """Text as string search compares it: no case, no accents, single spaces (R4 #string)."""
    if text.isascii():
        return " ".join(text.casefold().split())
    # In pieces: NFKD puts a run of marks in order, in the square of its length. They go anyway.
    pieces = (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
    parts = (c for piece in pieces for c in unicodedata.normalize("NFKD", piece))
    bare = "".join(c for c in parts if not unicodedata.combining(c))
    return " ".join(unicodedata.normalize("NFKD", bare.casefold()).split())


def split_reference(text: str) -> tuple[str | None, str, str] | None:
    """(base address or None, type, id) of a literal reference to a resource, else None."""
    match = _LOCAL.fullmatch(text)
    return (match.group(1), match.group(2), match.group(3)) if match else None


def code_within(systems: Mapping[str, str]) -> Normaliser:
    """For ``code`` elements: the system is the one that the binding takes the code from."""

    def code(p: int, value: Any) -> Iterable[Term]:
        yield "token", p, systems.get(value), value

    return code


def _boolean(p: int, value: Any) -> Iterable[Term]:
    yield "token", p, None, "true" if value else "false"


def _plain_token(p: int, value: Any) -> Iterable[Term]:
    yield "token", p, "", value


def _coding(p: int, value: Mapping[str, Any]) -> Iterable[Term]:
    system, code = value.get("system", ""), value.get("code", "")
    if system or code:
        yield "token", p, system, code


def _codeable_concept(p: int, value: Mapping[str, Any]) -> Iterable[Term]:
    for coding in value.get("coding", ()):
        yield from _coding(p, coding)


def _identifier(p: int, value: Mapping[str, Any]) -> Iterable[Term]:
    system, number = value.get("system", ""), value.get("value", "")
    if system or number:
        yield "token", p, system, number


def _contact_point(p: int, value: Mapping[str, Any]) -> Iterable[Term]:
    if "value" in value:
        yield "token", p, None, value["value"]


def _string(p: int, value: str) -> Iterable[Term]:
    yield "string", p, fold(value), value


def _parts(names: tuple[str, ...]) -> Normaliser:
    def parts(p: int, value: Mapping[str, Any]) -> Iterable[Term]:
        for name in names:
            found = value.get(name)
            for text in found if isinstance(found, list) else (found,):
                if text:
                    yield "string", p, fold(text), text

    return parts


def _date(p: int, value: str) -> Iterable[Term]:
    yield "date", p, *range_of(value)


def _period(p: int, value: Mapping[str, Any]) -> Iterable[Term]:
    start, end = value.get("start"), value.get("end")
    if start or end:
        yield (
            "date",
            p,
            range_of(start)[0] if start else EARLIEST,
            range_of(end)[1] if end else LATEST,
        )


def _timing(p: int, value: Mapping[str, Any]) -> Iterable[Term]:
    # R4 search.html#date: only the outer limits of a Timing matter
    ranges = [range_of(event) for event in value.get("event", ()) if event]
    for term in _period(p, (value.get("repeat") or {}).get("boundsPeriod") or {}):
        ranges.append((term[2], term[3]))
    if ranges:
        yield "date", p, min(low for low, _ in ranges), max(high for _, high in ranges)


def reference_within(bases: Sequence[str]) -> Normaliser:
    """For ``Reference``: relative ones, and those below ``bases``, are local; contained: none."""

    def reference(p: int, value: Mapping[str, Any]) -> Iterable[Term]:
        text = value.get("reference", "")
        if not text or text.startswith("#"):
            return
        found = split_reference(text)
        if found and (found[0] is None or found[0] in bases):
            yield "ref", p, found[1], found[2], ""
        elif "?" not in text or "://" in text:
            yield "ref", p, "", "", text

    return reference


def _canonical(p: int, value: str) -> Iterable[Term]:
    if value.startswith("#"):
        return
    yield "ref", p, "", "", value
    if "|" in value:
        yield "ref", p, "", "", value.split("|", 1)[0]


def _nested(p: int, value: Mapping[str, Any]) -> Iterable[Term]:
    # Bundle.entry[0].resource: the parameter is a reference, the value a whole resource
    if "id" in value:
        yield "ref", p, value["resourceType"], value["id"], ""


def _attachment(p: int, value: Mapping[str, Any]) -> Iterable[Term]:
    if "url" in value:
        yield "ref", p, "", "", value["url"]


def _uri(p: int, value: str) -> Iterable[Term]:
    yield "uri", p, value


def _number(p: int, value: Any) -> Iterable[Term]:
    at = sortable(decimal_of(value))
    yield "quantity", p, at, at, "", "", ""


def _quantity(p: int, value: Mapping[str, Any]) -> Iterable[Term]:
    if "value" not in value:
        return
    at = sortable(decimal_of(value["value"]))
    system, code = value.get("system", ""), value.get("code", "")
    yield "quantity", p, at, at, system, code, value.get("unit", "")


def _money(p: int, value: Mapping[str, Any]) -> Iterable[Term]:
    currency = {"system": "urn:iso:std:iso:4217", "code": value.get("currency", "")}
    yield from _quantity(p, {**value, **currency})


def _range(p: int, value: Mapping[str, Any]) -> Iterable[Term]:
    low, high = value.get("low") or {}, value.get("high") or {}
    unit = low or high
    if unit:
        names = unit.get("system", ""), unit.get("code", ""), unit.get("unit", "")
        least = sortable(decimal_of(low["value"])) if "value" in low else LOWEST
        most = sortable(decimal_of(high["value"])) if "value" in high else HIGHEST
        yield "quantity", p, least, most, *names


_TOKENS: dict[str, Normaliser] = {
    "code": code_within({}),
    "boolean": _boolean,
    "string": _plain_token,
    "id": _plain_token,
    "uri": _plain_token,
    "Coding": _coding,
    "CodeableConcept": _codeable_concept,
    "Identifier": _identifier,
    "ContactPoint": _contact_point,
}
_QUANTITIES: dict[str, Normaliser] = {
    "Quantity": _quantity,
    "Age": _quantity,
    "Duration": _quantity,
    "Money": _money,
    "Range": _range,
}

NORMALISERS: Mapping[str, Mapping[str, Normaliser]] = {
    "token": _TOKENS,
    "string": {
        "string": _string,
        "markdown": _string,
        "HumanName": _parts(_HUMAN_NAME),
        "Address": _parts(_ADDRESS),
    },
    "date": {
        "date": _date,
        "dateTime": _date,
        "instant": _date,
        "Period": _period,
        "Timing": _timing,
    },
    "reference": {
        "Reference": reference_within(()),
        "canonical": _canonical,
        "uri": _canonical,
        "Attachment": _attachment,
        "Resource": _nested,
    },
    "uri": {"uri": _uri, "url": _uri, "canonical": _uri},
    "quantity": _QUANTITIES,
    "number": {"decimal": _number, "integer": _number, "Range": _range},
}

SKIPPED = frozenset(
    {("date", "string"), ("date", "Age"), ("date", "Range"), ("quantity", "SampledData")}
)
"""(search type, data type) pairs of a choice that carry no value of that search type."""
