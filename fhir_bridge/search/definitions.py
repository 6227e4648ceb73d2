"""The one place where this room takes the facts of R4 from the fhir room.

Gives the raw SearchParameters (R4 searchparameter-registry.html) and, for static typing, what
elements every type has, of which types they may be, and which codes belong to which system.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fhir_bridge.fhir import (
    RESOURCE_TYPES,
    Element,
    codes_of,
    element_tables,
    search_parameters,
)

__all__ = [
    "ABSTRACT",
    "Definition",
    "Elements",
    "definitions",
    "elements",
    "resource_types",
    "systems_of",
]

ABSTRACT = ("Resource", "DomainResource")

Elements = Mapping[str, Mapping[str, Element]]
"""Type or nested path -> element name (``value[x]`` for a choice) -> element."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One SearchParameter as published."""

    code: str
    type: str
    bases: tuple[str, ...]
    expression: str
    targets: tuple[str, ...]


@cache
def definitions() -> tuple[Definition, ...]:
    """Every R4 SearchParameter that has an expression."""
    return tuple(
        Definition(
            p["code"], p["type"], tuple(p["base"]), p["expression"], tuple(p.get("target", ()))
        )
        for p in search_parameters()
        if p.get("expression")
    )


def elements() -> Elements:
    """The element tables of all resource and data types."""
    return element_tables()


@cache
def resource_types() -> tuple[str, ...]:
    """The concrete resource types of R4, sorted."""
    return tuple(sorted(RESOURCE_TYPES))


@cache
def systems_of(value_set: str) -> Mapping[str, str]:
    """Code -> system, for the value set that a ``code`` element is bound to ("": none known)."""
    if not value_set:
        return {}
    return {code: system for system, codes in codes_of(value_set).items() for code in codes}
