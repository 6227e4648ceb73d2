"""From predicates to SQL: a condition on one candidate row, and a driver that yields candidates.

Every condition speaks of ``r``, a row of ``res`` that the gate has let through in the same
WHERE clause, so a hidden row can neither match nor be counted. Only fixed texts are put into
SQL; every value is a bound parameter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_bridge.errors import Fault
from fhir_bridge.locator.contract import Predicate
from fhir_bridge.locator.values import Hasher, packed

__all__ = ["Driver", "Names", "Sql", "condition", "driver"]

_LAST = "\U0010ffff"


@dataclass(frozen=True, slots=True)
class Sql:
    """A piece of SQL and the values of its marks."""

    text: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Driver:
    """Selects of candidate ``i``; ``ordered``: each can be read newest first from an index."""

    selects: tuple[Sql, ...]
    ordered: bool


@dataclass(frozen=True, slots=True)
class Names:
    """How names become numbers in this file; an unknown name gives a number nobody has."""

    hash: Hasher
    kind: Callable[[str], int]
    system: Callable[[str], int]


def condition(predicate: Predicate, names: Names) -> Sql:
    """A boolean over ``r``."""
    one = _CONDITIONS.get(predicate.kind)
    if one is None:
        raise Fault(f"the locator cannot run a {predicate.kind} predicate")
    parts = [one(predicate.param, wanted, names) for wanted in predicate.any_of]
    text = " or ".join(part.text for part in parts)
    text = f"not ({text})" if predicate.negated else f"({text})"
    return Sql(text, tuple(value for part in parts for value in part.values))


def driver(predicate: Predicate, names: Names) -> Driver | None:
    """How to enumerate candidates of a predicate from an index; None when none serves."""
    one = _DRIVERS.get(predicate.kind)
    if one is None or predicate.negated:
        return None
    selects: list[Sql] = []
    for wanted in predicate.any_of:
        select = one(predicate.param, wanted, names)
        if select is None:
            return None
        selects.append(select)
    return Driver(tuple(selects), predicate.kind in ("token", "ref", "uri", "id"))


def _token_key(wanted: tuple[Any, ...], names: Names) -> tuple[int, str, tuple[Any, ...]]:
    system, code = wanted
    if code is None:
        return names.hash.system(system), "", ()
    v = names.hash.token(code)
    if system is None:
        return v, "", ()
    if system == "":
        return v, " and x.s = 0", ()
    # -1: the system of a plain code is implied by its element
    return v, " and x.s in (-1, ?)", (names.system(system),)


def _token(p: int, wanted: tuple[Any, ...], names: Names) -> Sql:
    v, more, values = _token_key(wanted, names)
    return Sql(
        f"exists (select 1 from token x where x.p = ? and x.v = ? and x.i = r.i{more})",
        (p, v, *values),
    )


def _drive_token(p: int, wanted: tuple[Any, ...], names: Names) -> Sql:
    v, more, values = _token_key(wanted, names)
    return Sql(f"select distinct x.i from token x where x.p = ? and x.v = ?{more}", (p, v, *values))


def _uri(p: int, wanted: tuple[Any, ...], names: Names) -> Sql:
    return _token(p, (None, wanted[0]), names)


def _drive_uri(p: int, wanted: tuple[Any, ...], names: Names) -> Sql:
    return _drive_token(p, (None, wanted[0]), names)


def _ref_key(wanted: tuple[Any, ...], names: Names) -> int:
    type_, id_, url = wanted
    return names.hash.url(url) if url else names.hash.resource(type_, id_)


def _ref(p: int, wanted: tuple[Any, ...], names: Names) -> Sql:
    return Sql(
        "exists (select 1 from ref x where x.p = ? and x.v = ? and x.i = r.i)",
        (p, _ref_key(wanted, names)),
    )


def _drive_ref(p: int, wanted: tuple[Any, ...], names: Names) -> Sql:
    return Sql("select x.i from ref x where x.p = ? and x.v = ?", (p, _ref_key(wanted, names)))


def _words_range(wanted: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    how, folded, exact = wanted
    if how == "exact":
        return "x.folded = ? and x.exact = ?", (folded, exact)
    if how == "contains":
        return "instr(x.folded, ?) > 0", (folded,)
    return "x.folded >= ? and x.folded < ?", (folded, folded + _LAST)


def _words(p: int, wanted: tuple[Any, ...], names: Names) -> Sql:
    text, values = _words_range(wanted)
    return Sql(
        "exists (select 1 from words x indexed by words_of"
        f" where x.i = r.i and x.p = ? and {text})",
        (p, *values),
    )


def _drive_words(p: int, wanted: tuple[Any, ...], names: Names) -> Sql:
    text, values = _words_range(wanted)
    return Sql(f"select distinct x.i from words x where x.p = ? and {text}", (p, *values))


_RANGES = {
    "within": ("{lo} >= ? and {hi} <= ?", "lh"),
    "outside": ("not ({lo} >= ? and {hi} <= ?)", "lh"),
    "above": ("{hi} > ?", "h"),
    "below": ("{lo} < ?", "l"),
    "from": ("({hi} > ? or ({lo} >= ? and {hi} <= ?))", "hlh"),
    "upto": ("({lo} < ? or ({lo} >= ? and {hi} <= ?))", "llh"),
    "after": ("{lo} >= ?", "h"),
    "before": ("{hi} <= ?", "l"),
    "overlaps": ("({lo} < ? and {hi} > ?)", "hl"),
}
"""How a stored range [lo, hi) must lie to the asked one (R4 search.html#prefix)."""


def _ranged(how: str, low: Any, high: Any, lo: str, hi: str) -> Sql:
    text, order = _RANGES[how]
    return Sql(text.format(lo=lo, hi=hi), tuple(low if c == "l" else high for c in order))


def _moment(p: int, wanted: tuple[Any, ...], names: Names) -> Sql:
    how, low, high = wanted
    part = _ranged(how, low, high, "x.lo", "x.hi")
    return Sql(
        f"exists (select 1 from moment x where x.p = ? and x.i = r.i and {part.text})",
        (p, *part.values),
    )


def _drive_moment(p: int, wanted: tuple[Any, ...], names: Names) -> Sql | None:
    how, low, high = wanted
    if how == "within":
        bounds = Sql("x.lo >= ? and x.lo < ? and x.hi <= ?", (low, high, high))
    elif how == "after":
        bounds = Sql("x.lo >= ?", (high,))
    elif how == "below":
        bounds = Sql("x.lo < ?", (low,))
    elif how == "before":
        bounds = Sql("x.lo < ? and x.hi <= ?", (low, low))
    else:
        return None
    return Sql(
        f"select distinct x.i from moment x indexed by moment_lo where x.p = ? and {bounds.text}",
        (p, *bounds.values),
    )


_AMOUNTS = {
    "within": ("x.lo >= ? and x.hi < ?", "lh"),
    "outside": ("not (x.lo >= ? and x.hi < ?)", "lh"),
    "above": ("x.hi > ?", "h"),
    "below": ("x.lo < ?", "l"),
    "from": ("x.hi >= ?", "h"),
    "upto": ("x.lo <= ?", "l"),
    "after": ("x.lo > ?", "h"),
    "before": ("x.hi < ?", "l"),
    "overlaps": ("x.lo <= ? and x.hi >= ?", "hl"),
}
"""The same for stored amounts, whose two ends both belong to them (R4 search.html#number)."""


def _amount(p: int, wanted: tuple[Any, ...], names: Names) -> Sql:
    how, low, high, system, code = wanted
    text, ends = _AMOUNTS[how]
    values: tuple[Any, ...] = tuple(low if c == "l" else high for c in ends)
    if system is not None:
        text, values = f"{text} and x.s = ?", (*values, names.system(system) if system else 0)
    if code is not None:
        v = names.hash.token(code)
        text, values = f"{text} and (x.code = ? or x.unit = ?)", (*values, v, v)
    return Sql(
        f"exists (select 1 from amount x where x.p = ? and x.i = r.i and {text})", (p, *values)
    )


def _id(p: int, wanted: tuple[Any, ...], names: Names) -> Sql:
    return Sql("r.id = ?", (packed(wanted[0]),))


def _updated(p: int, wanted: tuple[Any, ...], names: Names) -> Sql:
    # an instant is served with milliseconds, so that is the precision it is compared with
    how, low, high = wanted
    return _ranged(how, low, high, "(r.at - r.at % 1000)", "(r.at - r.at % 1000 + 1000)")


def _missing(p: int, wanted: tuple[Any, ...], names: Names) -> Sql:
    no = "not " if wanted[0] else ""
    return Sql(f"{no}exists (select 1 from has x where x.s = r.s and x.p = ?)", (p,))


_CONDITIONS: dict[str, Callable[[int, tuple[Any, ...], Names], Sql]] = {
    "token": _token,
    "ref": _ref,
    "uri": _uri,
    "string": _words,
    "date": _moment,
    "quantity": _amount,
    "id": _id,
    "updated": _updated,
    "missing": _missing,
}
_DRIVERS: dict[str, Callable[[int, tuple[Any, ...], Names], Sql | None]] = {
    "token": _drive_token,
    "ref": _drive_ref,
    "uri": _drive_uri,
    "string": _drive_words,
    "date": _drive_moment,
}
