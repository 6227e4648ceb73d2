"""The pieces of SQL that a plan becomes: candidates, filters, sort keys, where to go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_bridge.errors import Fault
from fhir_bridge.locator.conditions import Driver, Names, Sql, condition
from fhir_bridge.locator.contract import Order, Plan, Predicate
from fhir_bridge.locator.session import SHOWN

__all__ = ["Candidates", "candidates", "filters", "keys", "later", "ordering"]

_EARLIEST, _LATEST = -(2**63), 2**63 - 1
_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Candidates:
    """SQL that yields column ``i``, each once, newest first."""

    text: str
    values: tuple[Any, ...]


def candidates(driven: Driver, before: int | None, limit: int) -> Candidates:
    """The first ``limit`` candidates below ledger position ``before``."""
    texts: list[str] = []
    values: list[Any] = []
    for select in driven.selects:
        texts.append(select.text if before is None else f"{select.text} and x.i < ?")
        values += select.values
        if before is not None:
            values.append(before)
    return Candidates(f"{' union '.join(texts)} order by 1 desc limit ?", (*values, limit))


def filters(plan: Plan, names: Names, enforced: Predicate | None) -> Sql:
    """What a candidate must be, gate first; ``enforced`` holds for every candidate already."""
    parts = [Sql("r.t = ?", (names.kind(plan.type),))]
    parts += [condition(p, names) for p in plan.predicates if p is not enforced]
    text = " and ".join((SHOWN, *(part.text for part in parts)))
    return Sql(text, tuple(value for part in parts for value in part.values))


def keys(plan: Plan) -> Sql:
    """The sort keys as extra columns ``k0``, ``k1``…; rows without a value come last."""
    parts = [_key(order) for order in plan.order]
    text = "".join(f", {part.text} as k{n}" for n, part in enumerate(parts))
    return Sql(text, tuple(value for part in parts for value in part.values))


def _key(order: Order) -> Sql:
    if order.kind == "updated":
        return Sql("r.at - r.at % 1000")
    if order.kind == "id":
        return Sql("idtext(r.id)")
    pick = "max" if order.descending else "min"
    if order.kind == "date":
        column, none = ("hi", _EARLIEST) if order.descending else ("lo", _LATEST)
        inner = f"select {pick}(x.{column}) from moment x where x.p = ? and x.i = r.i"
        return Sql(f"coalesce(({inner}), ?)", (order.param, none))
    if order.kind == "string":
        inner = (
            f"select {pick}(x.folded) from words x indexed by words_of where x.i = r.i and x.p = ?"
        )
        return Sql(f"coalesce(({inner}), ?)", (order.param, "" if order.descending else _LAST))
    raise Fault(f"the locator cannot sort by {order.kind}")


def ordering(plan: Plan) -> str:
    """The ORDER BY terms; newest first among equals."""
    parts = [f"k{n} {'desc' if o.descending else 'asc'}" for n, o in enumerate(plan.order)]
    return ", ".join((*parts, "i desc"))


def later(plan: Plan, after: tuple[Any, ...]) -> Sql:
    """Rows that come after ``after`` (the sort keys and ``i`` of the last one)."""
    signs = ["<" if order.descending else ">" for order in plan.order] + ["<"]
    columns = [f"k{n}" for n in range(len(plan.order))] + ["i"]
    if len(after) != len(columns):
        raise Fault("this page key belongs to another search")
    choices: list[str] = []
    values: list[Any] = []
    for n, sign in enumerate(signs):
        same = [f"{c} = ?" for c in columns[:n]]
        choices.append("(" + " and ".join((*same, f"{columns[n]} {sign} ?")) + ")")
        values += after[: n + 1]
    return Sql("(" + " or ".join(choices) + ")", tuple(values))
