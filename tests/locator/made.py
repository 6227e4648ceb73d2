"""Random views and searches, and an obvious evaluator that scans a list."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from fhir_bridge.locator import Facts, Row

KEY = bytes(range(32))
CODE, STATUS, SUBJECT, DATE, NAME, AMOUNT, URL = range(1, 8)
TYPES = ("Observation", "Patient", "Consent")
PATIENTS = tuple(f"p{n}" for n in range(5))
SYSTEMS = ("urn:a", "urn:b", "")


@dataclass(frozen=True, slots=True)
class Ask:
    """A predicate."""

    kind: str
    param: int
    any_of: tuple[tuple[Any, ...], ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class By:
    """A sort key."""

    kind: str
    param: int
    descending: bool


@dataclass(frozen=True, slots=True)
class Search:
    """A plan."""

    type: str
    predicates: tuple[Ask, ...] = ()
    order: tuple[By, ...] = ()
    count: int = 20
    total: bool = False


@dataclass(frozen=True, slots=True)
class Follow:
    """An include."""

    source: str
    params: tuple[int, ...]
    target: str = ""


def some_rows(rnd: random.Random, number: int) -> list[Row]:
    """Versions of resources in ledger order, with gaps, updates and deletions."""
    rows: list[Row] = []
    versions: dict[tuple[str, str], int] = {}
    index = 0
    for _ in range(number):
        index += rnd.choice((1, 1, 1, 2, 5))
        type_ = rnd.choices(TYPES, (8, 3, 1))[0]
        id_ = f"{type_[0].lower()}{rnd.randrange(number)}"
        if type_ == "Patient" and rnd.random() < 0.7:
            id_ = rnd.choice(PATIENTS)
        version = versions[type_, id_] = versions.get((type_, id_), 0) + 1
        deleted = version > 1 and rnd.random() < 0.2
        patients = tuple(sorted(set(rnd.choices(PATIENTS, k=rnd.choice((0, 1, 1, 1, 2))))))
        rows.append(
            Row(
                index,
                type_,
                id_,
                f"v{version}",
                version,
                index * 700 + rnd.randrange(3_000),
                deleted,
                Facts(type_, patients, (), (rnd.choice(("normal", "mh")),), rnd.choice("AB")),
                () if deleted else tuple(some_terms(rnd)),
            )
        )
    return rows


def some_terms(rnd: random.Random) -> list[tuple[Any, ...]]:
    """A few terms of every kind."""
    terms: list[tuple[Any, ...]] = []
    for _ in range(rnd.randrange(3)):
        terms.append(("token", CODE, rnd.choice(SYSTEMS), f"c{rnd.randrange(6)}"))
    if rnd.random() < 0.8:
        terms.append(("token", STATUS, rnd.choice((None, "urn:s")), rnd.choice(("on", "off"))))
    if rnd.random() < 0.9:
        terms.append(("ref", SUBJECT, "Patient", rnd.choice(PATIENTS), ""))
    if rnd.random() < 0.1:
        terms.append(("ref", SUBJECT, "", "", "https://b.example/x"))
    for _ in range(rnd.randrange(3)):
        low = rnd.randrange(12)
        terms.append(("date", DATE, low, low + rnd.choice((1, 2, 5, 12))))
    for _ in range(rnd.randrange(3)):
        text = rnd.choice(("Ada", "ada", "Adam", "Bo", "Böö"))
        terms.append(("string", NAME, text.lower().replace("ö", "o"), text))
    if rnd.random() < 0.6:
        low = rnd.randrange(5)
        terms.append(("quantity", AMOUNT, b"%d" % low, b"%d" % low, "urn:u", "mg", "milligram"))
    if rnd.random() < 0.2:
        terms.append(("uri", URL, f"http://u/{rnd.randrange(3)}"))
    return list(dict.fromkeys(terms))


def some_search(rnd: random.Random) -> Search:
    """A random plan."""
    asks = tuple(some_ask(rnd) for _ in range(rnd.choice((0, 1, 1, 1, 2, 2, 3))))
    keys = (
        By("updated", 0, True),
        By("updated", 0, False),
        By("id", 0, rnd.random() < 0.5),
        By("date", DATE, rnd.random() < 0.5),
        By("string", NAME, rnd.random() < 0.5),
    )
    order = tuple(rnd.sample(keys, rnd.choice((0, 0, 0, 1, 1, 2))))
    type_ = rnd.choices(TYPES, (8, 2, 1))[0]
    return Search(type_, asks, order, rnd.choice((1, 3, 20)), rnd.random() < 0.5)


HOW = ("within", "outside", "above", "below", "from", "upto", "after", "before", "overlaps")


KINDS = (
    *("token", "token", "ref", "date", "date", "string"),
    *("quantity", "quantity", "uri", "id", "updated", "missing"),
)


def some_ask(rnd: random.Random) -> Ask:
    """A random predicate."""
    kind = rnd.choice(KINDS)
    if kind == "missing":
        return Ask(kind, rnd.choice((CODE, SUBJECT, DATE, NAME)), ((rnd.random() < 0.5,),))
    param = {"token": rnd.choice((CODE, STATUS)), "ref": SUBJECT, "date": DATE}.get(
        kind, {"string": NAME, "quantity": AMOUNT, "uri": URL}.get(kind, 0)
    )
    many = tuple(some_wanted(rnd, kind, param) for _ in range(rnd.choice((1, 1, 2, 3))))
    negated = kind == "token" and rnd.random() < 0.3
    return Ask(kind, param, tuple(dict.fromkeys(many)), negated)


def some_wanted(rnd: random.Random, kind: str, param: int) -> tuple[Any, ...]:
    """A random alternative of a predicate."""
    if kind == "token":
        code = rnd.choice(("on", "off")) if param == STATUS else f"c{rnd.randrange(7)}"
        system = rnd.choice((None, "urn:a", "urn:b", "urn:s", "urn:never", ""))
        return (system, None) if system and rnd.random() < 0.2 else (system, code)
    if kind == "ref":
        foreign = ("", "", "https://b.example/x")
        return rnd.choice((foreign, *(("Patient", p, "") for p in PATIENTS)))
    if kind in ("date", "updated"):
        step = 1 if kind == "date" else 10_000
        start = rnd.randrange(14) * step
        return rnd.choice(HOW), start, start + rnd.choice((1, 2, 5, 12)) * step
    if kind == "string":
        text = rnd.choice(("Ada", "Ad", "b", "Böö", "d"))
        return rnd.choice(("prefix", "exact", "contains")), text.lower().replace("ö", "o"), text
    if kind == "quantity":
        how, low = rnd.choice(HOW), rnd.randrange(5)
        high = low if how not in ("within", "outside", "overlaps") else low + rnd.randrange(3)
        unit = rnd.choice(((None, None), ("urn:u", "mg"), (None, "milligram"), ("urn:x", "mg")))
        return how, b"%d" % low, b"%d" % high, *unit
    if kind == "uri":
        return (f"http://u/{rnd.randrange(4)}",)
    return (rnd.choice((*PATIENTS, f"o{rnd.randrange(300)}")),)


# -- the obvious evaluator ---------------------------------------------------------------------


def current(rows: Sequence[Row]) -> list[Row]:
    """The newest version of each id, without deletions, newest first."""
    newest = {(row.type, row.id): row for row in rows}
    return sorted((r for r in newest.values() if not r.deleted), key=lambda r: -r.index)


def matches(rows: Sequence[Row], search: Search, see: Callable[[Facts], bool]) -> list[Row]:
    """All matches of a search in order, by scanning."""
    found = [
        row
        for row in current(rows)
        if row.type == search.type
        and see(row.group)
        and all(_holds(row, ask) for ask in search.predicates)
    ]
    for by in reversed(search.order):
        found.sort(key=lambda row, by=by: _key(row, by), reverse=by.descending)  # type: ignore[misc]
    return found


def _values(row: Row, param: int) -> list[tuple[Any, ...]]:
    return [term[2:] for term in row.terms if term[1] == param]


def _holds(row: Row, ask: Ask) -> bool:
    return any(_one(row, ask, wanted) for wanted in ask.any_of) != ask.negated


def _one(row: Row, ask: Ask, wanted: tuple[Any, ...]) -> bool:
    values = _values(row, ask.param)
    match ask.kind:
        case "missing":
            return bool(values) != bool(wanted[0])
        case "id":
            return row.id == str(wanted[0])
        case "updated":
            at = row.updated_us // 1000 * 1000
            return _lies(wanted, at, at + 1000)
        case "token":
            return any(_token(wanted, *value) for value in values)
        case "date":
            return any(_lies(wanted, *value) for value in values)
        case "string":
            return any(_string(wanted, *value) for value in values)
        case "quantity":
            return any(_amount(wanted, *value) for value in values)
        case _:
            return wanted in values


def _token(wanted: tuple[Any, ...], system: str | None, code: str) -> bool:
    asked, value = wanted
    if value is None:
        return bool(asked == system)
    fits = asked is None or asked == system or (system is None and asked != "")
    return bool(value == code and fits)


def _lies(wanted: tuple[Any, ...], low: int, high: int) -> bool:
    how, start, end = wanted
    inside = start <= low and high <= end
    table: dict[str, bool] = {
        "within": inside,
        "outside": not inside,
        "above": high > end,
        "below": low < start,
        "from": high > end or inside,
        "upto": low < start or inside,
        "after": low >= end,
        "before": high <= start,
        "overlaps": low < end and high > start,
    }
    return table[how]


def _string(wanted: tuple[Any, ...], folded: str, exact: str) -> bool:
    how, text, spelled = wanted
    table: dict[str, bool] = {
        "prefix": folded.startswith(text),
        "exact": exact == spelled,
        "contains": text in folded,
    }
    return table[how]


def _amount(
    wanted: tuple[Any, ...], low: bytes, high: bytes, system: str, code: str, unit: str
) -> bool:
    how, start, end, asked, name = wanted
    if (asked is not None and asked != system) or (name is not None and name not in (code, unit)):
        return False
    inside = start <= low and high < end
    table: dict[str, bool] = {
        "within": inside,
        "outside": not inside,
        "above": high > end,
        "below": low < start,
        "from": high >= end,
        "upto": low <= start,
        "after": low > end,
        "before": high < start,
        "overlaps": low <= end and high >= start,
    }
    return table[how]


def _key(row: Row, by: By) -> Any:
    if by.kind == "updated":
        return row.updated_us // 1000
    if by.kind == "id":
        return row.id
    values = _values(row, by.param)
    if by.kind == "date":
        if by.descending:
            return max((v[1] for v in values), default=-(2**63))
        return min((v[0] for v in values), default=2**63)
    if by.descending:
        return max((v[0] for v in values), default="")
    return min((v[0] for v in values), default="\U0010ffff")


def hidden_more(rnd: random.Random, rows: Sequence[Row], author: str) -> list[Row]:
    """The same rows with others by ``author`` in the gaps, of ids that occur nowhere else."""
    taken = {row.index for row in rows}
    free = [i for i in range(1, max(taken) + 1) if i not in taken]
    added = []
    for n, index in enumerate(rnd.sample(free, len(free) * 2 // 3)):
        like = rnd.choice(rows)
        added.append(
            replace(
                like,
                index=index,
                id=f"hidden{n}",
                number=1,
                deleted=False,
                group=replace(like.group, author=author),
                terms=tuple(some_terms(rnd)),
            )
        )
    return sorted((*rows, *added), key=lambda row: row.index)
