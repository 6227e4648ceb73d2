"""From an expression and a base type to *trails*: the JSON ways that its values lie on.

Types are followed statically through the element tables, so an expression that names an unknown
element stops the start, not a request. A choice element becomes one trail per type.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fhir_bridge.errors import Fault
from fhir_bridge.search.definitions import ABSTRACT, Elements
from fhir_bridge.search.expression import (
    And,
    As,
    Compare,
    Index,
    Invoke,
    Is,
    Literal,
    Member,
    Node,
    Union,
)

__all__ = ["Guard", "Step", "Test", "Trail", "trails"]


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition on an item: ``item[key] == value``; key ``""``: it refers to type ``value``."""

    key: str
    value: str | int | bool


@dataclass(frozen=True, slots=True)
class Step:
    """Into one JSON member; lists are entered. ``at`` picks one item of the list."""

    key: str
    at: int | None = None
    guards: tuple[Guard, ...] = ()


@dataclass(frozen=True, slots=True)
class Test:
    """True when a value lies on one of ``trails`` and none of the values is ``unless``."""

    trails: tuple[Trail, ...]
    unless: str | int | bool | None = None


@dataclass(frozen=True, slots=True)
class Trail:
    """The way to values of one static type; with ``test`` the value is the test's outcome."""

    type: str
    steps: tuple[Step, ...] = ()
    test: Test | None = None
    value_set: str = ""
    """What a ``code`` is bound to; names its system."""


def trails(node: Node, base: str, elements: Elements) -> tuple[Trail, ...]:
    """All trails of ``node`` on a resource of type ``base``; parts for other types drop out.

    Fault when the expression names an element that R4 has not, or steps outside what is known.
    """
    walker = _Walker(base, elements)
    return tuple(dict.fromkeys(walker.walk(node, (Trail(base),), at_root=True)))


class _Walker:
    def __init__(self, base: str, elements: Elements) -> None:
        self._base = base
        self._elements = elements

    def walk(self, node: Node, focus: tuple[Trail, ...], at_root: bool) -> tuple[Trail, ...]:
        match node:
            case Union(left, right):
                return self.walk(left, focus, at_root) + self.walk(right, focus, at_root)
            case Member(None, name):
                return self._first(name, focus, at_root)
            case Member(of, name) if of is not None:
                return self._step(self.walk(of, focus, at_root), name)
            case As(of, type_):
                return _of_type(self.walk(of, focus, at_root), type_)
            case Index(of, at):
                return tuple(_last(t, at=at) for t in self.walk(of, focus, at_root))
            case Invoke(of, name, arguments) if of is not None:
                return self._invoke(self.walk(of, focus, at_root), name, arguments)
            case And(Invoke(of, "exists", ()), Compare(same, Literal(value), False)) if of == same:
                inner = self.walk(same, focus, at_root)
                return (Trail("boolean", test=Test(inner, value)),) if inner else ()
        raise Fault(f"a search expression for {self._base} uses an unknown form", code="expression")

    def _first(self, name: str, focus: tuple[Trail, ...], at_root: bool) -> tuple[Trail, ...]:
        if at_root and (name == self._base or name in ABSTRACT):
            return focus
        if at_root and name in self._elements:
            return ()
        return self._step(focus, name)

    def _step(self, focus: tuple[Trail, ...], name: str) -> tuple[Trail, ...]:
        found: list[Trail] = []
        for trail in focus:
            members = self._elements.get(trail.type, {})
            for key in (name, f"{name}[x]"):
                element = members.get(key)
                for type_ in element.types if element else ():
                    step = Step(name if key == name else name + type_[0].upper() + type_[1:])
                    bound = element.value_set if element else ""
                    found.append(Trail(type_, (*trail.steps, step), value_set=bound))
        if focus and not found:
            raise Fault(f"{self._base} has no element {name}", code="expression")
        return tuple(found)

    def _invoke(
        self, focus: tuple[Trail, ...], name: str, arguments: tuple[Node, ...]
    ) -> tuple[Trail, ...]:
        match name, arguments:
            case (("as" | "ofType"), (Member(None, type_),)):
                return _of_type(focus, type_)
            case "where", (Is(Invoke(None, "resolve", ()), type_),):
                return tuple(_guarded(t, Guard("", type_)) for t in focus if t.type == "Reference")
            case "where", (Compare(Member(None, key), Literal(value), True),):
                self._step(focus, key)
                return tuple(_guarded(t, Guard(key, value)) for t in focus)
        raise Fault(f"the search function {name} is not known", code="expression")


def _of_type(focus: tuple[Trail, ...], type_: str) -> tuple[Trail, ...]:
    return tuple(t for t in focus if t.type.casefold() == type_.casefold())


def _last(trail: Trail, at: int) -> Trail:
    return replace(trail, steps=(*trail.steps[:-1], replace(trail.steps[-1], at=at)))


def _guarded(trail: Trail, guard: Guard) -> Trail:
    last = trail.steps[-1]
    return replace(trail, steps=(*trail.steps[:-1], replace(last, guards=(*last.guards, guard))))
