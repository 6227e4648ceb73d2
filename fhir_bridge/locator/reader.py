"""Many readers: one per process (and per thread), each with its own connection.

What a reader answers depends on visible rows only: the gate stands in every WHERE clause beside
every alias of ``res``, before anything is counted, sorted or paged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fhir_bridge.locator.around import (
    consents_of,
    entries_of,
    everything,
    groups_of,
    includes,
    types_of,
)
from fhir_bridge.locator.contract import Facts, Gate, Hit, Include, Included, Page, Plan
from fhir_bridge.locator.pages import Bounds, search
from fhir_bridge.locator.session import COLUMNS, Session
from fhir_bridge.locator.values import packed

__all__ = ["Locator"]

_VERSIONS = f"""select {COLUMNS} from named x join res r on r.i = x.i
where x.v = ? and r.t = ? and r.id = ?"""


class Locator:
    """Reads the view.

    ``examine`` bounds the candidates of one page, ``sortable`` those of one sort or total.
    ``layout`` must be the writer's. Corrupt when the file is absent, of another layout, or does
    not open with ``key``.
    """

    def __init__(
        self,
        path: Path,
        key: bytes,
        layout: str = "",
        *,
        examine: int = 20_000,
        sortable: int = 100_000,
        cache_kib: int = 16_384,
    ) -> None:
        self._path = path
        self._session = Session(path, key, layout, cache_kib)
        self._inode = path.stat().st_ino
        self._bounds = Bounds(examine, sortable)

    @property
    def generation(self) -> str:
        """Names this build of the view: a remembered group id is good as long as it stays."""
        return self._session.generation

    def close(self) -> None:
        """Let go of the file."""
        self._session.db.close()

    def replaced(self) -> bool:
        """Whether the file was rewritten (a shred, a rebuild): open a new reader then."""
        try:
            return self._path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def upto(self) -> tuple[int, int]:
        """(ledger entries, audit rows) that the view covers."""
        i, a = self._session.rows("select i, a from upto")[0]
        return i, a

    def facts(self, group: int) -> Facts:
        """What consent must know of the rows of this group."""
        return self._session.facts(group)

    def gids_of(self, patient: str) -> list[int]:
        """The facts groups that name this patient."""
        return groups_of(self._session, patient)

    def entries_of(self, patient: str) -> list[int]:
        """Ledger positions of every version about this patient, deletions too. Not gated."""
        return entries_of(self._session, patient)

    def types(self) -> list[str]:
        """The resource types of which anything is current, by name. Not gated."""
        return types_of(self._session)

    def current(self, type_: str, id_: str) -> Hit | None:
        """The newest version, which may be a deletion. Not gated: look at ``Hit.group``."""
        found = self._versions(type_, id_, " order by x.i desc limit 1")
        return found[0] if found else None

    def version(self, type_: str, id_: str, version_id: str) -> Hit | None:
        """One version by its id. Not gated: look at ``Hit.group``."""
        found = self._versions(type_, id_, " and r.vid = ?", packed(version_id))
        return found[0] if found else None

    def history(
        self, type_: str, id_: str, before: int | None = None, count: int = 20
    ) -> list[Hit]:
        """Versions below ledger position ``before``, newest first. Not gated."""
        bound = 2**62 if before is None else before
        return self._versions(type_, id_, " and x.i < ? order by x.i desc limit ?", bound, count)

    def _versions(self, type_: str, id_: str, more: str, *values: Any) -> list[Hit]:
        session = self._session
        key = (session.hash.resource(type_, id_), session.kind(type_), packed(id_))
        return list(map(session.hit, session.rows(_VERSIONS + more, (*key, *values))))

    def search(self, plan: Plan, gate: Gate, after: tuple[Any, ...] | None = None) -> Page:
        """One page of ``plan`` over the rows that ``gate`` lets through.

        ``after`` is the ``next_key`` of the page before. A page may be short and still have a
        ``next_key``: the bound on examined candidates was reached. ``total`` is None when it
        was not asked for, or is beyond the bound. Unsupported when a sort is beyond it.
        """
        with self._session.through(gate):
            return search(self._session, plan, after, self._bounds)

    def includes(
        self,
        hits: Iterable[Hit],
        forward: Sequence[Include],
        reverse: Sequence[Include],
        gate: Gate,
        limit: int = 1_000,
    ) -> Included:
        """What the hits refer to and what refers to them, each once, none of the hits again.

        R4 search.html#include. The current version of each; only what ``gate`` lets through.
        """
        with self._session.through(gate):
            return includes(self._session, hits, forward, reverse, limit)

    def everything(
        self, patient: str, gate: Gate, after: int | None = None, count: int = 100
    ) -> Page:
        """All current resources whose facts name this patient, newest first.

        R4 patient-operation-everything.html, without what only the compartment refers to.
        """
        with self._session.through(gate):
            return everything(self._session, patient, gate, after, count)

    def consents_of(self, patient: str) -> list[int]:
        """Ledger positions of the patient's current Consents, oldest first. Not gated."""
        return consents_of(self._session, patient)

    def audit_of(
        self, subject: str | bytes, before: int | None = None, count: int = 100
    ) -> list[int]:
        """Audit rows about a patient (id) or a set (handle), newest first. Not gated."""
        bound = 2**62 if before is None else before
        found = self._session.rows(
            "select a from account where v = ? and a < ? order by a desc limit ?",
            (self._session.hash.subject(subject), bound, count),
        )
        return [a for (a,) in found]
