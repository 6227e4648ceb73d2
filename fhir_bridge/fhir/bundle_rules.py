"""What a Bundle must keep beside the schema: bdl-1 to bdl-12, full URLs, links inside documents.

R4 bundle.html. Entries are looked at, not judged: their resources have schemas of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fhir_bridge.errors import Issue
from fhir_bridge.fhir.facts import RESOURCE_TYPES

__all__ = ["bundle_issues"]

Tree = dict[str, Any]

_REQUESTS = frozenset({"batch", "transaction", "history"})
_RESPONSES = frozenset({"batch-response", "transaction-response", "history"})
_STRICT_URLS = frozenset({"batch", "transaction", "document"})
"""Where links are resolved by full URL; official collections and messages are less careful."""
_FIRST = {"document": ("Composition", "bdl-11"), "message": ("MessageHeader", "bdl-12")}
_REST_URL = re.compile(
    r"(?P<base>https?://.+?/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9.-]{1,64})"
)
_UUID_URL = re.compile(r"urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def bundle_issues(bundle: Tree, where: str, *, is_judged: bool = True) -> Iterator[Issue]:
    """Findings in one Bundle whose schema holds.

    With ``is_judged=False`` its resources may still be anything, so that a document's links are
    not followed.
    """
    type_ = bundle.get("type")
    entries = bundle.get("entry", [])
    if "total" in bundle and type_ not in ("searchset", "history"):
        yield _broken("bdl-1", "total belongs to searchset and history only", where)
    if type_ in _FIRST:
        yield from _document_or_message(bundle, type_, where, is_judged)
    seen: set[tuple[Any, Any]] = set()
    for i, entry in enumerate(entries):
        place = f"{where}.entry[{i}]"
        yield from _entry_issues(entry, type_, place)
        if "fullUrl" not in entry:
            continue
        yield from _full_url_issues(entry, type_, place)
        version = _version_of(entry.get("resource") or {})
        if type_ != "history" and (entry["fullUrl"], version) in seen:
            yield _broken("bdl-7", "two entries have the same fullUrl", f"{place}.fullUrl")
        seen.add((entry["fullUrl"], version))


def _version_of(resource: Tree) -> str | None:
    meta = resource.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    return version if isinstance(version, str) else None


def _broken(key: str, message: str, where: str) -> Issue:
    return Issue("invariant", f"{message} ({key})", where)


def _entry_issues(entry: Tree, type_: str | None, place: str) -> Iterator[Issue]:
    if "search" in entry and type_ != "searchset":
        yield _broken("bdl-2", "search belongs to searchset only", place)
    if ("request" in entry) != (type_ in _REQUESTS):
        yield _broken("bdl-3", "request belongs to batch, transaction and history", place)
    if ("response" in entry) != (type_ in _RESPONSES):
        yield _broken("bdl-4", "response belongs to responses and history", place)


def _full_url_issues(entry: Tree, type_: str | None, place: str) -> Iterator[Issue]:
    url = entry["fullUrl"]
    place = f"{place}.fullUrl"
    if "/_history/" in url:
        yield _broken("bdl-8", "a fullUrl names no version", place)
    if ":" not in url:
        yield Issue("value", "a fullUrl is absolute", place)
    if url.startswith("urn:uuid:") and not _UUID_URL.fullmatch(url):
        yield Issue("value", "urn:uuid: is followed by a UUID in lower case", place)
    parts = _REST_URL.fullmatch(url)
    resource = entry.get("resource") or {}
    if parts is None or parts["type"] not in RESOURCE_TYPES or "resourceType" not in resource:
        return
    if type_ not in _STRICT_URLS:
        return
    request = entry.get("request", {})
    id_ = resource.get("id")
    if parts["type"] != resource["resourceType"]:
        yield Issue("value", "fullUrl and resource name different types", place)
    elif id_ is not None and parts["id"] != id_ and request.get("method") != "POST":
        yield Issue("value", "fullUrl and resource have different ids", place)


def _document_or_message(bundle: Tree, type_: str, where: str, is_judged: bool) -> Iterator[Issue]:
    entries = bundle.get("entry", [])
    first, key = _FIRST[type_]
    leading = (entries[0].get("resource") or {}) if entries else {}
    if leading.get("resourceType") != first:
        yield _broken(key, f"the first resource is a {first}", where)
    if type_ != "document":
        return
    identifier = bundle.get("identifier", {})
    if not all(k in identifier or f"_{k}" in identifier for k in ("system", "value")):
        yield _broken("bdl-9", "a document has an identifier with system and value", where)
    if "timestamp" not in bundle:
        yield _broken("bdl-10", "a document has a timestamp", where)
    for i, entry in enumerate(entries):
        if "fullUrl" not in entry:
            yield Issue("required", "a document entry has a fullUrl", f"{where}.entry[{i}]")
    if is_judged and leading.get("resourceType") == first:
        yield from _unresolved(bundle, leading, f"{where}.entry[0].resource")


def _unresolved(bundle: Tree, composition: Tree, where: str) -> Iterator[Issue]:
    """A document holds what its Composition refers to (R4 documents.html#content)."""
    entries = bundle["entry"]
    urls = {e.get("fullUrl") for e in entries}
    base = (_REST_URL.fullmatch(entries[0].get("fullUrl", "")) or {"base": None})["base"]
    for place, reference in _composition_links(composition):
        plain = reference.partition("/_history/")[0].partition("#")[0]
        is_relative = ":" not in plain
        if not plain or (not is_relative and not plain.startswith("urn:")):
            continue
        if (f"{base}{plain}" if is_relative and base else plain) not in urls:
            yield Issue("not-found", "the document lacks what this refers to", f"{where}.{place}")


def _composition_links(composition: Tree) -> Iterator[tuple[str, str]]:
    for name in ("subject", "encounter", "custodian", "author"):
        for node in _listed(composition.get(name)):
            yield name, node.get("reference", "")
    for name, inner in (("attester", "party"), ("event", "detail")):
        for node in _listed(composition.get(name)):
            for link in _listed(node.get(inner)):
                yield f"{name}.{inner}", link.get("reference", "")
    sections = list(composition.get("section", ()))
    while sections:
        section = sections.pop()
        sections.extend(section.get("section", ()))
        for name in ("author", "focus", "entry"):
            for link in _listed(section.get(name)):
                yield f"section.{name}", link.get("reference", "")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
