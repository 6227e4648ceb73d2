"""The R4 fact tables, read once from package data (written by ``tools/generate_r4.py``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import orjson

__all__ = [
    "RESOURCE_TYPES",
    "Element",
    "codes_of",
    "element_tables",
    "json_names",
    "patient_compartment",
    "patient_elements",
    "search_parameters",
    "system_of",
    "type_at",
]


class Element(NamedTuple):
    """One element of a type: cardinality and ``{type: reference targets}`` (none: any)."""

    least: int
    many: bool
    types: Mapping[str, Sequence[str]]
    value_set: str = ""
    """The required value set, where it can be enumerated."""


def _read(name: str, key: str) -> Any:
    data = files("fhir_bridge.fhir").joinpath("data", name).read_bytes()
    return orjson.loads(data)[key]


RESOURCE_TYPES: frozenset[str] = frozenset(_read("resources.json", "resources"))
"""The 146 concrete resource types of R4 4.0.1."""


@cache
def element_tables() -> Mapping[str, Mapping[str, Element]]:
    """``{type or backbone path: {element name: Element}}``; choices keep their ``[x]``."""
    rows = _read("elements.json", "types")
    return {
        path: {
            name: Element(row[0], bool(row[1]), row[2], *row[3:]) for name, row in children.items()
        }
        for path, children in rows.items()
    }


@cache
def json_names(path: str) -> Mapping[str, tuple[str, Element]]:
    """``{JSON property: (type, Element)}`` of a type, choices written out (R4 json.html)."""
    found: dict[str, tuple[str, Element]] = {}
    for name, element in element_tables()[path].items():
        for type_ in element.types:
            key = name
            if name.endswith("[x]"):
                key = name[:-3] + type_[0].upper() + type_[1:]
            found[key] = (type_, element)
    return found


def type_at(resource_type: str, keys: Sequence[str]) -> str:
    """The R4 type found by following JSON property names from a resource; "" if there is none."""
    here = resource_type
    for key in keys:
        if here not in element_tables():
            return ""
        entry = json_names(here).get(key)
        if entry is None:
            return ""
        here = entry[0]
    return here


@cache
def _value_sets() -> Mapping[str, Mapping[str, Sequence[str]]]:
    table: Mapping[str, Mapping[str, Sequence[str]]] = _read("codes.json", "value_sets")
    return table


def codes_of(value_set: str) -> Mapping[str, Sequence[str]]:
    """``{system: codes}`` of an enumerable required value set, by its short name."""
    return _value_sets()[value_set]


def system_of(value_set: str, code: str) -> str | None:
    """The code system that a plain ``code`` bound to this value set comes from."""
    return next((s for s, codes in codes_of(value_set).items() if code in codes), None)


@cache
def search_parameters() -> Sequence[Mapping[str, Any]]:
    """Facts of every R4 SearchParameter: url, code, type, base, expression, target, component."""
    rows: Sequence[Mapping[str, Any]] = _read("search-parameters.json", "parameters")
    return rows


@cache
def patient_compartment() -> Mapping[str, Sequence[str]]:
    """``{resource type: search parameter codes}`` of the R4 patient compartment."""
    table: Mapping[str, Sequence[str]] = _read("patient-compartment.json", "compartment")
    return table


@cache
def patient_elements() -> Mapping[str, Sequence[tuple[str, ...]]]:
    """``{resource type: JSON paths}`` of the references that can name a resource's patient."""
    rows = _read("patient-elements.json", "elements")
    return {type_: tuple(tuple(p.split(".")) for p in paths) for type_, paths in rows.items()}
