"""The FHIRPath subset in which R4 SearchParameters are written: text to tree.

FHIRPath N1 (http://hl7.org/fhirpath/N1) precedence: invocation > indexer > type (is, as) > union
> equality > and. Everything else is refused, so that no expression is half understood.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fhir_bridge.errors import Fault

__all__ = ["And", "As", "Compare", "Index", "Invoke", "Is", "Literal", "Member", "Node", "Union"]
__all__ += ["parse_expression"]

_TOKEN = re.compile(r"\s*(?:('(?:[^'\\]|\\.)*')|(\d+)|([A-Za-z_][A-Za-z0-9_]*)|(!=|[().|,=\[\]]))")


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, integer or boolean."""

    value: str | int | bool


@dataclass(frozen=True, slots=True)
class Member:
    """``of.name``; ``of`` is None for the first name of a path."""

    of: Node | None
    name: str


@dataclass(frozen=True, slots=True)
class Invoke:
    """``of.name(arguments)``; ``of`` is None for a function on the focus."""

    of: Node | None
    name: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """``of[at]``."""

    of: Node
    at: int


@dataclass(frozen=True, slots=True)
class Union:
    """``left | right``."""

    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class As:
    """``of as type``."""

    of: Node
    type: str


@dataclass(frozen=True, slots=True)
class Is:
    """``of is type``."""

    of: Node
    type: str


@dataclass(frozen=True, slots=True)
class Compare:
    """``left = right``, or ``!=`` when ``equal`` is False."""

    left: Node
    right: Node
    equal: bool


@dataclass(frozen=True, slots=True)
class And:
    """``left and right``."""

    left: Node
    right: Node


Node = Literal | Member | Invoke | Index | Union | As | Is | Compare | And


def parse_expression(text: str) -> Node:
    """The tree of one expression. Fault when it steps outside the subset."""
    parser = _Parser(text)
    node = parser.conjunction()
    parser.end()
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = _lex(text)
        self._at = 0

    def _peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, expected: str = "") -> str:
        token = self._peek()
        if not token or (expected and token != expected):
            raise Fault(f"cannot read the search expression {self._text!r}", code="expression")
        self._at += 1
        return token

    def _accept(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._at += 1
        return True

    def end(self) -> None:
        if self._at != len(self._tokens):
            raise Fault(f"cannot read the search expression {self._text!r}", code="expression")

    def conjunction(self) -> Node:
        node = self._equality()
        while self._accept("and"):
            node = And(node, self._equality())
        return node

    def _equality(self) -> Node:
        node = self._union()
        while self._peek() in ("=", "!="):
            equal = self._take() == "="
            node = Compare(node, self._union(), equal)
        return node

    def _union(self) -> Node:
        node = self._typed()
        while self._accept("|"):
            node = Union(node, self._typed())
        return node

    def _typed(self) -> Node:
        node = self._postfix()
        while self._peek() in ("as", "is"):
            kind = self._take()
            node = As(node, self._take()) if kind == "as" else Is(node, self._take())
        return node

    def _postfix(self) -> Node:
        node = self._primary()
        while True:
            if self._accept("."):
                node = self._invocation(node)
            elif self._accept("["):
                node = Index(node, int(self._take()))
                self._take("]")
            else:
                return node

    def _primary(self) -> Node:
        token = self._peek()
        if self._accept("("):
            node = self.conjunction()
            self._take(")")
            return node
        if token.startswith("'"):
            return Literal(self._take()[1:-1])
        if token in ("true", "false"):
            return Literal(self._take() == "true")
        if token.isdigit():
            return Literal(int(self._take()))
        return self._invocation(None)

    def _invocation(self, of: Node | None) -> Node:
        name = self._take()
        if not (name[0].isalpha() or name[0] == "_"):
            raise Fault(f"cannot read the search expression {self._text!r}", code="expression")
        if not self._accept("("):
            return Member(of, name)
        arguments: list[Node] = []
        while not self._accept(")"):
            if arguments:
                self._take(",")
            arguments.append(self.conjunction())
        return Invoke(of, name, tuple(arguments))


def _lex(text: str) -> list[str]:
    tokens: list[str] = []
    at = 0
    text = text.rstrip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Fault(f"cannot read the search expression {text!r}", code="expression")
        tokens.append(match.group().strip())
        at = match.end()
    return tokens
