"""The strict Draft-04 schema of a resource type, made from the fact tables.

R4 json.html is the text behind the shape: closed objects, no empty ones, no empty lists, a twin
``_name`` for each primitive, nulls only to keep a primitive list beside its twin, one alternative
of a choice. Nested resources stay plain objects: each is judged by the schema of its own type
(``gate.py``), which keeps a compiled type near 1 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_bridge.fhir.facts import RESOURCE_TYPES, Element, codes_of, element_tables
from fhir_bridge.fhir.primitives import PRIMITIVES
from fhir_bridge.fhir.schema_rules import rules_of

__all__ = ["resource_schema"]

_DRAFT = "http://json-schema.org/draft-04/schema#"
_NO_TWIN = frozenset({"id", "element-id", "xhtml"})
_NEVER: dict[str, Any] = {"not": {}}
_WIDE = 12
_SCHEME = "[A-Za-z][A-Za-z0-9+.-]*:"
_ID = "[A-Za-z0-9.-]{1,64}"
_LINK = f"^([#]|{_SCHEME}|[A-Z][A-Za-z]+(/{_ID}(/_history/{_ID})?(#[^ ]+)?$|[?]))"
"""Any ``Reference.reference``. One pattern for all, as bounded repetition makes a large one."""

Schema = dict[str, Any]


def resource_schema(type_: str) -> Schema:
    """A self-contained schema of one resource type: the closure of the definitions it needs."""
    return _Closure().schema(type_)


class _Closure:
    """Collects definitions as they are needed."""

    def __init__(self) -> None:
        self._definitions: dict[str, Schema] = {}

    def schema(self, type_: str) -> Schema:
        self._need(type_)
        return {
            "$schema": _DRAFT,
            "allOf": [{"$ref": f"#/definitions/{type_}"}],
            "definitions": self._definitions,
        }

    def _need(self, name: str) -> None:
        if name in self._definitions:
            return
        self._definitions[name] = {}
        self._definitions[name] = self._definition(name)

    def _definition(self, name: str) -> Schema:
        base, _, variant = name.partition("@")
        if base in PRIMITIVES and not variant:
            return PRIMITIVES[base]
        if base == "Resource":
            return {"type": "object"}
        if base == "Reference":
            return self._reference(variant.split("+") if variant else [])
        if base == "twin":
            return self._object("Element")
        if base == "twins":
            self._need("twin")
            items = {"anyOf": [{"type": "null"}, {"$ref": "#/definitions/twin"}]}
            return {"type": "array", "minItems": 1, "items": items}
        if variant == "SimpleQuantity":
            found = self._object(base)
            found["properties"] |= {"comparator": _NEVER, "_comparator": _NEVER}
            return found
        if variant:
            return self._coded(base, codes_of(variant))
        return self._object(name)

    def _object(self, path: str) -> Schema:
        """A type with children: closed, never empty (ele-1), one alternative of each choice."""
        properties: Schema = {}
        required: list[str] = []
        all_of: list[Schema] = []
        choices: list[list[tuple[str, ...]]] = []
        if path in RESOURCE_TYPES:
            properties["resourceType"] = {"enum": [path]}
            required.append("resourceType")
        for name, element in element_tables()[path].items():
            keys = self._add(properties, name, element, path)
            if len(element.types) > 1:
                choices.append(keys)
            if element.least:
                present = [k for names in keys for k in names]
                if len(present) == 1:
                    required += present
                else:
                    all_of.append({"anyOf": [{"required": [k]} for k in present]})
        dependencies: Schema = {}
        for keys in choices:
            dependencies |= _exclusive(keys, properties)
        for extra in rules_of(path):
            dependencies |= {
                k: v if k not in dependencies else {"allOf": [dependencies[k], v]}
                for k, v in extra.get("dependencies", {}).items()
            }
            all_of += extra.get("allOf", [])
        schema: Schema = {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": False,
            "properties": properties,
            "required": required,
            "dependencies": dependencies,
            "allOf": all_of,
        }
        return {k: v for k, v in schema.items() if v != [] and v != {}}

    def _add(
        self, properties: Schema, name: str, element: Element, path: str
    ) -> list[tuple[str, ...]]:
        """Put an element's JSON names into ``properties``; returns them, one tuple per type."""
        added: list[tuple[str, ...]] = []
        for type_, targets in element.types.items():
            key = name
            if name.endswith("[x]"):
                key = name[:-3] + type_[0].upper() + type_[1:]
            primitive = type_ in PRIMITIVES
            value = self._value(type_, targets, element)
            if element.many:
                items = {"anyOf": [{"type": "null"}, value]} if primitive else value
                value = {"type": "array", "minItems": 1, "items": items}
            properties[key] = value
            twin = (primitive and type_ not in _NO_TWIN) and (path, name) != ("Extension", "url")
            if twin:
                kind = "twins" if element.many else "twin"
                self._need(kind)
                properties[f"_{key}"] = {"$ref": f"#/definitions/{kind}"}
            added.append((key, f"_{key}") if twin else (key,))
        return added

    def _value(self, type_: str, targets: Sequence[str], element: Element) -> Schema:
        if type_ == "Reference" and targets:
            name = "Reference@" + "+".join(targets)
        elif targets == ["SimpleQuantity"]:
            name = f"{type_}@SimpleQuantity"
        elif element.value_set and type_ in ("CodeableConcept", "code"):
            name = f"{type_}@{element.value_set}"
        else:
            name = type_
        self._need(name)
        return {"$ref": f"#/definitions/{name}"}

    def _coded(self, type_: str, codes: Any) -> Schema:
        """A ``code`` of a required value set, or a CodeableConcept with one coding from it."""
        if type_ == "code":
            return {"type": "string", "enum": sorted({c for cs in codes.values() for c in cs})}
        found = self._object("CodeableConcept")
        member = [
            {
                "required": ["system", "code"],
                "properties": {"system": {"enum": [system]}, "code": {"enum": list(values)}},
            }
            for system, values in codes.items()
        ]
        outside = {"not": {"anyOf": member}}
        found["dependencies"] = {
            "coding": {"properties": {"coding": {"not": {"items": outside}}}},
        }
        return found

    def _reference(self, targets: list[str]) -> Schema:
        """Relative references name a type that the element allows (R4 references.html)."""
        found = self._object("Reference")
        self._definitions["link"] = {"type": "string", "pattern": _LINK}
        all_of = [{"$ref": "#/definitions/string"}, {"$ref": "#/definitions/link"}]
        found["properties"]["reference"] = {"allOf": all_of}
        if targets:
            all_of.append({"pattern": f"^([#]|{_SCHEME}|({'|'.join(targets)})[/?])"})
            kind = f"^(({'|'.join(targets)})$|{_SCHEME})"
            found["properties"]["type"] = {"allOf": [{"$ref": "#/definitions/uri"}]}
            found["properties"]["type"]["allOf"].append({"pattern": kind})
        return found


def _exclusive(keys: list[tuple[str, ...]], properties: Schema) -> Schema:
    """Each alternative of a choice forbids the others, twins included.

    A wide choice (Extension.value[x] has fifty alternatives) lists what is left beside each: that
    grows with their number, not with its square, which would be three quarters of all memory.
    """
    if len(keys) > _WIDE:
        others = properties.keys() - {k for names in keys for k in names}
        return {
            name: {
                "properties": {k: {} for k in sorted({*others, *names})},
                "additionalProperties": False,
            }
            for names in keys
            for name in names
        }
    forbidden: Schema = {}
    for position, names in enumerate(keys[:-1]):
        later = {k: _NEVER for more in keys[position + 1 :] for k in more}
        forbidden |= {name: {"properties": later} for name in names}
    return forbidden
