"""Reading a ledger file: rows, tiles and proofs. Own connection per process, never writes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from fhir_bridge.errors import Corrupt, NotFound
from fhir_bridge.fbe1 import parse_control
from fhir_bridge.ledger.apply import Author, Chain
from fhir_bridge.ledger.contract import Head
from fhir_bridge.ledger.engines.sqlite import schema
from fhir_bridge.ledger.engines.sqlite.counter import SizeCounter, counter_path
from fhir_bridge.ledger.engines.sqlite.rows import decode_audits, decode_chains
from fhir_bridge.ledger.merkle import (
    EMPTY_ROOT,
    consistency_path,
    inclusion_path,
    leaf_hash,
    range_hash,
    reduce,
)
from fhir_bridge.ledger.tiles import entry_bundle, tile_width
from fhir_bridge.ledger.tree import TILE_HEIGHT, TILE_WIDTH

__all__ = ["Reader", "StoredAuditRow", "StoredRow"]

_HASH = 32
_KEPT_NODES = 8192


class StoredRow(msgspec.Struct, frozen=True, gc=False):
    """An entry as stored."""

    index: int
    leaf: bytes
    body: bytes | None
    """None once it has been erased."""
    box: bytes
    hint: bytes


class StoredAuditRow(msgspec.Struct, frozen=True, gc=False):
    """An audit row as stored."""

    number: int
    index: int
    """The batch leaf that commits to it."""
    status: int
    """0 in effect; 1 void: the operation it describes was refused."""
    sealed: bytes
    hint: bytes


class Reader:
    """Read-only view that follows the file; every call sees the latest commit."""

    def __init__(self, path: Path) -> None:
        """Unavailable when there is no ledger, Corrupt when it cannot be read."""
        self.path = path
        self._db = schema.connect(path)
        self._counter = SizeCounter(counter_path(path))
        self._nodes: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def size(self) -> int:
        """Size after the last commit, from shared memory (no query)."""
        return self._counter.get()

    def head(self) -> Head:
        """The head after the last commit."""
        origin, size, root = self._one("SELECT origin, size, root FROM head")
        if type(origin) is not str or type(size) is not int or type(root) is not bytes:
            raise Corrupt("the head of the ledger is not readable", code="head", where="head")
        return Head(origin, size, root)

    def row(self, index: int) -> StoredRow:
        """One entry; NotFound when the log is shorter."""
        for row in self.rows(index, index + 1):
            return row
        raise NotFound("there is no such entry", code="no-such-entry")

    def rows(self, start: int, end: int) -> list[StoredRow]:
        """Entries ``start`` … ``end - 1``, as far as they are there."""
        cursor = self._db.execute(
            "SELECT leaf.i, leaf, body, coalesce(box, x''), coalesce(hint, x'')"
            " FROM leaf LEFT JOIN body ON body.i = leaf.i"
            " WHERE leaf.i >= ? AND leaf.i < ? ORDER BY leaf.i",
            (start, end),
        )
        return [StoredRow(*row) for row in cursor]

    def leaves(self, start: int, end: int) -> list[bytes]:
        """Leaves ``start`` … ``end - 1``, as far as they are there."""
        return [
            leaf
            for (leaf,) in self._db.execute(
                "SELECT leaf FROM leaf WHERE i >= ? AND i < ? ORDER BY i", (start, end)
            )
        ]

    def bodies(self, start: int, end: int) -> list[tuple[int, bytes, bytes, bytes]]:
        """``(index, body, box, hint)`` of the bodies that are (still) there."""
        return self._db.execute(
            "SELECT i, body, box, hint FROM body WHERE i >= ? AND i < ? ORDER BY i", (start, end)
        ).fetchall()

    def gone(self, index: int) -> int | None:
        """Index of the receipt that explains why the body is no longer there, or None."""
        row = self._db.execute("SELECT receipt FROM gone WHERE i = ?", (index,)).fetchone()
        return None if row is None else int(row[0])

    def audit_count(self) -> int:
        """Number of audit rows."""
        return int(self._one("SELECT audits FROM head")[0])

    def audit_rows(self, first: int, limit: int) -> list[StoredAuditRow]:
        """At most ``limit`` audit rows from number ``first``."""
        found: list[StoredAuditRow] = []
        for row in self._audits_from(first):
            if len(found) == limit:
                break
            found.append(row)
        return found

    def audit_row(self, number: int) -> StoredAuditRow:
        """One audit row; NotFound when there are fewer."""
        for row in self.audit_rows(number, 1):
            return row
        raise NotFound("there is no such audit row", code="no-such-audit-row")

    def audit_batch(self, index: int) -> list[StoredAuditRow]:
        """The rows that the batch leaf at ``index`` commits to; NotFound for another leaf."""
        body = self.row(index).body
        value = parse_control(body) if body is not None and body[:6] == b"fbe1c\x01" else {}
        if value.get("kind") != "audit":
            raise NotFound("this entry is not an audit batch", code="no-such-batch")
        return self.audit_rows(value["first"], value["count"])

    def _audits_from(self, first: int) -> Iterator[StoredAuditRow]:
        cursor = self._db.execute(
            "SELECT a, i, rows FROM audit"
            " WHERE a >= (SELECT max(a) FROM audit WHERE a <= ?) ORDER BY a",
            (first,),
        )
        for start, index, blob in cursor:
            try:
                rows = decode_audits(blob)
            except msgspec.DecodeError:
                raise Corrupt(
                    f"audit rows from {start} are not readable", code="audit-rows"
                ) from None
            for number, (status, hint, sealed) in enumerate(rows, start):
                if number >= first:
                    yield StoredAuditRow(number, index, status, sealed, hint)

    def authors(self) -> dict[bytes, Author]:
        """Every author key by key id."""
        return {
            key: Author(member, public, added, retired)
            for key, member, public, added, retired in self._db.execute("SELECT * FROM author")
        }

    def author(self, key_id: bytes) -> Author | None:
        """One author key, None when it was never added."""
        row = self._db.execute(
            "SELECT member, public, added, retired FROM author WHERE key_id = ?", (key_id,)
        ).fetchone()
        return None if row is None else Author(*row)

    def author_chain(self, key_id: bytes) -> Chain | None:
        """``(sequence number, entry id)`` of the key's last entry; None for an unknown key."""
        return decode_chains(self._one("SELECT chains FROM head")[0]).get(key_id)

    def checkpoint(self) -> bytes | None:
        """The newest signed checkpoint, None before the first."""
        row = self._db.execute("SELECT note FROM checkpoint ORDER BY size DESC LIMIT 1").fetchone()
        return None if row is None else row[0]

    def checkpoint_size(self) -> int:
        """Size of the newest checkpoint; 0 before the first."""
        return int(self._one("SELECT coalesce(max(size), 0) FROM checkpoint")[0])

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """The inclusion path of an entry in the tree of ``size`` (RFC 6962 §2.1.1)."""
        self._check_size(size)
        return inclusion_path(self._full, index, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """The consistency path between two sizes (RFC 6962 §2.1.2)."""
        self._check_size(new)
        return consistency_path(self._full, old, new)

    def root_at(self, size: int) -> bytes:
        """The root that the tree had at ``size``, computed from tiles and leaves."""
        self._check_size(size)
        return range_hash(self._full, 0, size) if size else EMPTY_ROOT

    def tile(self, level: int, number: int, width: int, size: int | None = None) -> bytes:
        """A hash tile of the tree of ``size`` (default: the newest checkpoint's).

        NotFound when a tree of that size has no such tile of that width.
        """
        self._check_published(level, number, width, size)
        return b"".join(self._hashes(level, number, 0, width))

    def entries(self, number: int, width: int, size: int | None = None) -> bytes:
        """An entry bundle of the tree of ``size`` (default: the newest checkpoint's)."""
        self._check_published(0, number, width, size)
        start = number * TILE_WIDTH
        return entry_bundle(self.leaves(start, start + width))

    def close(self) -> None:
        self._counter.close()
        self._db.close()

    def _check_published(self, level: int, number: int, width: int, size: int | None) -> None:
        size = self.checkpoint_size() if size is None else size
        if not 1 <= width <= tile_width(size, level, number):
            raise NotFound("there is no such tile", code="no-such-tile")

    def _check_size(self, size: int) -> None:
        if not 0 <= size <= self.head().size:
            raise NotFound("the log is not that long", code="out-of-tree")

    def _full(self, level: int, k: int) -> bytes:
        """Hash of a complete subtree, from the tile that holds its parts."""
        known = self._nodes.get((level, k))
        if known is not None:
            self._nodes.move_to_end((level, k))
            return known
        height = level % TILE_HEIGHT
        first = k << height
        found = reduce(
            self._hashes(level // TILE_HEIGHT, first // TILE_WIDTH, first % TILE_WIDTH, 1 << height)
        )
        # Complete subtrees never change, so they may be kept.
        self._nodes[level, k] = found
        if len(self._nodes) > _KEPT_NODES:
            self._nodes.popitem(last=False)
        return found

    def _hashes(self, level: int, number: int, start: int, count: int) -> list[bytes]:
        """``count`` hashes of one tile from position ``start``, full tile or not."""
        row = self._db.execute(
            "SELECT hashes FROM tile WHERE t = ?", (schema.tile_key(level, number),)
        ).fetchone()
        first = number * TILE_WIDTH + start
        if row is not None:
            tile = row[0][start * _HASH : (start + count) * _HASH]
            hashes = [tile[at : at + _HASH] for at in range(0, len(tile), _HASH)]
        elif level == 0:
            hashes = [leaf_hash(leaf) for leaf in self.leaves(first, first + count)]
        else:
            lower = schema.tile_key(level - 1, first)
            cursor = self._db.execute(
                "SELECT root FROM tile WHERE t >= ? AND t < ? ORDER BY t", (lower, lower + count)
            )
            hashes = [root for (root,) in cursor]
        if len(hashes) != count:
            raise Corrupt(
                f"tile {level}/{number} is not complete", code="tile", where=f"{level}/{number}"
            )
        return hashes

    def _one(self, sql: str) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self._db.execute(sql).fetchone()
        if row is None:
            raise Corrupt("the ledger has no head", code="head-missing", where="head")
        return row
