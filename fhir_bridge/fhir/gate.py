"""The schema gate: one compiled strict validator per resource type, made on first use.

Nested resources (contained, Bundle entries, Parameters) are dispatched to the validator of their
own type with their path in front. ``is_valid`` is the fast path; only a refused resource is
walked again for its errors, with every value masked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import jsonschema_rs

from fhir_bridge.errors import Issue
from fhir_bridge.fhir.facts import RESOURCE_TYPES
from fhir_bridge.fhir.findings import finding
from fhir_bridge.fhir.schema import resource_schema

__all__ = ["ENOUGH", "Path", "compile_types", "is_large", "nested", "schema_issues", "text_of"]

Path = tuple[str | int, ...]
ENOUGH = 50
"""More findings than this help nobody."""
_LARGE = 5_000
"""Values in a tree above which one finding has to do: the library makes all of them before it
gives the first, 45 µs each."""


@cache
def _validator(type_: str) -> Any:
    return jsonschema_rs.Draft4Validator(
        resource_schema(type_),
        mask="a value",
        pattern_options=jsonschema_rs.RegexOptions(
            size_limit=50_000_000, dfa_size_limit=50_000_000
        ),
    )


def compile_types(types: Sequence[str]) -> None:
    """Compile ahead of forking workers; about 4 ms and 1 MB each."""
    for type_ in types:
        _validator(type_)


def text_of(path: Path, root: str) -> str:
    """A FHIRPath-like location: ``Patient.contact[0].name``."""
    return root + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)


def nested(tree: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    """The resources directly inside one resource, with their paths; they may be malformed."""
    type_ = tree.get("resourceType")
    contained = tree.get("contained")
    if contained is not None:
        for i, inner in enumerate(contained if isinstance(contained, list) else ()):
            yield ("contained", i), inner
    if type_ == "Bundle":
        yield from _entries(tree)
    elif type_ == "Parameters":
        yield from _parameters(tree.get("parameter"), ("parameter",))


def _entries(bundle: dict[str, Any]) -> Iterator[tuple[Path, Any]]:
    for i, entry in enumerate(bundle.get("entry") or ()):
        if "resource" in entry:
            yield ("entry", i, "resource"), entry["resource"]
        if "response" in entry and "outcome" in entry["response"]:
            yield ("entry", i, "response", "outcome"), entry["response"]["outcome"]


def _parameters(items: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    for i, item in enumerate(items or ()):
        if "resource" in item:
            yield (*path, i, "resource"), item["resource"]
        yield from _parameters(item.get("part"), (*path, i, "part"))


def schema_issues(
    tree: Any, path: Path = (), root: str = "", *, inside: bool = True
) -> list[Issue]:
    """What the schemas find, in a resource and in those ``inside`` it; empty when it is right."""
    type_ = tree.get("resourceType") if isinstance(tree, dict) else None
    where = text_of(path, root) if root else ""
    if not isinstance(type_, str) or type_ not in RESOURCE_TYPES:
        return [Issue("structure", _no_type(tree), where or "resourceType")]
    root = root or type_
    if not _validator(type_).is_valid(tree):
        return _explained(type_, tree, path, root)
    if not inside or ("contained" not in tree and type_ not in ("Bundle", "Parameters")):
        return []
    issues: list[Issue] = []
    for inner_path, inner in nested(tree):
        issues += schema_issues(inner, path + inner_path, root)
        if len(issues) >= ENOUGH:
            break
    return issues


def _no_type(tree: Any) -> str:
    if not isinstance(tree, dict):
        return "a resource is a JSON object"
    if "resourceType" not in tree:
        return "resourceType is missing"
    return "resourceType is not the name of an R4 resource type"


def _errors(validator: Any, tree: Any) -> Iterator[Any]:
    """What the validator says of a tree that it refuses; of a large one the first alone."""
    if is_large(tree):
        try:
            validator.validate(tree)
        except jsonschema_rs.ValidationError as error:
            yield error
        return
    yield from validator.iter_errors(tree)


def is_large(tree: Any) -> bool:
    """Whether not all that is wrong with a tree is found."""
    nodes = [tree]
    for node in nodes:
        if isinstance(node, dict | list):
            nodes.extend(node.values() if isinstance(node, dict) else node)
        if len(nodes) > _LARGE:
            return True
    return False


def _explained(type_: str, tree: Any, path: Path, root: str) -> list[Issue]:
    issues: dict[tuple[str, str], Issue] = {}
    for error in _errors(_validator(type_), tree):
        inner = tuple(error.instance_path)
        code, message = finding(type_, inner, error, tree)
        place = text_of(path + inner, root)
        issues.setdefault((place, message), Issue(code, message, place))
        if len(issues) >= ENOUGH:
            break
    return list(issues.values())
