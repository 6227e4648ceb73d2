"""References inside a transaction: to one another, and by condition (R4 http.html#trules).

What does not resolve is collected, so that one answer names all of it. Conditions may hold
patient values: an error shows the type and the parameter, never the value.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from fhir_bridge.errors import BridgeError, Incorrect, Issue, NotFound
from fhir_bridge.exchange.directory import spellings
from fhir_bridge.exchange.guards import canonical
from fhir_bridge.exchange.match import Conditions
from fhir_bridge.fhir import RESOURCE_TYPES, Resource, reference_texts, references
from fhir_bridge.search import known_names

__all__ = ["References", "local_links"]


def local_links(resource: Resource, base_url: str) -> dict[str, str]:
    """References that spell out our own address, and ``Type/id`` in place of each.

    Else a patient under a whole URL would be nobody that a Consent of theirs can protect.
    """
    base = f"{base_url}/"
    if base.encode() not in resource.raw and b"\\" not in resource.raw:
        return {}
    texts = reference_texts(resource.objects)
    return {text: text.removeprefix(base) for text in texts if text.startswith(base)}


class References:
    """The references of one transaction; conditions are asked once each."""

    def __init__(self, conditions: Conditions, base_url: str) -> None:
        self._conditions = conditions
        self._base = f"{base_url}/"
        self._named: dict[str, str] = {}
        self._written: dict[tuple[str, str], dict[str, None]] = {}
        """Who is written under which condition, in its canonical spelling."""
        self._found: dict[str, str | None] = {}
        self._unresolved: list[Issue] = []

    def name(self, full_url: str, local: str) -> None:
        """``full_url`` of an entry stands for the resource ``local`` (``Type/id``)."""
        if full_url in self._named and self._named[full_url] != local:
            self._unresolved.append(
                Issue("duplicate", "two entries have the same fullUrl", "Bundle.entry.fullUrl")
            )
        self._named[full_url] = local

    def writes(self, tree: dict[str, Any], local: str) -> None:
        """The transaction writes this as ``local``: R4 resolves conditional references last, so
        they may mean it. Told by its identifiers."""
        if isinstance(tree.get("identifier"), list):
            for text in spellings(tree):
                key = (tree["resourceType"], urlencode({"identifier": text}))
                self._written.setdefault(key, {})[local] = None

    def conditional_types(self, resources: Iterable[Resource]) -> set[str]:
        """The types that the conditional references in ``resources`` search."""
        texts = {text for one in resources for text in reference_texts(one.objects)}
        return {text.partition("?")[0] for text in texts if "?" in text} & RESOURCE_TYPES

    def of(self, resource: Resource, where: str) -> dict[str, str]:
        """What to put in place of which reference text in a resource, which stands at ``where``."""
        found: dict[str, str] = {}
        for text in reference_texts(resource.objects):
            try:
                new = self._resolve(text)
            except NotFound as miss:
                self._unresolved += (
                    Issue("not-found", miss.message, place)
                    for place in _places(resource, text, where)
                )
            except BridgeError as error:
                place = _places(resource, text, where)[0]
                raise Incorrect(error.message, code=error.code, where=place) from error
            else:
                if new != text:
                    found[text] = new
        return found

    def _resolve(self, text: str) -> str:
        plain, mark, fragment = text.partition("#")
        if plain in self._named:
            return self._named[plain] + mark + fragment
        if text.startswith(("urn:uuid:", "urn:oid:")):
            raise NotFound(f"{text}: no entry of the transaction has this fullUrl")
        type_, asks, query = text.partition("?")
        if asks and type_ in RESOURCE_TYPES:
            return self._conditional(type_, query)
        return text.removeprefix(self._base)

    def _conditional(self, type_: str, query: str) -> str:
        key = f"{type_}?{query}"
        if key not in self._found:
            there = [f"{type_}/{hit.id}" for hit in self._conditions.matches(type_, query)]
            meant = {*there, *self._written.get((type_, canonical(query)), ())}
            self._found[key] = meant.pop() if len(meant) == 1 else None
        found = self._found[key]
        if found is None:
            names = (part.partition("=")[0].partition(":")[0] for part in query.split("&"))
            parameters = ",".join(name if name in known_names() else "?" for name in names)
            raise NotFound(
                f"{type_}?{parameters}=…: the condition does not match exactly one resource"
            )
        return found

    def check(self) -> None:
        """Incorrect, naming every reference that did not resolve."""
        if self._unresolved:
            raise Incorrect(
                f"{len(self._unresolved)} references of the transaction do not resolve",
                code="unresolved-reference",
                issues=self._unresolved,
            )


def _places(resource: Resource, text: str, where: str) -> list[str]:
    """Where a reference of this text stands: asked only when that has to be told."""
    return [f"{where}.{ref.path}" for ref in references(resource.tree) if ref.reference == text]
