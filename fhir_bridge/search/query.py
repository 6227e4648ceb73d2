"""From (name, value) pairs to a query (R4 search.html).

A repeated parameter means AND, commas mean OR. What is not served is refused: a modifier
always, an unknown parameter unless the client asked for lenient handling (R4 #errors).
Messages name parameters and modifiers, never values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any

from fhir_bridge.errors import BridgeError, Incorrect, Unsupported
from fhir_bridge.search import values
from fhir_bridge.search.catalogue import ALL, WRITTEN, Enabled, Parameter, parameters, targets_of
from fhir_bridge.search.definitions import resource_types
from fhir_bridge.search.plan import Include, Limits, Order, Predicate, Query

__all__ = ["FORM_PARAMETERS", "is_result_parameter", "known_names", "parse"]

_TOTALS = ("none", "estimate", "accurate")
FORM_PARAMETERS = frozenset({"_format", "_pretty"})
"""About the form of the answer alone (R4 http.html#parameters): passed over here."""
_RESULTS = ("_sort", "_count", "_total", "_include", "_revinclude")
_OF_EVERY_TYPE = frozenset(
    {
        *("_id", "_lastUpdated", "_has", "_tag", "_profile", "_security", "_source", "_type"),
        *("_text", "_content", "_list", "_query", "_filter"),
        *("_summary", "_elements", "_contained", "_containedType"),
    }
)
"""R4 search.html#all, #return, whether served here or not."""
_LATER_MODIFIERS = frozenset(
    {"above", "below", "identifier", "in", "iterate", "not-in", "of-type", "recurse", "text"}
)
_SORTABLE = frozenset({"date", "string"})


def parse(
    type_: str,
    pairs: Iterable[tuple[str, str]],
    limits: Limits | None = None,
    *,
    lenient: bool = False,
    bases: Sequence[str] = (),
    now_us: int = 0,
    enabled: Enabled = WRITTEN,
) -> Query:
    """The search on ``type_`` that decoded ``pairs`` ask for.

    ``bases`` are this service's own addresses, without a slash at the end: references below
    them are local. ``now_us`` serves the ``ap`` prefix. Incorrect for what cannot be
    understood; Unsupported for what R4 has and this service has not yet.
    """
    if type_ not in resource_types():
        raise Incorrect("this is no R4 resource type", code="resource-type")
    parser = _Parser(type_, limits or Limits(), lenient, bases, now_us, enabled)
    for name, value in pairs:
        parser.take(name, value)
    return parser.query()


def is_result_parameter(name: str) -> bool:
    """Whether a parameter is about the answer, not about what matches (R4 search.html#return)."""
    return name.partition(":")[0] in _RESULTS


class _Parser:
    def __init__(
        self,
        type_: str,
        limits: Limits,
        lenient: bool,
        bases: Sequence[str],
        now_us: int,
        enabled: Enabled,
    ) -> None:
        self._type = type_
        self._limits = limits
        self._lenient = lenient
        self._bases = bases
        self._now_us = now_us
        self._enabled = enabled
        self._known = parameters(type_, enabled)
        self._taken = self._values = 0
        self._predicates: list[Predicate] = []
        self._order: list[Order] = []
        self._count = limits.count
        self._total = "none"
        self._includes: list[Include] = []
        self._revincludes: list[Include] = []
        self._used: list[tuple[str, str]] = []
        self._ignored: list[str] = []
        self._results: Mapping[str, Callable[[str], str]] = dict(
            zip(
                _RESULTS,
                (self._sort, self._page, self._sum, self._include, self._revinclude),
                strict=True,
            )
        )

    def query(self) -> Query:
        return Query(
            self._type,
            tuple(self._predicates),
            tuple(self._order),
            self._count,
            self._total,
            tuple(self._includes),
            tuple(self._revincludes),
            tuple(self._used),
            tuple(self._ignored),
        )

    def take(self, name: str, value: str) -> None:
        self._taken += 1
        if self._taken > self._limits.max_parameters:
            raise Incorrect(
                f"at most {self._limits.max_parameters} search parameters", code="too-many"
            )
        code, _, modifier = name.partition(":")
        if code in FORM_PARAMETERS:
            return
        try:
            if not value:
                raise _Unknown(f"parameter {self._taken} ({self._shown(code)}) has no value")
            if code in self._results:
                self._no_modifier(code, modifier)
                value = self._results[code](value)
            else:
                self._predicates.append(self._predicate(code, modifier, value))
        except _Unknown as unknown:
            if not self._lenient:
                raise Incorrect(
                    str(unknown), code="search-parameter", where=self._shown(code)
                ) from None
            self._ignored.append(name)
        except BridgeError as error:
            error.where = error.where or self._shown(code)
            raise
        else:
            self._used.append((name, value))

    def _predicate(self, code: str, modifier: str, value: str) -> Predicate:
        if code == "_has" or "." in code or "." in modifier:
            raise Unsupported("chained search is not served yet", code="search-chained")
        texts = values.split(value, ",")
        if len(texts) > self._limits.max_values:
            raise Incorrect(f"at most {self._limits.max_values} values", code="too-many")
        self._values += len(texts)
        if self._values > self._limits.max_all_values:
            raise Incorrect(f"at most {self._limits.max_all_values} values in all", code="too-many")
        if "" in texts:
            raise Incorrect("an empty value in a list", code="search-value")
        if code in ("_id", "_lastUpdated"):
            self._no_modifier(code, modifier)
            if code == "_id":
                return Predicate("id", 0, tuple(values.uri(text) for text in texts))
            return Predicate("updated", 0, tuple(values.date(t, self._now_us) for t in texts))
        parameter = self._known.get(code)
        if parameter is None:
            raise _Unknown(self._no_such(code, "here"))
        if modifier == "missing":
            if value not in ("true", "false"):
                raise Incorrect(":missing is true or false", code="search-value")
            return Predicate("missing", parameter.id, ((value == "true",),))
        return self._typed(parameter, modifier, texts)

    def _typed(self, parameter: Parameter, modifier: str, texts: list[str]) -> Predicate:
        kind = parameter.type
        any_of: list[tuple[Any, ...]]
        negated = False
        if kind == "reference":
            any_of = self._references(parameter, modifier, texts)
            return Predicate("ref", parameter.id, tuple(any_of))
        if kind == "string" and modifier in ("exact", "contains"):
            any_of = [values.string(text, modifier) for text in texts]
        elif kind == "token" and modifier == "not":
            any_of, negated = [values.token(text) for text in texts], True
        else:
            self._no_modifier(parameter.code, modifier)
            any_of = [self._value(kind, text) for text in texts]
        stored = "quantity" if kind == "number" else kind
        return Predicate(stored, parameter.id, tuple(dict.fromkeys(any_of)), negated)

    def _value(self, kind: str, text: str) -> tuple[Any, ...]:
        if kind == "date":
            return values.date(text, self._now_us)
        if kind == "string":
            return values.string(text, "prefix")
        return {
            "token": values.token,
            "uri": values.uri,
            "number": values.number,
            "quantity": values.quantity,
        }[kind](text)

    def _references(
        self, parameter: Parameter, modifier: str, texts: list[str]
    ) -> list[tuple[Any, ...]]:
        targets = targets_of(parameter)
        if modifier:
            if modifier not in resource_types():
                self._no_modifier(parameter.code, modifier)
            if modifier not in targets:
                raise Incorrect(
                    f"{parameter.code} does not refer to {modifier}", code="search-modifier"
                )
        found: dict[tuple[Any, ...], None] = {}
        for text in texts:
            found.update(dict.fromkeys(values.reference(text, modifier, targets, self._bases)))
        return list(found)

    def _no_modifier(self, code: str, modifier: str) -> None:
        if modifier in _LATER_MODIFIERS:
            raise Unsupported(f"{code}:{modifier} is not served yet", code="search-modifier")
        if modifier:
            raise Incorrect(f"{code} does not take this modifier", code="search-modifier")

    def _sort(self, value: str) -> str:
        if self._order:
            raise Incorrect("_sort is given once", code="search-value")
        names = value.split(",")
        if len(names) > self._limits.max_sort:
            raise Incorrect(f"at most {self._limits.max_sort} keys to sort by", code="too-many")
        for name in names:
            code = name.removeprefix("-")
            descending = name.startswith("-")
            if code in ("_lastUpdated", "_id"):
                kind = "updated" if code == "_lastUpdated" else "id"
                self._order.append(Order(kind, 0, descending))
                continue
            parameter = self._known.get(code)
            if parameter is None:
                raise _Unknown(self._no_such(code, "to sort by"))
            if parameter.type not in _SORTABLE:
                raise Unsupported(
                    "sorting is served for dates, strings, _id and _lastUpdated",
                    code="search-sort",
                )
            self._order.append(Order(parameter.type, parameter.id, descending))
        return value

    def _page(self, value: str) -> str:
        if not (value.isascii() and value.isdigit() and len(value) <= 9):
            raise Incorrect("_count is a whole number of up to nine digits", code="search-value")
        self._count = min(int(value), self._limits.max_count)
        return str(self._count)

    def _sum(self, value: str) -> str:
        if value not in _TOTALS:
            raise Incorrect("_total is none, estimate or accurate", code="search-value")
        self._total = value
        return value

    def _include(self, value: str) -> str:
        source, params, target = self._followed("_include", value, self._type)
        if source != self._type:
            raise Incorrect("_include starts from the type that is searched", code="search-value")
        self._includes.append(Include(source, params, target))
        return value

    def _revinclude(self, value: str) -> str:
        source, params, target = self._followed("_revinclude", value, "")
        if target and target != self._type:
            raise Incorrect("_revinclude ends at the type that is searched", code="search-value")
        self._revincludes.append(Include(source, params, self._type))
        return value

    def _followed(self, name: str, value: str, default: str) -> tuple[str, tuple[int, ...], str]:
        parts = value.split(":")
        if parts[-1] in ("iterate", "recurse"):
            raise Unsupported(f"{name}:iterate is not served yet", code="search-modifier")
        if parts == ["*"] and default:
            parts = [default, "*"]
        if len(parts) not in (2, 3) or parts[0] not in resource_types():
            raise Incorrect(f"{name} is written Type:parameter[:Type]", code="search-value")
        target = parts[2] if len(parts) == 3 else ""
        if target and target not in resource_types():
            raise Incorrect(f"{name} names no R4 resource type", code="search-value")
        table = parameters(parts[0], self._enabled)
        chosen = [
            p.id
            for code, p in table.items()
            if p.type == "reference" and (parts[1] == "*" or parts[1] == code)
        ]
        if not chosen:
            raise Incorrect(
                f"{name} names no reference parameter of {parts[0]}", code="search-value"
            )
        return parts[0], tuple(chosen), target

    def _shown(self, code: str) -> str:
        """A name that R4 knows; of another one its place, as it may be a value of a patient."""
        return code if code in known_names() else f"parameter {self._taken}"

    def _no_such(self, code: str, use: str) -> str:
        near = get_close_matches(code[:64], self._known, n=1, cutoff=0.75)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{self._type} has no search parameter {use}: {self._shown(code)}{hint}"


@cache
def known_names() -> frozenset[str]:
    """The code of every R4 search parameter and of what is about the result."""
    codes = (code for type_ in resource_types() for code in parameters(type_, ALL))
    return frozenset({*codes, *_RESULTS, *FORM_PARAMETERS, *_OF_EVERY_TYPE})


class _Unknown(Exception):
    """Something that lenient handling leaves out."""
