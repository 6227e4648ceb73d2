"""The rows of one transaction, gathered and sorted per table."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import apsw

from fhir_bridge.errors import Fault
from fhir_bridge.locator.contract import Facts, Row
from fhir_bridge.locator.file import rows
from fhir_bridge.locator.values import Hasher, packed

__all__ = ["Batch", "Interned", "Texts"]

_IMPLIED = -1
_KEPT = 16_384
_NEWEST = """select r.i from named x join res r on r.i = x.i
where x.v = ? and r.t = ? and r.id = ? order by x.i desc limit 1"""


class Texts:
    """A table of distinct texts and their small numbers; recent ones are kept in memory."""

    def __init__(self, db: apsw.Connection, table: str, number: str, text: str) -> None:
        self._db = db
        self._find = f"select {number} from {table} where {text} = ?"
        self._last = f"select coalesce(max({number}), 0) from {table}"
        self._insert = f"insert into {table} ({number}, {text}) values (?, ?)"
        self.reload()

    def reload(self) -> None:
        """Trust the table alone again: after a failed transaction, after rows went."""
        self._known: dict[str, int] = {}
        self._top: int = rows(self._db, self._last)[0][0]

    def number(self, text: str, added: Callable[[int], None] | None = None) -> int:
        """The number of ``text``; a new one is inserted, and ``added`` is told."""
        found = self._known.get(text)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[text] = self._stored(text, added)
        return found

    def _stored(self, text: str, added: Callable[[int], None] | None) -> int:
        stored = rows(self._db, self._find, (text,))
        if stored:
            number: int = stored[0][0]
            return number
        self._top += 1
        rows(self._db, self._insert, (self._top, text))
        if added is not None:
            added(self._top)
        return self._top


@dataclass(frozen=True, slots=True)
class Interned:
    """What rows name by a small number."""

    kinds: Texts
    systems: Texts
    groups: Texts
    shapes: Texts

    def reload(self) -> None:
        """Trust the tables alone again."""
        for texts in (self.kinds, self.systems, self.groups, self.shapes):
            texts.reload()


class Batch:
    """Add rows, then write them; inside the writer's transaction."""

    def __init__(self, db: apsw.Connection, hasher: Hasher, interned: Interned) -> None:
        self._db = db
        self._hash = hasher
        self._names = interned
        self._rows: list[list[Any]] = []
        self._newest: dict[tuple[int, str | bytes], list[Any]] = {}
        self._superseding: set[tuple[int, str | bytes]] = set()
        self._groups: dict[Facts, int] = {}
        self._shapes: dict[tuple[int, ...], int] = {}
        self._token: list[tuple[int, ...]] = []
        self._ref: list[tuple[int, ...]] = []
        self._moment: list[tuple[int, ...]] = []
        self._words: list[tuple[Any, ...]] = []
        self._amount: list[tuple[Any, ...]] = []

    def add(self, row: Row) -> None:
        """Take one resource version in."""
        for term in row.terms:
            self._term(row.index, term)
        kind, id_ = self._names.kinds.number(row.type), packed(row.id)
        stored = [
            row.index,
            kind,
            id_,
            packed(row.version_id),
            row.number,
            row.updated_us,
            2 if row.deleted else 0,
            self._group(row.group),
            self._shape(row),
            self._hash.resource(row.type, row.id),
        ]
        self._rows.append(stored)
        before = self._newest.get((kind, id_))
        if before is None or before[0] < row.index:
            self._newest[kind, id_] = stored
        if row.number != 1:
            self._superseding.add((kind, id_))

    def _group(self, facts: Facts) -> int:
        found = self._groups.get(facts)
        if found is None:
            found = self._groups[facts] = self._interned_group(facts)
        return found

    def _interned_group(self, facts: Facts) -> int:
        text = json.dumps(
            [facts.type, facts.patients, facts.labels, facts.classes, facts.author],
            separators=(",", ":"),
            ensure_ascii=False,
        )

        def added(g: int) -> None:
            members = [(patient, g) for patient in dict.fromkeys(facts.patients)]
            self._db.executemany("insert into member values (?, ?)", members)

        return self._names.groups.number(text, added)

    def _shape(self, row: Row) -> int:
        given = tuple([term[1] for term in row.terms])
        found = self._shapes.get(given)
        if found is None:
            found = self._shapes[given] = self._interned_shape(sorted(set(given)))
        return found

    def _interned_shape(self, params: list[int]) -> int:
        def added(s: int) -> None:
            self._db.executemany("insert into has values (?, ?)", [(s, p) for p in params])

        return self._names.shapes.number(",".join(map(str, params)), added)

    def _term(self, i: int, term: tuple[Any, ...]) -> None:
        match term:
            case ("token", p, system, code):
                self._tokens(i, p, system, code)
            case ("ref", p, type_, id_, url):
                v = self._hash.url(url) if url else self._hash.resource(type_, id_)
                self._ref.append((p, v, i))
            case ("date", p, low, high):
                self._moment.append((p, i, low, high))
            case ("string", p, folded, exact):
                self._words.append((p, folded, i, exact))
            case ("uri", p, uri):
                self._token.append((p, self._hash.token(uri), i, 0))
            case ("quantity", p, low, high, system, code, unit):
                hashes = self._hash.token(code), self._hash.token(unit)
                self._amount.append((p, i, low, high, self._system(system), *hashes))
            case _:
                raise Fault("a search term of an unknown kind", code="term")

    def _tokens(self, i: int, p: int, system: str | None, code: str) -> None:
        s = _IMPLIED if system is None else self._system(system)
        if code:
            self._token.append((p, self._hash.token(code), i, s))
        if system:
            self._token.append((p, self._hash.system(system), i, s))

    def _system(self, uri: str) -> int:
        return self._names.systems.number(uri) if uri else 0

    def write(self) -> None:
        """Put all rows in, each table in the order of its key."""
        self._supersede()
        for stored in self._newest.values():
            stored[6] |= 1
        self._rows.sort(key=lambda stored: stored[0])
        marks = ", ".join("?" * 9)
        self._db.executemany(f"insert into res values ({marks})", (r[:9] for r in self._rows))
        self._insert("named", [(r[9], r[0]) for r in self._rows])
        self._insert("token", self._token)
        self._insert("ref", self._ref)
        self._insert("moment", self._moment)
        self._insert("words", self._words)
        self._insert("amount", self._amount)

    def _insert(self, table: str, found: list[tuple[Any, ...]] | list[tuple[int, ...]]) -> None:
        if found:
            marks = ", ".join("?" * len(found[0]))
            self._db.executemany(f"insert or ignore into {table} values ({marks})", sorted(found))

    def _supersede(self) -> None:
        for key in self._superseding:
            newest = self._newest[key]
            before = rows(self._db, _NEWEST, (newest[9], newest[1], newest[2]))
            if not before:
                continue
            if before[0][0] > newest[0]:
                del self._newest[key]
            else:
                rows(self._db, "update res set state = state & ~1 where i = ?", before[0])
