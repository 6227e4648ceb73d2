"""Take a Bundle apart: each entry's own bytes and tree, with one parse for the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct

from fhir_bridge.errors import Incorrect, Issue
from fhir_bridge.fhir.bundle_rules import bundle_issues
from fhir_bridge.fhir.gate import schema_issues
from fhir_bridge.fhir.parse import parse, without_bom
from fhir_bridge.fhir.walk import may_have_twins, walk

__all__ = ["Entry", "SplitBundle", "split_bundle"]


class Entry(Struct, frozen=True, gc=False):
    """One entry: the resource as sent (not yet judged) and what is asked for it."""

    full_url: str | None = None
    resource_raw: bytes | None = None
    tree: Any = None
    """The parsed resource, for ``admit_tree(entry.tree, entry.resource_raw)``."""
    method: str | None = None
    url: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_match: str | None = None
    if_none_exist: str | None = None


@dataclass(frozen=True, slots=True)
class SplitBundle:
    """A Bundle whose own elements are right; its resources are still to be admitted."""

    type: str
    entries: tuple[Entry, ...]


class _RawEntry(msgspec.Struct):
    resource: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _RawBundle(msgspec.Struct):
    entry: list[_RawEntry] = []


_slices = msgspec.json.Decoder(_RawBundle).decode


def split_bundle(raw: bytes) -> SplitBundle:
    """The entries of a Bundle, in order; Incorrect when the Bundle around them is wrong.

    JSON faults anywhere refuse the whole. Resources inside are not judged here, so that a batch
    can answer for each; ``admit_tree`` judges them without a second parse.
    """
    raw = without_bom(raw)
    tree = parse(raw)
    if not isinstance(tree, dict) or tree.get("resourceType") != "Bundle":
        raise Incorrect("a Bundle is expected", code="structure", where="resourceType")
    envelope = _envelope(tree)
    issues = schema_issues(envelope, inside=False)
    if not issues:
        issues, _ = walk(envelope, has_twins=may_have_twins(raw))
        issues.extend(bundle_issues(tree, "Bundle", is_judged=False))
    if issues:
        raise _refused(issues)
    slices = _slices(raw).entry
    entries = tuple(
        _entry(e, s.resource) for e, s in zip(tree.get("entry", ()), slices, strict=True)
    )
    return SplitBundle(tree["type"], entries)


def _refused(issues: list[Issue]) -> Incorrect:
    first = issues[0]
    return Incorrect(f"{first.where}: {first.message}", code=first.code, issues=issues)


def _envelope(bundle: dict[str, Any]) -> dict[str, Any]:
    """The Bundle with every resource replaced by one of which nothing is asked."""
    entries = bundle.get("entry")
    if not isinstance(entries, list):
        return bundle
    blank = {"resourceType": "Basic"}
    return bundle | {
        "entry": [
            e | {"resource": blank}
            if isinstance(e, dict) and isinstance(e.get("resource"), dict)
            else e
            for e in entries
        ]
    }


def _entry(entry: dict[str, Any], resource: Any) -> Entry:
    request = entry.get("request", {})
    return Entry(
        full_url=entry.get("fullUrl"),
        resource_raw=None if resource is msgspec.UNSET else bytes(resource),
        tree=entry.get("resource"),
        method=request.get("method"),
        url=request.get("url"),
        if_none_match=request.get("ifNoneMatch"),
        if_modified_since=request.get("ifModifiedSince"),
        if_match=request.get("ifMatch"),
        if_none_exist=request.get("ifNoneExist"),
    )
