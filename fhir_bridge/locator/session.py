"""A reader's connection, the names it has learned, and the gate that is in force."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from fhir_bridge.errors import Corrupt, Fault
from fhir_bridge.locator.conditions import Names
from fhir_bridge.locator.contract import Facts, Gate, Hit
from fhir_bridge.locator.file import about, open_file, rows, stated
from fhir_bridge.locator.values import Hasher, unpacked

__all__ = ["COLUMNS", "SHOWN", "Session"]

COLUMNS = "r.i, r.t, r.id, r.vid, r.n, r.at, r.state, r.g"
SHOWN = "r.state = 1 and gate(r.g)"
"""Stands beside every alias ``r`` of ``res``: current, not deleted, and let through."""

_ABSENT = -9
_KEPT = 16_384


class Session:
    """One connection of one thread."""

    def __init__(self, path: Path, key: bytes, layout: str, cache_kib: int) -> None:
        self.db = open_file(path, key, writing=False, cache_kib=cache_kib)
        found = about(self.db)
        if found is None or found[0] != stated(layout):
            self.db.close()
            raise Corrupt("the locator has another layout; build it anew", code="locator-layout")
        self.hash = Hasher(found[1])
        self.generation = found[1][:8].hex()
        self.names = Names(self.hash, self.kind, self._system)
        self._kinds: dict[str, int] = {}
        self._kind_names: dict[int, str] = {}
        self._systems: dict[str, int] = {}
        self._facts: dict[int, Facts] = {}
        self._gate: Gate = _closed
        self.looked = 0
        self.last = 0
        self.db.create_scalar_function("gate", self._ask, 1, deterministic=True)
        self.db.create_scalar_function("seen", self._see, 1)
        self.db.create_scalar_function("idtext", _text, 1, deterministic=True)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement. Corrupt when the file is damaged."""
        try:
            return rows(self.db, sql, values)
        except (apsw.CorruptError, apsw.NotADBError):
            raise Corrupt("the locator is damaged; build it anew", code="locator-damaged") from None

    @contextmanager
    def through(self, gate: Gate) -> Iterator[None]:
        """Put a gate in force; outside of this no row of a search can be looked at.

        A gate may itself search: the outer one is in force again afterwards.
        """
        outer = self._gate, self.looked, self.last
        self._gate = gate
        try:
            yield
        finally:
            self._gate, self.looked, self.last = outer

    def _ask(self, *group: Any) -> int:
        return 1 if self._gate(*group) else 0

    def count_candidates(self) -> None:
        """Start to count the candidates that ``seen`` is called with."""
        self.looked = 0

    def _see(self, *at: Any) -> int:
        # tells a page that is complete from one that reached the bound on candidates
        i: int = at[0]
        if self.looked and i >= self.last:
            raise Fault("candidates came out of order")
        self.looked += 1
        self.last = i
        return 1

    def kind(self, type_: str) -> int:
        """The number of a resource type; one that no row has for a type not seen yet."""
        return self._number(self._kinds, "select t from kind where name = ?", type_)

    def _system(self, uri: str) -> int:
        return self._number(self._systems, "select s from system where uri = ?", uri)

    def _number(self, known: dict[str, int], sql: str, text: str) -> int:
        found = known.get(text)
        if found is None:
            answer = self.rows(sql, (text,))
            if not answer:
                return _ABSENT
            found = known[text] = answer[0][0]
        return found

    def hit(self, row: Sequence[Any]) -> Hit:
        """A row of ``COLUMNS``."""
        i, t, id_, vid, n, at, state, g = row[:8]
        type_ = self._kind_names.get(t)
        if type_ is None:
            type_ = self._kind_names[t] = self.rows("select name from kind where t = ?", (t,))[0][0]
        return Hit(i, type_, unpacked(id_), unpacked(vid), n, at, state >= 2, g)

    def facts(self, group: int) -> Facts:
        """The facts of a group."""
        found = self._facts.get(group)
        if found is None:
            answer = self.rows("select facts from grp where g = ?", (group,))
            if not answer or answer[0][0] is None:
                raise Fault("no such facts group")
            if len(self._facts) >= _KEPT:
                self._facts.clear()
            type_, patients, labels, classes, author = json.loads(answer[0][0])
            found = Facts(type_, tuple(patients), tuple(labels), tuple(classes), author)
            self._facts[group] = found
        return found


def _closed(group: int) -> bool:
    raise Fault("a row was looked at outside of a search")


def _text(*stored: Any) -> str:
    return unpacked(*stored)
