"""A small reader of the BALP profiles: enough FSH to hold a rendered AuditEvent against them.

It knows fixed codes, slices of agent, entity and subtype by their type, and cardinalities.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ALIASES = {
    "DCM": "http://dicom.nema.org/resources/ontology/DCM",
    "BasicAuditEntityType": "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType",
}
RULE = re.compile(r"\* (agent|entity|subtype)\[(\w+)\](?:\.([\w.]+))? (.+?)(?:\s+//.*)?$")


def _code(text: str) -> tuple[str, str] | None:
    found = re.match(r"=?\s*(\S+)#(\S+)", text)
    return (ALIASES.get(found[1], found[1]), found[2]) if found else None


class Profile:
    """The rules of one profile with those of its parent."""

    def __init__(self, path: Path, name: str) -> None:
        self.fixed: dict[str, tuple[str, str]] = {}
        self.types: dict[tuple[str, str], tuple[str, str]] = {}
        self.counts: dict[tuple[str, str], tuple[int, int]] = {}
        self.rules: list[tuple[tuple[str, str], str, str]] = []
        self.sets: dict[str, set[tuple[str, str]]] = {}
        text = path.read_text("utf-8")
        for every in sorted(path.parent.glob("*.fsh")):
            self.sets |= _value_sets(every.read_text("utf-8"))
        blocks = {
            block.split()[1]: block
            for block in re.split(r"^(?=Profile:|Instance:|ValueSet:)", text, flags=re.M)
            if block.startswith("Profile:")
        }
        parent = name.removeprefix("Patient")
        for each in dict.fromkeys((parent, name)):
            self._read(blocks[each])

    def _read(self, block: str) -> None:
        for line in block.splitlines():
            fixed = re.match(r"\* (type|action|outcome) = (.+)", line)
            if fixed:
                self.fixed[fixed[1]] = _code(fixed[2]) or ("", fixed[2].lstrip("#").split()[0])
            rule = RULE.match(line)
            if rule:
                key, element, value = (rule[1], rule[2]), rule[3] or "", rule[4]
                code = _code(value)
                if code and element in ("type", "") and value.startswith("="):
                    self.types[key] = code
                else:
                    self.rules.append((key, element, value))
        for kind, body in re.findall(
            r"\* (agent|entity|subtype) contains\s+((?:.|\n)*?)(?=\n\*|\Z)", block
        ):
            for slice_, low, high in re.findall(r"(\w+) (\d+)\.\.(\d+|\*)", body):
                self.counts[kind, slice_] = (int(low), 99 if high == "*" else int(high))

    def faults(self, tree: dict[str, Any]) -> list[str]:
        """What of ``tree`` is not as the profile says."""
        found = []
        for name, (system, code) in self.fixed.items():
            value = tree.get(name)
            got = (value["system"], value["code"]) if isinstance(value, dict) else value
            wanted = (system, code) if isinstance(value, dict) else code
            if got != wanted:
                found.append(name)
        for key, (low, high) in self.counts.items():
            items = self.items(tree, key)
            if not low <= len(items) <= high:
                found.append(f"{key[0]}[{key[1]}] {len(items)} not in {low}..{high}")
            found += [f"{key[0]}[{key[1]}].{w}" for item in items for w in self.inside(key, item)]
        return found

    def items(self, tree: dict[str, Any], key: tuple[str, str]) -> list[dict[str, Any]]:
        wanted = {self.types[key]} if key in self.types else self._from_set(key)
        return [item for item in tree.get(key[0], []) if wanted & set(_types(item))]

    def _from_set(self, key: tuple[str, str]) -> set[tuple[str, str]]:
        for rule, element, value in self.rules:
            if rule == key and element in ("", "type") and value.startswith("from "):
                return self.sets[value.split()[1]]
        raise AssertionError(f"no type for {key}")

    def inside(self, key: tuple[str, str], item: dict[str, Any]) -> list[str]:
        wrong = []
        for rule, element, value in self.rules:
            if rule != key or not element or "^" in value:
                continue
            got: Any = item
            for step in element.split("."):
                got = got.get(step) if isinstance(got, dict) else None
            code = _code(value) if value.startswith("=") else None
            if value.startswith("0..0") and got is not None:
                wrong.append(f"{element} is forbidden")
            elif value.startswith(("1..1", "1..")) and got is None:
                wrong.append(f"{element} is required")
            elif value.startswith("= true") and got is not True:
                wrong.append(element)
            elif got is not None and (allowed := self._allowed(value, code)):
                wrong += [] if allowed & set(_types({"type": got})) else [element]
        return wrong

    def _allowed(self, value: str, code: tuple[str, str] | None) -> set[tuple[str, str]]:
        if code is not None:
            return {code}
        return self.sets.get(value.split()[1], set()) if value.startswith("from ") else set()


def _value_sets(text: str) -> dict[str, set[tuple[str, str]]]:
    sets = {}
    for part in re.split(r"^(?=ValueSet:|Profile:|CodeSystem:)", text, flags=re.M):
        if part.startswith("ValueSet:"):
            found = (_code(line[2:]) for line in part.splitlines() if line.startswith("* "))
            sets[part.split(":", 1)[1].split()[0]] = {code for code in found if code}
    return sets


def _types(item: dict[str, Any]) -> list[tuple[str, str]]:
    if "code" in item:
        return [(item["system"], item["code"])]
    type_ = item["type"]
    codings = type_.get("coding", [type_])
    return [(c["system"], c["code"]) for c in codings]
