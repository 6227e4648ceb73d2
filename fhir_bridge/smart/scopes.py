"""The SMART scope grammar, exactly, and what is left of a request inside a ceiling.

SMART App Launch 2.2, scopes-and-launch-context: ``context/type.letters`` with ``letters`` a
non-empty subset of ``cruds`` in that order; v1 ``.read`` is ``rs``, ``.write`` is ``cud`` and
``.*`` is ``cruds``. Contexts served: ``system`` and ``patient``. A scope narrowed by search
parameters (``?param=value``) is understood and refused: granting it without enforcing it
would widen it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import combinations

from fhir_bridge.smart.oauth import OAuthError
from fhir_bridge.terms import Scope

__all__ = ["contains", "intersect", "parse_scope", "parse_scopes", "scope_text"]

MAX_SCOPES = 100
MAX_SCOPE_CHARS = 100
_CONTEXTS = ("system", "patient")
_SCOPE = re.compile(r"([a-z]+)/(\*|[A-Z][A-Za-z]*)\.([a-z]+|\*)", re.ASCII)
_LETTERS = {
    "".join(some): frozenset(some) for n in range(1, 6) for some in combinations("cruds", n)
} | {"read": frozenset("rs"), "write": frozenset("cud"), "*": frozenset("cruds")}
# RFC 6749 §3.3: scope-token
_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


def parse_scope(text: str, types: Iterable[str] = ()) -> Scope:
    """One scope; ``types``, where given, are the only resource types known."""
    shown = text[:MAX_SCOPE_CHARS]
    if len(text) > MAX_SCOPE_CHARS or not _TOKEN.fullmatch(text):
        raise OAuthError(
            "invalid_scope", f"a scope is 1 to {MAX_SCOPE_CHARS} visible ASCII characters"
        )
    if "?" in text:
        raise OAuthError(
            "invalid_scope",
            f"{shown}: scopes narrowed by search parameters are not served;"
            " ask for the scope without ?…",
        )
    found = _SCOPE.fullmatch(text)
    if found is None:
        raise OAuthError(
            "invalid_scope",
            f"{shown} is not served; a scope reads (system or patient)/(Type or *).(letters of"
            " cruds in this order), for example system/Patient.rs",
        )
    context, type_, letters = found.groups()
    if context not in _CONTEXTS:
        raise OAuthError(
            "invalid_scope", f"{shown}: only system/ and patient/ scopes are served here"
        )
    if letters not in _LETTERS:
        raise OAuthError(
            "invalid_scope",
            f"{shown}: the letters must be some of cruds, each once, in this order",
        )
    if type_ != "*" and types and type_ not in types:
        raise OAuthError("invalid_scope", f"{shown}: there is no R4 resource type {type_}")
    return Scope(context, type_, _LETTERS[letters])


def parse_scopes(text: str, types: Iterable[str] = ()) -> tuple[Scope, ...]:
    """A space-separated list (RFC 6749 §3.3), canonical: see ``_canonical``."""
    words = text.split(" ") if text else []
    if not words or "" in words:
        raise OAuthError("invalid_scope", "scope is required: scopes separated by single spaces")
    if len(words) > MAX_SCOPES:
        raise OAuthError("invalid_scope", f"more than {MAX_SCOPES} scopes")
    return _canonical(parse_scope(word, types) for word in words)


def intersect(asked: Iterable[Scope], ceiling: Iterable[Scope]) -> tuple[Scope, ...]:
    """What is in both: per pair, same context, the narrower type, the common letters."""
    limits = tuple(ceiling)
    common: list[Scope] = []
    for a in asked:
        for c in limits:
            letters = a.letters & c.letters
            if a.context != c.context or not letters:
                continue
            if a.type == c.type or c.type == "*":
                common.append(Scope(a.context, a.type, letters))
            elif a.type == "*":
                common.append(Scope(a.context, c.type, letters))
    return _canonical(common)


def contains(outer: Iterable[Scope], inner: Iterable[Scope]) -> bool:
    """Whether ``outer`` allows everything that ``inner`` allows."""
    wanted = tuple(inner)
    return intersect(wanted, outer) == _canonical(wanted)


def scope_text(scopes: Iterable[Scope]) -> str:
    """The scopes as one string, in the v2 form."""
    return " ".join(str(s) for s in scopes)


def _canonical(scopes: Iterable[Scope]) -> tuple[Scope, ...]:
    """One scope per context and type (the union), without letters a wildcard already has."""
    letters: dict[tuple[str, str], frozenset[str]] = {}
    for s in scopes:
        key = (s.context, s.type)
        letters[key] = letters.get(key, frozenset()) | s.letters
    slim: list[Scope] = []
    for (context, type_), own in sorted(letters.items()):
        rest = own if type_ == "*" else own - letters.get((context, "*"), frozenset())
        if rest:
            slim.append(Scope(context, type_, rest))
    return tuple(slim)
