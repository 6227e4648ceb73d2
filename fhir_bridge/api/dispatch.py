"""From a request target to a row of the table: a tree of path segments, walked once.

A target is split before it is decoded, so an escaped slash never makes a segment; a resource
id must be an R4 ``id`` (datatypes.html#id) and never a dot path.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from fhir_bridge.api.contract import Route
from fhir_bridge.api.outcome import Refused
from fhir_bridge.api.query import decode
from fhir_bridge.errors import Incorrect, NotFound
from fhir_bridge.terms import is_id

__all__ = ["Dispatch", "split_target"]

_OPAQUE = re.compile(r"[A-Za-z0-9_\-.=~]{1,4096}\Z")
_AUTHORITY = re.compile(r"https?://[^/?#]*", re.IGNORECASE)


@dataclass(slots=True)
class _Node:
    literal: dict[str, _Node] = field(default_factory=dict)
    named: tuple[str, _Node] | None = None
    rest: tuple[str, _Node] | None = None
    routes: dict[str, Route] = field(default_factory=dict)


def split_target(target: str) -> tuple[str, str]:
    """Path and query of a request target (RFC 9112 §3.2: origin or absolute form)."""
    if not target.isascii():
        raise Incorrect("the address is not ASCII; percent-encode it", code="bad-target")
    if not target.startswith("/"):
        found = _AUTHORITY.match(target)
        if found is None:
            raise Incorrect("the request target is not a path", code="bad-target")
        target = target[found.end() :] or "/"
    path, _, query = target.partition("?")
    return path, query


class Dispatch:
    """The compiled table."""

    def __init__(self, table: Iterable[Route], types: Iterable[str]) -> None:
        self._root = _Node()
        self._types = frozenset(types)
        rows = tuple(table)
        own = {word for row in rows for word in row.template.split("/") if word in self._types}
        for row in rows:
            self._add(row, row.template)
            if "{type}" in row.template:
                # A type with rows of its own keeps the rows of every type: no backtracking.
                for type_ in own:
                    self._add(row, row.template.replace("{type}", type_))

    def _add(self, route: Route, template: str) -> None:
        node = self._root
        for segment in template.strip("/").split("/"):
            node = _child(node, segment)
        if route.method in node.routes:
            raise ValueError(f"two rows for {route.method} {template}")
        node.routes[route.method] = route

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The row and its path parameters; 404 or 405 (with Allow) without one."""
        params: dict[str, str] = {}
        node = self._walk(path, params)
        if node is None or not node.routes:
            raise Refused(404, "not-found", "there is no such address", code="no-route")
        route = node.routes.get("GET" if method == "HEAD" else method)
        if route is None:
            allow = sorted(node.routes) + (["HEAD"] if "GET" in node.routes else [])
            raise Refused(
                405,
                "not-supported",
                "this address does not take that method",
                code="method",
                headers={"Allow": ", ".join(allow)},
            )
        return route, params

    def _walk(self, path: str, params: dict[str, str]) -> _Node | None:
        segments = path[1:].split("/")
        if segments[-1] == "" and len(segments) > 1:
            segments.pop()
        node = self._root
        for position, raw in enumerate(segments):
            segment = decode(raw) if "%" in raw else raw
            child = node.literal.get(segment)
            if child is not None:
                if segment in self._types:
                    params["type"] = segment
            elif node.named is not None and (segment in self._types or node.named[0] != "type"):
                name, child = node.named
                params[name] = _checked(name, segment)
            elif node.rest is not None:
                name, child = node.rest
                params[name] = "/".join(segments[position:])
                return child
            else:
                return None
            node = child
        return node


def _child(node: _Node, segment: str) -> _Node:
    if segment.startswith("{") and segment.endswith("*}"):
        node.rest = node.rest or (segment[1:-2], _Node())
        return node.rest[1]
    if segment.startswith("{"):
        name = segment[1:-1]
        if node.named is None:
            node.named = (name, _Node())
        if node.named[0] != name:
            raise ValueError(f"{segment} clashes with {{{node.named[0]}}}")
        return node.named[1]
    return node.literal.setdefault(segment, _Node())


def _checked(name: str, segment: str) -> str:
    if name == "type":
        return segment
    fits = is_id(segment) if name in ("id", "version") else _OPAQUE.match(segment)
    if not fits or segment in (".", ".."):
        raise NotFound("no such address")
    return segment
