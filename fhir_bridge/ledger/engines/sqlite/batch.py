"""One commit, laid out: the rows that a group of appends becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fhir_bridge.fbe1 import control_body, row_leaf_data
from fhir_bridge.ledger.apply import Turn, first_entry_id
from fhir_bridge.ledger.contract import Append, Appended, AuditRow, Entry, Refused
from fhir_bridge.ledger.control import ControlAuthor
from fhir_bridge.ledger.engines.sqlite.prepared import Prepared
from fhir_bridge.ledger.engines.sqlite.rows import StoredAudit, crc_of
from fhir_bridge.ledger.engines.sqlite.schema import PAGE_BYTES, tile_key
from fhir_bridge.ledger.merkle import leaf_hash, reduce
from fhir_bridge.ledger.tree import Tree

__all__ = ["Batch"]

IN_EFFECT, VOID = 0, 1
_PAGES_PER_COMMIT = 5


@dataclass(slots=True)
class _Draft:
    """One append on its way."""

    append: Append
    first: int = -1
    audit: int = -1
    refused: Refused | None = None
    known: Appended | Refused | None = None


@dataclass(slots=True)
class Batch:
    """Rows for the tables, and the outcome of every append, in order."""

    turn: Turn
    tree: Tree
    author: ControlAuthor
    first_audit: int
    own: bool = False
    leaves: list[tuple[int, bytes]] = field(default_factory=list)
    bodies: list[tuple[int, bytes, bytes, bytes, int]] = field(default_factory=list)
    tiles: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    audits: list[StoredAudit] = field(default_factory=list)
    batch_leaf: int = -1
    _grown: list[bytes] = field(default_factory=list)
    """The hashes of the leaves, for the tree."""
    _hashes: list[bytes] = field(default_factory=list)
    """The hashes of the audit rows."""
    _drafts: list[_Draft] = field(default_factory=list)
    _first: dict[bytes, _Draft] = field(default_factory=dict)

    def lay_out(self, appends: Sequence[Append]) -> list[Appended | Refused]:
        """Judge, order and hash; afterwards the rows are ready and the tree has grown."""
        for append in appends:
            self._drafts.append(self._one(append))
        if self.audits:
            self._seal_audits()
        for tile in self.tree.extend(self._grown):
            self.tiles.append((tile_key(tile.level, tile.number), tile.root, tile.hashes))
        outcomes = [self._outcome(draft) for draft in self._drafts]
        for first, draft in self._first.items():
            self.turn.note(first, self._outcome(draft))
        return outcomes

    @property
    def pages(self) -> int:
        """About how many pages of the file these rows touch."""
        size = sum(len(leaf) for _, leaf in self.leaves) + sum(len(b[1]) for b in self.bodies)
        size += sum(len(sealed) for _, _, sealed in self.audits)
        return _PAGES_PER_COMMIT + size // PAGE_BYTES

    @property
    def _next(self) -> int:
        """The position of the next leaf."""
        return self.tree.size + len(self._grown)

    def _one(self, append: Append) -> _Draft:
        first_id = first_entry_id(append.entries)
        if first_id is not None:
            twin = self._first.get(first_id)
            if twin is not None:
                return twin
            known = self.turn.known(first_id)
            if known is not None:
                return _Draft(append, known=known)
        draft = _Draft(append, self._next)
        if append.audits:
            draft.audit = self.first_audit + len(self.audits)
        ready = append if isinstance(append, Prepared) else Prepared.of(append)
        ready.examine(len(append.entries))
        draft.refused = self.turn.admit(
            append, ready.examined, draft.first, own=self.own, stretch=ready.stretch
        )
        if draft.refused is None:
            for entry, found, check in zip(
                append.entries, ready.examined, ready.checks, strict=True
            ):
                if found is not None:
                    self._add(entry, found.leaf_hash, check)
        else:
            self._void(append.entries)
        self._audit(append.audits, IN_EFFECT if draft.refused is None else VOID)
        if first_id is not None:
            self._first[first_id] = draft
        return draft

    def _add(self, entry: Entry, hash_: bytes, check: int) -> None:
        index = self._next
        self.leaves.append((index, entry.leaf))
        self.bodies.append((index, entry.body, entry.box, entry.hint, check))
        self._grown.append(hash_)

    def _control(self, body: bytes) -> None:
        key = self.author.key_id
        entry, chain = self.author.entry(body, self.turn.chain(key))
        self.turn.chains[key] = chain
        self._add(entry, leaf_hash(entry.leaf), crc_of(entry.box, entry.hint))

    def _void(self, entries: Sequence[Entry]) -> None:
        for key, seq, entry_id in self.turn.voidable(entries):
            self._control(control_body("void", key_id=key.hex(), seq=seq, entry_id=entry_id.hex()))

    def _audit(self, rows: Sequence[AuditRow], status: int) -> None:
        for row in rows:
            self.audits.append((status, row.hint, row.sealed))
            self._hashes.append(leaf_hash(row_leaf_data(status, row.sealed)))

    def _seal_audits(self) -> None:
        """One leaf commits to all audit rows of this commit."""
        self.batch_leaf = self._next
        self._control(
            control_body(
                "audit",
                root=reduce(self._hashes).hex(),
                count=len(self._hashes),
                first=self.first_audit,
            )
        )

    def _outcome(self, draft: _Draft) -> Appended | Refused:
        if draft.known is not None:
            return draft.known
        size = self.tree.size
        if draft.refused is not None:
            return Refused(draft.refused.code, draft.refused.position, size)
        first = draft.first if draft.append.entries else self.batch_leaf
        return Appended(first, draft.audit, size)
