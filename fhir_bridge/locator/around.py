"""What lies around resources: includes, reverse includes, everything of a patient."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from fhir_bridge.locator.contract import Gate, Hit, Include, Included, Page
from fhir_bridge.locator.session import COLUMNS, SHOWN, Session

__all__ = ["consents_of", "entries_of", "everything", "groups_of", "includes", "types_of"]

_FORWARD = f"""select {COLUMNS} from ref x join named y on y.v = x.v join res r on r.i = y.i
where x.i = ? and x.p = ? and {SHOWN}"""
_REVERSE = f"""select {COLUMNS} from ref x cross join res r on r.i = x.i
where x.p = ? and x.v = ? and {SHOWN} order by x.i desc limit ?"""
_EVERYTHING = f"""select {COLUMNS} from res r indexed by res_group
where {SHOWN} and r.g in (select value from json_each(?)) and r.i < ?
order by r.i desc limit ?"""

_CONSENTS = """select r.i from res r indexed by res_group
where r.state = 1 and r.g in (select value from json_each(?)) order by r.i"""


def includes(
    session: Session,
    hits: Iterable[Hit],
    forward: Sequence[Include],
    reverse: Sequence[Include],
    limit: int,
) -> Included:
    """What the hits refer to and what refers to them, each once; the gate must be in force."""
    known = list(hits)
    seen = {hit.index for hit in known}
    found: list[Hit] = []
    for hit in known:
        for row in _around(session, hit, forward, reverse, limit + 1 + len(known)):
            if row[0] in seen:
                continue
            if len(found) >= limit:
                return Included(tuple(found), complete=False)
            seen.add(row[0])
            found.append(session.hit(row))
    return Included(tuple(found))


def _around(
    session: Session,
    hit: Hit,
    forward: Sequence[Include],
    reverse: Sequence[Include],
    limit: int,
) -> Iterator[tuple[Any, ...]]:
    for include in forward:
        if include.source == hit.type:
            more = " and r.t = ?" if include.target else ""
            wanted = (session.kind(include.target),) if include.target else ()
            for p in include.params:
                yield from session.rows(_FORWARD + more, (hit.index, p, *wanted))
    v = session.hash.resource(hit.type, hit.id)
    for include in reverse:
        if include.target in ("", hit.type):
            for p in include.params:
                yield from session.rows(_REVERSE, (p, v, limit))


def groups_of(session: Session, patient: str) -> list[int]:
    """The facts groups that name this patient."""
    found = session.rows("select g from member where patient = ? order by g", (patient,))
    return [g for (g,) in found]


def consents_of(session: Session, patient: str) -> list[int]:
    """Ledger positions of the patient's current Consents, oldest first."""
    groups = [g for g in groups_of(session, patient) if session.facts(g).type == "Consent"]
    found = session.rows(_CONSENTS, (json.dumps(groups),)) if groups else []
    return [i for (i,) in found]


def entries_of(session: Session, patient: str) -> list[int]:
    """Ledger positions of every version, deletions too, whose facts name the patient."""
    groups = groups_of(session, patient)
    found = session.rows(
        "select i from res where g in (select value from json_each(?)) order by i",
        (json.dumps(groups),),
    )
    return [i for (i,) in found]


def types_of(session: Session) -> list[str]:
    """The resource types that have a current version, by name."""
    found = session.rows(
        "select name from kind k where exists"
        " (select 1 from res r where r.t = k.t and r.state = 1) order by name"
    )
    return [name for (name,) in found]


def everything(session: Session, patient: str, gate: Gate, after: int | None, count: int) -> Page:
    """All current resources whose facts name the patient; the gate must be in force."""
    groups = [g for g in groups_of(session, patient) if gate(g)]
    before = 2**62 if after is None else after
    found = session.rows(_EVERYTHING, (json.dumps(groups), before, count + 1)) if groups else []
    more = len(found) > count
    found = found[:count]
    next_key = (found[-1][0],) if more and found else None
    return Page(tuple(map(session.hit, found)), None, next_key)
