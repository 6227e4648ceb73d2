"""A resource that may be stored: parsed, through the gate, walked, invariants held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from msgspec import Struct

from fhir_bridge.errors import Incorrect, Issue
from fhir_bridge.fhir.bundle_rules import bundle_issues
from fhir_bridge.fhir.gate import ENOUGH, is_large, nested, schema_issues, text_of
from fhir_bridge.fhir.invariants import has_invariants, resource_invariants
from fhir_bridge.fhir.parse import parse, without_bom
from fhir_bridge.fhir.walk import Objects, may_have_twins, objects_of, walk

__all__ = ["Mode", "Resource", "admit", "admit_tree", "check"]

Mode = Literal["strict", "lenient"]
_HOLDERS = frozenset({"Bundle", "Parameters"})


class Resource(Struct, frozen=True, gc=False):
    """One R4 resource: its tree for reading and the sender's own bytes for storing."""

    type: str
    tree: dict[str, Any]
    raw: bytes
    id: str | None = None
    version_id: str | None = None
    last_updated: str | None = None
    objects: Objects = []
    """Every object in the tree, itself first."""
    issues: tuple[Issue, ...] = ()
    """What lenient admission let through, to be stored beside the resource."""


def admit(raw: bytes, *, expected_type: str | None = None, mode: Mode = "strict") -> Resource:
    """The resource in ``raw``, or Incorrect with every finding as an Issue.

    ``expected_type`` is the type of the URL it was sent to.
    """
    return admit_tree(parse(raw), without_bom(raw), expected_type=expected_type, mode=mode)


def admit_tree(
    tree: Any, raw: bytes, *, expected_type: str | None = None, mode: Mode = "strict"
) -> Resource:
    """As ``admit`` for a tree that ``parse`` made of exactly these bytes."""
    _check_envelope(tree, expected_type)
    issues, objects = _judged(tree, may_have_twins(raw))
    if issues and (mode == "strict" or is_large(tree) or any(_is_grave(i) for i in issues)):
        raise _refusal(issues)
    meta = tree.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    return Resource(
        type=tree["resourceType"],
        tree=tree,
        raw=raw,
        id=tree.get("id"),
        version_id=meta.get("versionId"),
        last_updated=meta.get("lastUpdated"),
        objects=objects or objects_of(tree),
        issues=tuple(issues),
    )


def check(tree: Any, *, has_twins: bool = True) -> list[Issue]:
    """Every finding in a tree; empty when it is a right R4 resource.

    ``has_twins=False`` promises that no property name starts with an underscore.
    """
    return _judged(tree, has_twins)[0]


def _judged(tree: Any, has_twins: bool) -> tuple[list[Issue], Objects]:
    """Findings, and the objects of a tree whose schema holds."""
    issues = schema_issues(tree)
    if issues:
        return issues, []
    issues, objects = walk(tree, has_twins=has_twins)
    type_ = tree["resourceType"]
    if type_ in _HOLDERS or has_invariants(tree):
        issues.extend(_resource_issues(tree, type_))
    return issues, objects


def _resource_issues(tree: dict[str, Any], where: str) -> Iterator[Issue]:
    yield from resource_invariants(tree, where)
    if tree["resourceType"] not in _HOLDERS:
        return
    if tree["resourceType"] == "Bundle":
        yield from bundle_issues(tree, where)
    for path, inner in nested(tree):
        if path[0] != "contained":
            yield from _resource_issues(inner, text_of(path, where))


def _check_envelope(tree: Any, expected_type: str | None) -> None:
    if not isinstance(tree, dict):
        raise _refusal([Issue("structure", "a resource is a JSON object")])
    type_ = tree.get("resourceType")
    if expected_type is not None and isinstance(type_, str) and type_ != expected_type:
        message = f"resourceType is not {expected_type}, the type of this address"
        raise _refusal([Issue("invalid", message, "resourceType")])


_GRAVE_PLACES = ("id", "resourceType", "meta.lastUpdated", "meta.versionId")


def _is_grave(issue: Issue) -> bool:
    """What lenient admission refuses as well: identity, type, shape of dates (they are indexed)."""
    place = issue.where.partition(".")[2] or issue.where
    return place in _GRAVE_PLACES or "date" in issue.message or "instant" in issue.message


def _refusal(issues: list[Issue]) -> Incorrect:
    first = issues[0]
    more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
    message = f"{first.where}: {first.message}{more}" if first.where else first.message + more
    return Incorrect(message, code=first.code, where=first.where, issues=issues[:ENOUGH])
