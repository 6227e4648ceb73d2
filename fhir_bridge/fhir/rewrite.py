"""Replace links inside a resource, only where R4 says a server does (http.html#trules).

``Reference.reference`` and elements of type uri, url, oid and uuid, when the whole text is the
link; ``href`` and ``src`` in narratives, and link targets in markdown. Canonicals and plain
strings stay: an ``Identifier.value`` that looks like a urn:uuid is an identifier, not a link.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fhir_bridge.fhir.facts import RESOURCE_TYPES, element_tables, json_names

__all__ = ["rewrite"]

_WHOLE = frozenset({"uri", "url", "oid", "uuid"})
_ATTRIBUTE = re.compile(r"""(\b(?:href|src)\s*=\s*)(["'])(.*?)\2""", re.S)
_MARKDOWN = re.compile(r"(\]\(\s*<?)([^\s)>]+)")

Links = Mapping[str, str]


def rewrite(tree: dict[str, Any], links: Links) -> dict[str, Any]:
    """``tree`` with its links replaced in place."""
    _object(tree, tree["resourceType"], links)
    return tree


def _object(node: dict[str, Any], type_: str, links: Links) -> None:
    inner = node.get("resourceType")
    if inner in RESOURCE_TYPES:
        type_ = inner
    if type_ not in element_tables():
        return
    names = json_names(type_)
    for key, value in node.items():
        if key[0] == "_":
            _each(node, key, value, "Element", links)
        elif key in names:
            kind = names[key][0]
            if (type_, key) == ("Reference", "reference"):
                kind = "uri"
            _each(node, key, value, kind, links)


def _each(node: dict[str, Any], key: str, value: Any, kind: str, links: Links) -> None:
    if isinstance(value, dict):
        _object(value, kind, links)
    elif isinstance(value, str):
        node[key] = _text(value, kind, links)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            if isinstance(item, dict):
                _object(item, kind, links)
            elif isinstance(item, str):
                value[i] = _text(item, kind, links)


def _text(text: str, kind: str, links: Links) -> str:
    if kind in _WHOLE:
        return links.get(text, text)
    if kind == "xhtml":
        return _ATTRIBUTE.sub(
            lambda m: f"{m[1]}{m[2]}{links.get(m[3], m[3])}{m[2]}",
            text,
        )
    if kind == "markdown":
        return _MARKDOWN.sub(lambda m: m[1] + links.get(m[2], m[2]), text)
    return text
