"""Which search parameters exist, their stable numbers, and which of them are written now.

A parameter's id is its place in the sorted list of all (type, code) pairs of R4; it is what the
locator stores. ``fingerprint`` changes whenever stored rows would have to be written anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from fhir_bridge.search.definitions import (
    ABSTRACT,
    Definition,
    definitions,
    elements,
    resource_types,
)
from fhir_bridge.search.expression import parse_expression
from fhir_bridge.search.trails import Trail, trails

__all__ = ["ALL", "WRITTEN", "Enabled", "Parameter", "fingerprint", "parameters"]
__all__ += ["targets_of", "trails_of"]

_LAYOUT = "1"
_LATER = frozenset({"composite", "special"})


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter of one concrete resource type."""

    id: int
    base: str
    code: str
    type: str
    targets: tuple[str, ...]
    definition: Definition


@dataclass(frozen=True, slots=True)
class Enabled:
    """The table of what is written: codes, and whole search types."""

    codes: frozenset[str]
    types: frozenset[str]

    def has(self, definition: Definition) -> bool:
        """Whether values of this parameter are written."""
        if definition.type in _LATER or definition.code.startswith("_"):
            return False
        return definition.code in self.codes or definition.type in self.types


WRITTEN = Enabled(
    codes=frozenset(
        {
            "birthdate",
            "category",
            "code",
            "date",
            "family",
            "given",
            "identifier",
            "name",
            "patient",
            "status",
            "subject",
        }
    ),
    types=frozenset({"reference"}),
)
"""Every reference is written, because includes and compartments need it."""

ALL = Enabled(
    codes=frozenset(),
    types=frozenset({"token", "string", "date", "reference", "uri", "quantity", "number"}),
)


@cache
def _every() -> Mapping[str, Mapping[str, Parameter]]:
    chosen: dict[tuple[str, str], Definition] = {}
    types = resource_types()
    for definition in definitions():
        for base in definition.bases:
            for type_ in types if base in ABSTRACT else (base,):
                chosen[type_, definition.code] = definition
    table: dict[str, dict[str, Parameter]] = {type_: {} for type_ in types}
    for number, (type_, code) in enumerate(sorted(chosen), start=1):
        d = chosen[type_, code]
        table[type_][code] = Parameter(number, type_, code, d.type, d.targets, d)
    return table


@cache
def parameters(type_: str, enabled: Enabled = WRITTEN) -> Mapping[str, Parameter]:
    """Code -> parameter, for the parameters of ``type_`` that are written."""
    return {c: p for c, p in _every().get(type_, {}).items() if enabled.has(p.definition)}


def trails_of(parameter: Parameter) -> tuple[Trail, ...]:
    """The trails of a parameter on its type."""
    node = parse_expression(parameter.definition.expression)
    return trails(node, parameter.base, elements())


@cache
def targets_of(parameter: Parameter) -> tuple[str, ...]:
    """The resource types that a reference parameter can lead to."""
    guards = [
        {g.value for step in trail.steps for g in step.guards if not g.key}
        for trail in trails_of(parameter)
    ]
    if guards and all(guards):
        return tuple(sorted({str(value) for each in guards for value in each}))
    return parameter.targets or resource_types()


def fingerprint(enabled: Enabled = WRITTEN) -> str:
    """Names what the locator's rows mean; a file with another one is built anew."""
    digest = hashlib.sha256(_LAYOUT.encode())
    for type_, table in sorted(_every().items()):
        for code, p in sorted(table.items()):
            if enabled.has(p.definition):
                digest.update(f"{p.id} {type_} {code} {p.definition.expression}\n".encode())
    return digest.hexdigest()[:16]
