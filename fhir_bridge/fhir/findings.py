"""A schema error in words, without the value and without names that the sender made up."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from fhir_bridge.fhir.facts import element_tables, json_names, type_at
from fhir_bridge.fhir.primitives import WORDS
from fhir_bridge.fhir.schema_rules import broken_rules

__all__ = ["finding"]

_NAMES = 10
"""So many unknown names are looked for among the known ones."""
_RULE_KINDS = frozenset({"anyOf", "not", "required", "minProperties"})


def finding(type_: str, path: Sequence[str | int], error: Any, tree: Any) -> tuple[str, str]:
    """``(R4 issue-type code, sentence)`` for one error of the schema of ``type_``."""
    kind = error.kind.name
    keys = [p for p in path if isinstance(p, str)]
    twin = bool(keys) and keys[-1].startswith("_")
    here = "Element" if twin else type_at(type_, keys)
    node = _node(tree, path)
    broken = broken_rules(here or type_, node)
    if kind in _RULE_KINDS and broken:
        return "invariant", f"breaks the R4 invariant {', '.join(broken)}"
    exclusive = _exclusive(list(error.schema_path), error, here)
    if exclusive:
        return "structure", exclusive
    if kind == "additionalProperties":
        return "structure", _unknown(here, list(error.kind.unexpected))
    if kind == "required":
        return "required", f"{error.kind.property} is missing"
    if kind == "anyOf" and _is_choice_missing(error):
        return "required", _one_of(here or type_, node)
    if kind == "enum":
        return "code-invalid", "the code is not in the required value set"
    if kind in ("minItems", "minProperties"):
        return "structure", "an object or list must not be empty"
    if here == "Reference" or (keys and keys[-1] in ("reference", "type") and kind == "pattern"):
        return "value", "the reference does not name a resource type that is allowed here"
    if kind == "not" and (here == "CodeableConcept" or (keys and keys[-1] == "coding")):
        return "code-invalid", "no coding is from the required value set"
    if here == "decimal" and kind in ("minimum", "maximum"):
        return "value", "the number is outside the range that is allowed here"
    if here in WORDS:
        return "value", f"not a valid {_named(here)}: {WORDS[here]}"
    return "structure", _shape(kind, here)


def _named(type_: str) -> str:
    return "element id" if type_ == "element-id" else type_


def _shape(kind: str, here: str) -> str:
    if kind == "type":
        return f"a JSON object or list of type {here} is expected" if here else "wrong JSON type"
    if kind == "not":
        return "only one alternative of a choice may be present"
    return f"does not follow the definition of {here}" if here else "does not follow R4"


def _node(tree: Any, path: Sequence[str | int]) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def _exclusive(schema_path: Sequence[str | int], error: Any, here: str) -> str:
    """Two alternatives of a choice, told by where in the schema the error sits."""
    if "dependencies" not in schema_path:
        return ""
    one = schema_path[schema_path.index("dependencies") + 1]
    if schema_path[-1] == "additionalProperties" and here in element_tables():
        known = json_names(here)
        more = sorted(n for n in error.kind.unexpected if n.removeprefix("_") in known)
        return f"{one} and {more[0]} exclude each other" if more else ""
    if schema_path[-1] != "not" or one == "coding":
        return ""
    return f"{one} and {schema_path[-2]} exclude each other"


def _unknown(here: str, names: Sequence[str]) -> str:
    """Names the nearest R4 element instead of the unknown name, which may hold anything."""
    known = list(json_names(here)) if here in element_tables() else []
    near = [m for n in names[:_NAMES] for m in get_close_matches(n[:64], known, n=1, cutoff=0.75)]
    hint = f" (did you mean {', '.join(sorted(set(near)))}?)" if near else ""
    count = "an element" if len(names) == 1 else f"{len(names)} elements"
    return f"{count} that {here or 'R4'} does not define{hint}"


def _is_choice_missing(error: Any) -> bool:
    return "allOf" in list(error.schema_path)


def _one_of(here: str, node: Any) -> str:
    """Which required element has none of its JSON names present."""
    for name, element in element_tables().get(here, {}).items():
        names = [k for k, (_, e) in json_names(here).items() if e is element]
        if element.least and not any(k in node or f"_{k}" in node for k in names):
            return f"{name} is missing"
    return f"a required combination of elements of {here} is missing"
