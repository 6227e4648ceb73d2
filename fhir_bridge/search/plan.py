"""What a search means, as plain values: a query as understood, and the plan that runs it.

The tuples in ``Predicate.any_of``, by kind:

    token     (system, code)   system None: any; "": none. code None: any of that system
    ref       (type, id, "") for a local resource, ("", "", url) for any other
    uri       (uri,)
    string    (how, folded, exact)   how: prefix, exact, contains
    date      (how, low, high)       microseconds; how: see ``values.HOW``
    quantity  (how, low, high, system, code)   sortable bytes; system, code None: any
    id        (logical id,)
    updated   (how, low, high)
    missing   (True,) or (False,)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Include", "Limits", "Order", "Plan", "Predicate", "Query", "plan"]


@dataclass(frozen=True, slots=True)
class Predicate:
    """One condition: any of ``any_of`` holds, or none of them if ``negated``."""

    kind: str
    param: int
    any_of: tuple[tuple[Any, ...], ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """One sort key of kind ``updated``, ``id``, ``date`` or ``string``."""

    kind: str
    param: int
    descending: bool


@dataclass(frozen=True, slots=True)
class Include:
    """Follow the reference parameters ``params`` of ``source``; ``target`` "" for any type."""

    source: str
    params: tuple[int, ...]
    target: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one search."""

    count: int = 20
    """Page size when the client asks for none."""
    max_count: int = 1_000
    max_parameters: int = 40
    max_values: int = 200
    """Comma-separated values of one parameter."""
    max_all_values: int = 1_000
    """Of all parameters together: each is a condition of the statement that runs."""
    max_sort: int = 8


@dataclass(frozen=True, slots=True)
class Query:
    """A search as it was understood."""

    type: str
    predicates: tuple[Predicate, ...] = ()
    order: tuple[Order, ...] = ()
    count: int = 20
    total: str = "none"
    """``none``, ``estimate`` or ``accurate`` (R4 search.html#total)."""
    includes: tuple[Include, ...] = ()
    revincludes: tuple[Include, ...] = ()
    used: tuple[tuple[str, str], ...] = ()
    """(name, value) pairs for the ``self`` link: what really was used."""
    ignored: tuple[str, ...] = ()
    """Names that were left out; lenient handling only."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What the locator runs."""

    type: str
    predicates: tuple[Predicate, ...] = ()
    order: tuple[Order, ...] = ()
    count: int = 20
    total: bool = False


def plan(query: Query) -> Plan:
    """The runnable part of a query. ``_count=0`` asks for the total alone (R4 #count)."""
    return Plan(
        query.type,
        query.predicates,
        query.order,
        query.count,
        query.total != "none" or query.count == 0,
    )
