"""Invariants of one resource that need more than one element: contained resources, local
references, distinct keys. Schema-sized ones are in ``schema_rules.py``.

Each function takes a resource whose schema holds and yields findings under the official key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from fhir_bridge.errors import Issue

__all__ = ["has_invariants", "resource_invariants", "strings"]

Tree = dict[str, Any]


def strings(node: Any) -> Iterator[tuple[str, str]]:
    """Every ``(property name, text)`` in a tree; items of a list carry the list's name."""
    stack: list[tuple[str, Any]] = [("", node)]
    while stack:
        name, value = stack.pop()
        if isinstance(value, dict):
            stack.extend(value.items())
        elif isinstance(value, list):
            stack.extend((name, item) for item in value)
        elif isinstance(value, str):
            yield name, value


def has_invariants(tree: Tree) -> bool:
    """Whether this module has anything to say about a resource."""
    return "contained" in tree or tree["resourceType"] in _BY_TYPE


def resource_invariants(tree: Tree, where: str) -> Iterator[Issue]:
    """What the hand-written invariants find in one resource (not in those nested in it)."""
    if "contained" in tree:
        yield from _contained(tree, where)
    rule = _BY_TYPE.get(tree["resourceType"])
    if rule is not None:
        yield from rule(tree, where)


def _broken(key: str, message: str, where: str) -> Issue:
    return Issue("invariant", f"{message} ({key})", where)


def _contained(tree: Tree, where: str) -> Iterator[Issue]:
    contained = tree["contained"]
    seen: set[str] = set()
    outside, _ = _marks({k: v for k, v in tree.items() if k != "contained"})
    inside = [_marks(inner) for inner in contained]
    named = Counter(mark for marks, _ in inside for mark in marks)
    for i, (inner, (own, points_back)) in enumerate(zip(contained, inside, strict=True)):
        place = f"{where}.contained[{i}]"
        yield from _one_contained(inner, place)
        id_ = inner.get("id")
        if id_ in seen:
            yield _broken("dom-3", "two contained resources have the same id", place)
        seen.add(id_)
        mark = f"#{id_}"
        by_others = named[mark] - (mark in own)
        if mark not in outside and not points_back and not by_others:
            yield _broken("dom-3", "nothing refers to this contained resource", place)


def _marks(node: Any) -> tuple[set[str], bool]:
    """The texts in a tree that may be references to a contained resource, and whether one of
    them is to the container itself."""
    found: set[str] = set()
    points_back = False
    for name, text in strings(node):
        if text[:1] == "#":
            found.add(text)
            points_back = points_back or (name == "reference" and text == "#")
    return found, points_back


def _one_contained(inner: Tree, place: str) -> Iterator[Issue]:
    if "contained" in inner:
        yield _broken("dom-2", "a contained resource contains another", place)
    meta = inner.get("meta", {})
    if "versionId" in meta or "lastUpdated" in meta:
        yield _broken("dom-4", "a contained resource has a version or time of its own", place)
    if "security" in meta:
        yield _broken("dom-5", "a contained resource has security labels", place)


def _codings(concept: Any) -> list[tuple[Any, ...]]:
    keys = ("system", "version", "code", "display", "userSelected")
    return [tuple(c.get(k) for k in keys) for c in (concept or {}).get("coding", ())]


def _observation(tree: Tree, where: str) -> Iterator[Issue]:
    """obs-7: a component must not repeat the code of an Observation that has a value."""
    if "component" not in tree or not any(k.lstrip("_").startswith("value") for k in tree):
        return
    own = set(_codings(tree.get("code")))
    for i, component in enumerate(tree["component"]):
        if own.intersection(_codings(component.get("code"))):
            yield _broken("obs-7", "repeats Observation.code", f"{where}.component[{i}].code")


def _distinct(items: Iterator[Any], key: str, what: str, where: str) -> Iterator[Issue]:
    seen: set[Any] = set()
    for item in items:
        if item in seen:
            yield _broken(key, f"{what} repeats", where)
            return
        seen.add(item)


def _below(items: Any, name: str, key: str) -> Iterator[Any]:
    """``key`` of each item and of the items nested in it under ``name``."""
    stack = list(items or ())
    while stack:
        item = stack.pop()
        if key in item:
            yield item[key]
        stack.extend(item.get(name, ()))


def _questionnaire(tree: Tree, where: str) -> Iterator[Issue]:
    yield from _distinct(_below(tree.get("item"), "item", "linkId"), "que-2", "linkId", where)


def _code_system(tree: Tree, where: str) -> Iterator[Issue]:
    codes = _below(tree.get("concept"), "concept", "code")
    yield from _distinct(codes, "csd-1", "concept.code", where)


def _capability(tree: Tree, where: str) -> Iterator[Issue]:
    for i, rest in enumerate(tree.get("rest", ())):
        resources = rest.get("resource", ())
        place = f"{where}.rest[{i}]"
        types = iter([r["type"] for r in resources if "type" in r])
        yield from _distinct(types, "cpb-9", "resource.type", place)
        for resource in resources:
            names = iter([p["name"] for p in resource.get("searchParam", ()) if "name" in p])
            yield from _distinct(names, "cpb-12", "searchParam.name", f"{place}.resource")


def _structure(tree: Tree, where: str) -> Iterator[Issue]:
    for element in tree.get("differential", {}).get("element", ()):
        if "." not in element.get("path", ".") and "slicing" in element:
            yield _broken("sdf-20", "the root element is sliced", f"{where}.differential")
    for part, key in (("snapshot", "sdf-16"), ("differential", "sdf-17")):
        elements = tree.get(part, {}).get("element", ())
        if any("id" not in e for e in elements):
            yield _broken("sdf-14", "an element without an id", f"{where}.{part}")
        ids = iter([e["id"] for e in elements if "id" in e])
        yield from _distinct(ids, key, "element.id", f"{where}.{part}")


_BY_TYPE: dict[str, Callable[[Tree, str], Iterator[Issue]]] = {
    "Observation": _observation,
    "Questionnaire": _questionnaire,
    "CodeSystem": _code_system,
    "CapabilityStatement": _capability,
    "StructureDefinition": _structure,
}
