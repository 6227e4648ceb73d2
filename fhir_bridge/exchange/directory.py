"""The other names of an organisation, so that a Consent may call it by any of them.

``Organization/<id>`` and its identifiers name one organisation when an Organization entry says
so that *this node* authored. An organisation cannot name itself: an entry written by anybody
else gives no name, or one could take another's by writing its identifier down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_bridge.fhir import parse
from fhir_bridge.locator import Facts, Hit, Locator
from fhir_bridge.search import parse as parse_query
from fhir_bridge.search import plan

__all__ = ["Directory", "identifiers", "spellings"]


class Directory:
    """Aliases by registered organisation."""

    def __init__(
        self, locator: Callable[[], Locator], body: Callable[[int], bytes], member: str
    ) -> None:
        self._locator = locator
        self._body = body
        self._member = member

    def aliases(self, organization: str) -> tuple[str, ...]:
        """The further names of ``organization``; none when the directory is silent or unsure."""
        kind, slash, id_ = organization.partition("/")
        if kind == "Organization" and slash:
            hit = self._locator().current("Organization", id_)
            if hit is None or hit.deleted or not self._trusted(hit.group):
                return ()
            return tuple(identifiers(parse(self._body(hit.index))))
        hits = [hit for hit in self._named(organization) if self._trusted(hit.group)]
        # No match or two: nobody is meant for sure.
        return (f"Organization/{hits[0].id}",) if len(hits) == 1 else ()

    def _named(self, identifier: str) -> tuple[Hit, ...]:
        text = identifier.replace("\\", "\\\\").replace(",", "\\,").replace("$", "\\$")
        query = parse_query("Organization", [("identifier", text)])
        return self._locator().search(plan(query), self._trusted).hits

    def _trusted(self, group: int) -> bool:
        facts: Facts = self._locator().facts(group)
        return facts.author == self._member and not facts.patients


def identifiers(tree: dict[str, Any]) -> list[str]:
    """The names of an Organization beside its id, as ``system|value``."""
    return [
        f"{one['system']}|{one['value']}"
        for one in tree.get("identifier", ())
        if "system" in one and "value" in one
    ]


def spellings(tree: dict[str, Any]) -> list[str]:
    """Every text that finds an Organization as ``identifier`` (R4 search.html#token)."""
    values = [one for one in tree.get("identifier", ()) if "value" in one]
    bare = [one["value"] for one in values]
    alone = [f"|{one['value']}" for one in values if "system" not in one]
    return [*identifiers(tree), *bare, *alone]
