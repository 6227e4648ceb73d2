"""One pass over a tree that passed the schema, for what no schema can say.

Twin alignment (R4 json.html#primitive), whole numbers written with an exponent, the size of
decimals, elements that hold nothing but an id (ele-1), narratives, periods and ranges (per-1,
rng-2), stated attachment sizes, and the agreement of ``Reference.reference`` with ``.type``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

from fhir_bridge.errors import Issue
from fhir_bridge.fhir.dates import is_ordered
from fhir_bridge.fhir.facts import RESOURCE_TYPES, type_at
from fhir_bridge.fhir.gate import Path, text_of
from fhir_bridge.fhir.xhtml import narrative_fault

__all__ = ["Objects", "may_have_twins", "objects_of", "walk"]

Objects = list[dict[str, Any]]

Where = tuple[Any, ...]
"""``(where of the parent, property name, index or None)``; ``()`` at the root."""

_Contained = dict[int, set[Any]]
"""The ids contained in each resource that was asked about; gathered once."""

_MOST_DIGITS = 64
_MOST_EXPONENT = 308
_LIMIT = 10**_MOST_DIGITS
_SPECIAL = frozenset({"div", "end", "low", "data"})
_WHOLE = frozenset({"integer", "unsignedInt", "positiveInt"})


def may_have_twins(raw: bytes) -> bool:
    """False when no property name in these bytes of JSON starts with ``_``, escaped or not."""
    return b'"_' in raw or b"\\u005" in raw


def objects_of(tree: dict[str, Any]) -> Objects:
    """Every object in a tree, itself first, contained resources and twins included."""
    found: Objects = []
    nodes: list[Any] = [tree]
    for node in nodes:
        values = node
        if type(node) is dict:
            found.append(node)
            values = node.values()
        for value in values:
            if type(value) is dict or type(value) is list:
                nodes.append(value)
    return found


def walk(tree: dict[str, Any], *, has_twins: bool = True) -> tuple[list[Issue], Objects]:
    """Findings, and every object on the way (`objects_of`).

    ``has_twins=False`` promises that no property starts with ``_``.
    """
    plain = None if has_twins else _plain(tree)
    return (_findings(tree, has_twins), objects_of(tree)) if plain is None else ([], plain)


def _findings(tree: dict[str, Any], has_twins: bool) -> list[Issue]:
    issues: list[Issue] = []
    contained: _Contained = {}
    stack: list[tuple[dict[str, Any], Where]] = [(tree, ())]
    push, pop, ordinary = stack.append, stack.pop, _SPECIAL.isdisjoint
    while stack:
        node, where = pop()
        if not ordinary(node):
            issues.extend(_node_issues(tree, node, where))
        if "reference" in node:
            reference = node["reference"]
            if type(reference) is str and (reference[0] == "#" or "type" in node):
                issues.extend(_reference_issues(tree, node, reference, where, contained))
        if len(node) == 1 and "id" in node:
            issues.extend(_lone_id(tree, where))
        if has_twins:
            issues.extend(_twin_issues(tree, node, where))
        for key, value in node.items():
            kind = type(value)
            if kind is str:
                continue
            if kind is dict:
                push((value, (where, key, None)))
            elif kind is list:
                if type(value[0]) is dict and not has_twins:
                    for i, item in enumerate(value):
                        push((item, (where, key, i)))
                else:
                    issues.extend(_list_issues(tree, value, (where, key, None), has_twins))
                    stack.extend(
                        (item, (where, key, i))
                        for i, item in enumerate(value)
                        if type(item) is dict
                    )
            elif kind is Decimal or kind is int:
                issues.extend(_number_issues(tree, value, (where, key, None)))
    return issues


def _plain(tree: dict[str, Any]) -> Objects | None:
    """The objects of a tree without twins that certainly has no finding: the usual case, at a
    third of the cost, as it keeps no places. None: it has to be walked."""
    nodes: list[Any] = [tree]
    more, ordinary = nodes.append, _SPECIAL.isdisjoint
    for node in nodes:
        if not ordinary(node):
            for key, judge in _JUDGES.items():
                if key in node and judge(node, ()):
                    return None
        if "reference" in node:
            text = node["reference"]
            if type(text) is str and (text[0] == "#" or "type" in node):
                return None
        if len(node) == 1 and "id" in node:
            return None
        for value in node.values():
            kind = type(value)
            if kind is str:
                continue
            if kind is dict:
                more(value)
            elif kind is list:
                if type(value[0]) is dict:
                    nodes.extend(value)
                elif any(type(item) is not str and type(item) is not int for item in value):
                    return None
            elif (kind is Decimal and not _is_usual(value)) or (
                kind is int and not -_LIMIT < value < _LIMIT
            ):
                return None
    return nodes


def _is_usual(number: Decimal) -> bool:
    _, digits, exponent = number.as_tuple()
    return isinstance(exponent, int) and -_MOST_DIGITS < exponent < 0 and len(digits) < 20


def _list_issues(
    tree: dict[str, Any], items: list[Any], where: Where, has_twins: bool
) -> Iterator[Issue]:
    """A list of primitives, or a twin list."""
    if None in items and not has_twins:
        yield _issue(tree, where, "null without a twin list")
    for item in items:
        if type(item) is Decimal or type(item) is int:
            yield from _number_issues(tree, item, where)


def _issue(tree: dict[str, Any], where: Where, message: str, code: str = "structure") -> Issue:
    return Issue(code, message, text_of(_path(where), tree["resourceType"]))


def _path(where: Where) -> Path:
    steps: list[str | int] = []
    while where:
        parent, key, index = where
        if index is not None:
            steps.append(index)
        steps.append(key)
        where = parent
    return tuple(reversed(steps))


def _number_issues(tree: dict[str, Any], number: Any, where: Where) -> Iterator[Issue]:
    if type(number) is int:
        if not -_LIMIT < number < _LIMIT:
            yield _issue(tree, where, "a number has more than 64 digits", "value")
        return
    _, digits, exponent = number.as_tuple()
    if len(digits) > _MOST_DIGITS or abs(number.adjusted()) > _MOST_EXPONENT:
        yield _issue(tree, where, "a number has more than 64 digits or is out of range", "value")
    elif exponent >= 0 and _declared(tree, where) in _WHOLE:
        yield _issue(tree, where, "a whole number is written with an exponent", "value")


def _declared(tree: dict[str, Any], where: Where) -> str:
    """The R4 type at a place, counted from the nearest resource around it."""
    node: Any = tree
    type_, keys = tree["resourceType"], []
    for step in _path(where):
        node = node[step]
        if isinstance(step, str):
            keys.append(step)
        if isinstance(node, dict) and node.get("resourceType") in RESOURCE_TYPES:
            type_, keys = node["resourceType"], []
    return type_at(type_, keys)


def _twin_issues(tree: dict[str, Any], node: dict[str, Any], where: Where) -> Iterator[Issue]:
    for key, twin in node.items():
        if key[0] == "_":
            yield from _pair_issues(tree, key[1:], node.get(key[1:]), twin, where)
        elif type(twin) is list and None in twin and f"_{key}" not in node:
            yield _issue(tree, where, f"{key}: null without a twin list")


def _pair_issues(
    tree: dict[str, Any], name: str, value: Any, twin: Any, where: Where
) -> Iterator[Issue]:
    if isinstance(twin, dict):
        if value is None and len(twin) == 1 and "id" in twin:
            yield _issue(tree, where, f"{name}: neither a value nor an extension", "invariant")
        return
    if value is None:
        value = [None] * len(twin)
    if len(value) != len(twin):
        yield _issue(tree, where, f"{name} and _{name} differ in length")
        return
    for one, other in zip(value, twin, strict=True):
        if one is None and (other is None or (len(other) == 1 and "id" in other)):
            yield _issue(tree, where, f"{name}: an item with neither value nor extension")


def _lone_id(tree: dict[str, Any], where: Where) -> Iterator[Issue]:
    if not (where and where[1][0] == "_"):
        yield _issue(tree, where, "an element holds nothing but an id (ele-1)", "invariant")


def _node_issues(tree: dict[str, Any], node: dict[str, Any], where: Where) -> Iterator[Issue]:
    for key, judge in _JUDGES.items():
        if key in node:
            message = judge(node, where)
            if message:
                yield _issue(tree, where, message, "invariant")


def _reference_issues(
    tree: dict[str, Any], node: dict[str, Any], reference: str, where: Where, contained: _Contained
) -> Iterator[Issue]:
    if reference[0] == "#" and not _is_local(tree, reference, where, contained):
        message = "a local reference names no contained resource (ref-1)"
        yield _issue(tree, where, message, "invariant")
    named, stated = reference.partition("/")[0].partition("?")[0], node.get("type")
    if stated in RESOURCE_TYPES and named in RESOURCE_TYPES and named != stated:
        yield _issue(tree, where, "reference and type name different resource types", "value")


def _is_local(tree: dict[str, Any], reference: str, where: Where, contained: _Contained) -> bool:
    """ref-1: ``#id`` names a resource contained in the outermost one around the reference.

    ``#`` alone, inside a contained resource, is the container (R4 references.html#contained).
    """
    holder: Any = tree
    node: Any = tree
    is_contained = False
    for step in _path(where):
        is_contained = is_contained or (step == "contained" and node is holder)
        node = node[step]
        if not is_contained and type(node) is dict and node.get("resourceType") in RESOURCE_TYPES:
            holder = node
    if reference == "#":
        return is_contained
    ids = contained.get(id(holder))
    if ids is None:
        ids = contained[id(holder)] = {c.get("id") for c in holder.get("contained", ())}
    return reference[1:] in ids


def _narrative(node: dict[str, Any], where: Where) -> str:
    div = node["div"]
    return narrative_fault(div) if isinstance(div, str) else ""


def _period(node: dict[str, Any], where: Where) -> str:
    """per-1: start <= end."""
    start, end = node.get("start"), node["end"]
    if not (isinstance(start, str) and isinstance(end, str)) or "resourceType" in node:
        return ""
    return "" if is_ordered(start, end) else "the period does not start before it ends (per-1)"


def _range(node: dict[str, Any], where: Where) -> str:
    """rng-2: low is not above high, where both carry the same unit."""
    low, high = node["low"], node.get("high")
    if not (isinstance(low, dict) and isinstance(high, dict)):
        return ""
    if where and where[1] == "referenceRange":
        return ""
    same = all(low.get(k) == high.get(k) for k in ("system", "code", "unit"))
    if same and "value" in low and "value" in high and low["value"] > high["value"]:
        return "the range has its low above its high (rng-2)"
    return ""


def _attachment(node: dict[str, Any], where: Where) -> str:
    """Attachment.size is the size of the decoded data (R4 datatypes.html#attachment)."""
    data, size = node["data"], node.get("size")
    if not isinstance(data, str) or type(size) is not int:
        return ""
    bare = data.translate(_NO_SPACE)
    actual = len(bare) * 3 // 4 - bare[-2:].count("=")
    return "" if size == actual else "the stated size is not the size of the data"


_NO_SPACE = dict.fromkeys(map(ord, " \t\r\n"))
_JUDGES: dict[str, Callable[[dict[str, Any], Where], str]] = {
    "div": _narrative,
    "end": _period,
    "low": _range,
    "data": _attachment,
}
