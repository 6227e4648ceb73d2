"""Expand R4 value sets from the code systems of the same package, or say that it cannot be done."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Codes = dict[str, list[str]]
"""``{system: codes}``."""


class NotEnumerable(Exception):
    """The value set needs something that the package does not hold in full."""


class Terminology:
    """The value sets of a package; ``kept`` gathers those that some element needs."""

    def __init__(self, package: dict[str, dict[str, Any]]) -> None:
        self._value_sets = {
            d["url"]: d for k, d in package.items() if k.startswith("ValueSet/") and "url" in d
        }
        self._systems = {
            d["url"]: d for k, d in package.items() if k.startswith("CodeSystem/") and "url" in d
        }
        self.kept: dict[str, Codes] = {}

    def keep(self, canonical: str) -> str:
        """The name under which the expansion is kept, or "" when it is not enumerable."""
        url = canonical.split("|")[0]
        name = url.rsplit("/", 1)[-1]
        if name not in self.kept:
            try:
                expansion = self.expand(url)
            except NotEnumerable as reason:
                print(f"not enumerable: {name} ({reason})")
                return ""
            self.kept[name] = {s: sorted(c) for s, c in sorted(expansion.items())}
        return name

    def expand(self, url: str) -> dict[str, set[str]]:
        definition = self._value_sets.get(url.split("|")[0])
        if definition is None or "compose" not in definition:
            raise NotEnumerable("no definition")
        found: dict[str, set[str]] = {}
        for include in definition["compose"]["include"]:
            for system, codes in self._component(include).items():
                found.setdefault(system, set()).update(codes)
        for exclude in definition["compose"].get("exclude", ()):
            for system, codes in self._component(exclude).items():
                found.get(system, set()).difference_update(codes)
        if not any(found.values()):
            raise NotEnumerable("empty")
        return found

    def _component(self, component: dict[str, Any]) -> dict[str, set[str]]:
        """One include or exclude: value sets and system narrow each other (R4 valueset.html)."""
        parts = [self.expand(v) for v in component.get("valueSet", ())]
        if "system" in component:
            parts.append({component["system"]: self._codes(component)})
        found = parts[0]
        for part in parts[1:]:
            found = {s: found[s] & part[s] for s in found.keys() & part.keys()}
        return found

    def _codes(self, component: dict[str, Any]) -> set[str]:
        if "concept" in component:
            return {c["code"] for c in component["concept"]}
        system = self._systems.get(component["system"])
        if system is None or system.get("content") != "complete":
            raise NotEnumerable(component["system"])
        parents = dict(_concepts(system))
        codes = set(parents)
        for wanted in component.get("filter", ()):
            codes &= _filtered(wanted, parents)
        return codes


def _concepts(system: dict[str, Any]) -> Iterator[tuple[str, set[str]]]:
    """Each code of a code system that may be chosen, with the codes above it."""

    def walk(concepts: list[dict[str, Any]], above: set[str]) -> Iterator[tuple[str, set[str]]]:
        for concept in concepts:
            parents = above | {
                p["valueCode"]
                for p in concept.get("property", ())
                if p["code"] == "subsumedBy" and "valueCode" in p
            }
            yield concept["code"], parents
            yield from walk(concept.get("concept", []), parents | {concept["code"]})

    yield from walk(system.get("concept", []), set())


def _filtered(wanted: dict[str, Any], parents: dict[str, set[str]]) -> set[str]:
    if wanted["property"] not in ("concept", "code", "parent"):
        raise NotEnumerable(f"filter on {wanted['property']}")

    def above(code: str, seen: frozenset[str] = frozenset()) -> set[str]:
        up = parents.get(code, set()) - seen
        return up.union(*(above(p, seen | up) for p in up))

    value = wanted["value"]
    below = {c for c in parents if value in above(c)}
    if wanted["op"] == "is-a":
        return below | ({value} & parents.keys())
    if wanted["op"] == "descendent-of":
        return below
    if wanted["op"] == "is-not-a":
        return set(parents) - below - {value}
    raise NotEnumerable(f"filter {wanted['op']}")
