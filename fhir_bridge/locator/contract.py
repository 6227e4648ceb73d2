"""What goes into the locator, what comes out, and the shape of a plan it can run.

A plan comes from another room; it is taken by structure. The tuples in ``Predicate.any_of``:

    token     (system, code)   system None: any; "": none. code None: any of that system
    ref       (type, id, "") for a local resource, ("", "", url) for any other
    uri       (uri,)
    string    (how, folded, exact)   how: prefix, exact, contains
    date      (how, low, high)       how: within, outside, above, below, from, upto, after, before
    quantity  (how, low, high, system, code)   low, high: sortable bytes; system, code None: any
    id        (logical id,)
    updated   (how, low, high)
    missing   (True,) or (False,)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import Struct

__all__ = [
    "AuditAt",
    "Facts",
    "Gate",
    "Hit",
    "Include",
    "Included",
    "Order",
    "Page",
    "Plan",
    "Predicate",
    "Row",
]

Gate = Callable[[int], bool]
"""Whether rows of this facts group may be seen. Pure during one call; remember the answers."""


class Facts(Struct, frozen=True, gc=False):
    """What consent must know of a row without opening it; interned, named by a group id."""

    type: str
    patients: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    author: str = ""


class Row(Struct, frozen=True, gc=False):
    """One resource version to be indexed."""

    index: int
    """Position on the ledger."""
    type: str
    id: str
    version_id: str
    number: int
    """1 for the first version of this id; grows by one."""
    updated_us: int
    deleted: bool
    group: Facts
    terms: Sequence[tuple[Any, ...]] = ()
    """Search terms; empty for a deletion."""


class AuditAt(Struct, frozen=True, gc=False):
    """An audit row and whom it is about: a patient's id, or a set handle."""

    subject: str | bytes
    row: int


class Hit(Struct, frozen=True, gc=False):
    """A resource version as the locator knows it."""

    index: int
    type: str
    id: str
    version_id: str
    number: int
    updated_us: int
    deleted: bool
    group: int


@dataclass(frozen=True, slots=True)
class Page:
    """Matches in order. ``next_key`` is None when nothing visible can follow."""

    hits: tuple[Hit, ...]
    total: int | None = None
    next_key: tuple[Any, ...] | None = None


@dataclass(frozen=True, slots=True)
class Included:
    """What includes add to a page; ``complete`` is False when the limit cut it short."""

    hits: tuple[Hit, ...] = field(default=())
    complete: bool = True


class Predicate(Protocol):
    """One condition; holds when any of ``any_of`` holds, or none of them if ``negated``."""

    @property
    def kind(self) -> str: ...
    @property
    def param(self) -> int: ...
    @property
    def any_of(self) -> tuple[tuple[Any, ...], ...]: ...
    @property
    def negated(self) -> bool: ...


class Order(Protocol):
    """One sort key: kind ``updated``, ``id``, ``date`` or ``string``."""

    @property
    def kind(self) -> str: ...
    @property
    def param(self) -> int: ...
    @property
    def descending(self) -> bool: ...


class Plan(Protocol):
    """A search within one resource type. No order: newest on the ledger first."""

    @property
    def type(self) -> str: ...
    @property
    def predicates(self) -> Sequence[Predicate]: ...
    @property
    def order(self) -> Sequence[Order]: ...
    @property
    def count(self) -> int: ...
    @property
    def total(self) -> bool: ...


class Include(Protocol):
    """Follow ``param`` of ``source`` resources; ``target`` "" for any type."""

    @property
    def source(self) -> str: ...
    @property
    def params(self) -> tuple[int, ...]: ...
    @property
    def target(self) -> str: ...
