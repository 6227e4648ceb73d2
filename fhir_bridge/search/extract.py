"""From a resource to its search terms: one walk over a tree of shared prefixes.

All trails of a type are merged, so each JSON member is looked at once, whatever the number of
parameters. A value that cannot be normalised is counted and skipped; it never stops a write.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_bridge.errors import Fault
from fhir_bridge.search.catalogue import WRITTEN, Enabled, Parameter, parameters, trails_of
from fhir_bridge.search.definitions import systems_of
from fhir_bridge.search.normalise import (
    NORMALISERS,
    SKIPPED,
    Normaliser,
    Term,
    code_within,
    reference_within,
)
from fhir_bridge.search.trails import Guard, Step, Test, Trail

__all__ = ["Extractor", "extract", "failures", "select", "visit"]

_log = logging.getLogger("fhir_bridge.search")

failures: Counter[tuple[str, str]] = Counter()
"""(resource type, parameter) -> values that could not be indexed since the start."""


@dataclass(slots=True)
class Branch:
    """One step of at least one trail, with what hangs below it."""

    step: Step
    leaves: list[Callable[[Any, list[Any]], None]] = field(default_factory=list)
    below: list[Branch] = field(default_factory=list)


class Extractor:
    """The compiled extraction of one resource type."""

    def __init__(self, type_: str, enabled: Enabled = WRITTEN, bases: tuple[str, ...] = ()) -> None:
        self._root = Branch(Step(""))
        for parameter in parameters(type_, enabled).values():
            for trail in trails_of(parameter):
                normaliser = _normaliser(parameter, trail, bases)
                if normaliser is not None:
                    _hang(self._root, trail, _leaf(parameter, normaliser))

    def terms(self, tree: Mapping[str, Any]) -> list[Term]:
        """All terms of a resource of this type, without repetition, in no useful order."""
        found: list[Term] = []
        visit(self._root, tree, found)
        return list(dict.fromkeys(found))


_extractors: dict[tuple[str, Enabled, tuple[str, ...]], Extractor] = {}


def extract(
    tree: Mapping[str, Any], enabled: Enabled = WRITTEN, bases: tuple[str, ...] = ()
) -> list[Term]:
    """The search terms of an admitted resource; see ``normalise`` for their shape.

    ``bases`` are this service's own addresses: references below them are local ones.
    """
    key = (tree["resourceType"], enabled, bases)
    extractor = _extractors.get(key)
    if extractor is None:
        extractor = _extractors[key] = Extractor(*key)
    return extractor.terms(tree)


def select(parameter: Parameter, tree: Mapping[str, Any]) -> list[Any]:
    """The values that a parameter's expression selects, before normalisation, with repetition."""
    root = Branch(Step(""))
    for trail in trails_of(parameter):
        _hang(root, trail, lambda value, found: found.append(value))
    selected: list[Any] = []
    visit(root, tree, selected)
    return selected


def visit(branch: Branch, value: Any, found: list[Any]) -> None:
    """Run the leaves of ``branch`` on ``value`` and go on below; results go to ``found``."""
    for leaf in branch.leaves:
        leaf(value, found)
    if not branch.below or type(value) is not dict:
        return
    for child in branch.below:
        step = child.step
        inner = value.get(step.key)
        if inner is None:
            continue
        items: Iterable[Any] = inner if type(inner) is list else (inner,)
        if step.at is not None:
            items = list(items)[step.at : step.at + 1]
        for item in items:
            if item is not None and (not step.guards or _holds(step.guards, item)):
                visit(child, item, found)


def _holds(guards: tuple[Guard, ...], item: Any) -> bool:
    return all(
        item.get(g.key) == g.value if g.key else _names_type(item, str(g.value)) for g in guards
    )


def _names_type(reference: Mapping[str, Any], type_: str) -> bool:
    # stands for resolve() is T: by the text of the reference, else by Reference.type
    text = reference.get("reference", "")
    return f"/{type_}/" in f"/{text}" if "/" in text else reference.get("type") == type_


def _normaliser(parameter: Parameter, trail: Trail, bases: tuple[str, ...]) -> Normaliser | None:
    if (parameter.type, trail.type) == ("token", "code"):
        return code_within(systems_of(trail.value_set))
    if (parameter.type, trail.type) == ("reference", "Reference"):
        return reference_within(bases)
    found = NORMALISERS.get(parameter.type, {}).get(trail.type)
    if found is None and (parameter.type, trail.type) not in SKIPPED:
        raise Fault(f"{parameter.base}.{parameter.code}: no normaliser for {trail.type}")
    return found


def _leaf(parameter: Parameter, normaliser: Normaliser) -> Callable[[Any, list[Any]], None]:
    number, base, code = parameter.id, parameter.base, parameter.code

    def leaf(value: Any, found: list[Any]) -> None:
        try:
            found.extend(normaliser(number, value))
        except Exception:
            # the exception may carry the value: only names are logged
            failures[base, code] += 1
            _log.warning("a value of %s?%s could not be indexed", base, code)

    return leaf


def _hang(root: Branch, trail: Trail, leaf: Callable[[Any, list[Any]], None]) -> None:
    if trail.test is not None:
        root.leaves.append(_tested(trail.test, leaf))
        return
    branch = root
    for step in trail.steps:
        child = next((b for b in branch.below if b.step == step), None)
        if child is None:
            child = Branch(step)
            branch.below.append(child)
        branch = child
    branch.leaves.append(leaf)


def _tested(test: Test, leaf: Callable[[Any, list[Any]], None]) -> Callable[[Any, list[Any]], None]:
    root = Branch(Step(""))
    for inner in test.trails:
        _hang(root, inner, lambda value, found: found.append(value))

    def tested(value: Any, found: list[Any]) -> None:
        values: list[Any] = []
        visit(root, value, values)
        leaf(bool(values) and test.unless not in values, found)

    return tested
