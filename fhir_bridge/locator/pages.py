"""Running a plan: where candidates come from, one page of matches, the total.

Candidates come newest first from an index, so a page is read without sorting and stops when it
is full. At most ``examine`` candidates are looked at for one page.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fhir_bridge.errors import Unsupported
from fhir_bridge.locator.conditions import Driver, Sql, driver
from fhir_bridge.locator.contract import Page, Plan, Predicate
from fhir_bridge.locator.query import candidates, filters, keys, later, ordering
from fhir_bridge.locator.session import COLUMNS, Session

__all__ = ["Bounds", "search"]

_PROBE = 256


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much work one call may be."""

    examine: int
    """Candidates of one page."""
    sortable: int
    """Candidates of one sort, and of one total."""


@dataclass(frozen=True, slots=True)
class _Running:
    session: Session
    plan: Plan
    bounds: Bounds
    driven: Driver
    wanted: Sql


def search(session: Session, plan: Plan, after: tuple[Any, ...] | None, bounds: Bounds) -> Page:
    """One page; the gate must be in force."""
    driven, enforced = _drive(session, plan)
    wanted = filters(plan, session.names, enforced)
    running = _Running(session, plan, bounds, driven, wanted)
    return _sorted(running, after) if plan.order else _newest(running, after)


def _drive(session: Session, plan: Plan) -> tuple[Driver, Predicate | None]:
    """Where candidates come from, and the predicate that this already enforces."""
    choices: list[tuple[Driver, Predicate]] = []
    for predicate in plan.predicates:
        if predicate.kind == "id" and not predicate.negated:
            return _by_id(session, plan.type, predicate.any_of), None
        found = driver(predicate, session.names)
        if found is not None:
            choices.append((found, predicate))
    if len(choices) == 1 and choices[0][0].ordered:
        return choices[0]
    best: tuple[Driver, Predicate] | None = None
    fewest = 0
    for choice in choices:
        size = _probe(session, choice[0])
        unfit = not choice[0].ordered and size >= _PROBE
        if not unfit and (best is None or size < fewest):
            best, fewest = choice, size
    if best is not None:
        return best
    every = "select x.i from res x where x.state = 1 and x.t = ?"
    return Driver((Sql(every, (session.kind(plan.type),)),), ordered=True), None


def _by_id(session: Session, type_: str, any_of: Iterable[tuple[Any, ...]]) -> Driver:
    text = "select x.i from named x where x.v = ?"
    hashes = dict.fromkeys(session.hash.resource(type_, id_) for (id_,) in any_of)
    return Driver(tuple(Sql(text, (v,)) for v in hashes), ordered=True)


def _probe(session: Session, choice: Driver) -> int:
    """How many candidates there are, as far as it matters."""
    size = 0
    for select in choice.selects:
        text = f"select count(*) from ({select.text} limit {_PROBE})"
        size += session.rows(text, select.values)[0][0]
    return size


def _newest(run: _Running, after: tuple[Any, ...] | None) -> Page:
    before = None if after is None else int(after[0])
    source = candidates(run.driven, before, run.bounds.examine)
    text = (
        f"select {COLUMNS} from ({source.text}) c cross join res r on r.i = c.i"
        f" where seen(c.i) and {run.wanted.text} limit ?"
    )
    run.session.count_candidates()
    count = run.plan.count
    found = run.session.rows(text, (*source.values, *run.wanted.values, count + 1))
    next_key: tuple[Any, ...] | None = None
    if len(found) > count:
        found = found[:count]
        next_key = (found[-1][0],) if found else None
    elif run.session.looked >= run.bounds.examine:
        next_key = (run.session.last,)
    return Page(tuple(map(run.session.hit, found)), _total(run), next_key)


def _sorted(run: _Running, after: tuple[Any, ...] | None) -> Page:
    plan, limit = run.plan, run.bounds.sortable
    if _size(run, limit) >= limit:
        raise Unsupported(
            f"more than {limit} candidates cannot be sorted; narrow the search", code="too-costly"
        )
    source = candidates(run.driven, None, limit)
    key = keys(plan)
    columns = "".join(f", k{n}" for n in range(len(plan.order)))
    rest = later(plan, after) if after is not None else Sql("1")
    text = (
        f"select i, t, id, vid, n, at, state, g{columns} from (select {COLUMNS}{key.text}"
        f" from ({source.text}) c cross join res r on r.i = c.i where {run.wanted.text})"
        f" where {rest.text} order by {ordering(plan)} limit ?"
    )
    values = (*key.values, *source.values, *run.wanted.values, *rest.values, plan.count + 1)
    found = run.session.rows(text, values)
    next_key: tuple[Any, ...] | None = None
    if len(found) > plan.count:
        found = found[: plan.count]
        next_key = (*found[-1][8:], found[-1][0]) if found else None
    return Page(tuple(map(run.session.hit, found)), _total(run), next_key)


def _total(run: _Running) -> int | None:
    if not run.plan.total or _size(run, run.bounds.sortable) >= run.bounds.sortable:
        return None
    source = candidates(run.driven, None, run.bounds.sortable)
    text = (
        f"select count(*) from ({source.text}) c cross join res r on r.i = c.i"
        f" where {run.wanted.text}"
    )
    total: int = run.session.rows(text, (*source.values, *run.wanted.values))[0][0]
    return total


def _size(run: _Running, limit: int) -> int:
    source = candidates(run.driven, None, limit)
    size: int = run.session.rows(f"select count(*) from ({source.text})", source.values)[0][0]
    return size
