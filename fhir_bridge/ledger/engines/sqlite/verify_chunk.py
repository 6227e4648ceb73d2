"""The part of `verify_log` that runs side by side: a run of entries, looked at one by one.

A chunk checks everything that can be seen from its own rows; what spans chunks (chains, tiles
above the first level, claims, audit numbering) it hands on in a summary.
"""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from fhir_bridge.errors import Corrupt
from fhir_bridge.fbe1 import (
    Kind,
    parse_control,
    row_leaf_data,
    signed_bytes,
)
from fhir_bridge.ledger.apply import Author, Read, read_entry
from fhir_bridge.ledger.contract import Verify
from fhir_bridge.ledger.engines.sqlite import schema
from fhir_bridge.ledger.engines.sqlite.rows import crc_of, decode_audits
from fhir_bridge.ledger.merkle import leaf_hash, reduce
from fhir_bridge.ledger.tree import TILE_WIDTH

__all__ = ["ChunkSummary", "Task", "bad", "check_chunk"]

_HASH = 32


@dataclass(frozen=True, slots=True)
class Task:
    """What every chunk of one verification needs to know."""

    path: Path
    origin: str
    sequencer: bytes
    authors: dict[bytes, Author]
    claims_upto: int
    verify: Verify | None


@dataclass(slots=True)
class Link:
    """What one chunk saw of one author's chain."""

    first_seq: int
    first_previous: bytes | None
    """None when the chunk's first step is a void entry, which does not say."""
    last_seq: int
    last_id: bytes


@dataclass(slots=True)
class ChunkSummary:
    """What the chunks before and after must agree with."""

    start: int
    end: int
    roots: list[bytes] = field(default_factory=list)
    """Of the full tiles of leaves."""
    edge: list[bytes] = field(default_factory=list)
    """Leaf hashes after the last full tile."""
    links: dict[bytes, Link] = field(default_factory=dict)
    settled: bytearray = field(default_factory=bytearray)
    """Claim prefixes that must be in segments."""
    young: bytearray = field(default_factory=bytearray)
    """Claim prefixes that are in no segment yet."""
    keys: list[tuple[int, str, bytes]] = field(default_factory=list)
    """Index, kind and key id of key.add and key.retire entries."""
    audits: list[tuple[int, int, int]] = field(default_factory=list)
    """Batch leaf, first row and number of rows."""
    shreds: list[int] = field(default_factory=list)
    receipts: set[int] = field(default_factory=set)
    """Receipts that explain missing bodies."""
    erased: int = 0


def bad(what: str, why: str, code: str) -> Corrupt:
    """The finding: what is bad (``entry 17``) and why."""
    return Corrupt(f"{what}: {why}", code=code, where=what)


def check_chunk(task: Task, start: int, end: int) -> ChunkSummary:
    """Check entries ``start`` … ``end - 1``; Corrupt names the first that is bad."""
    db = schema.connect(task.path)
    try:
        return _Chunk(task, db, ChunkSummary(start, end)).run()
    except sqlite3.DatabaseError as error:
        raise bad(f"entries {start} to {end - 1}", f"not readable: {error}", "unreadable") from None
    except (TypeError, ValueError, OverflowError):
        what = f"entries {start} to {end - 1}"
        raise bad(what, "a row holds another kind of value", "unreadable") from None
    finally:
        db.close()


class _Chunk:
    def __init__(self, task: Task, db: sqlite3.Connection, summary: ChunkSummary) -> None:
        self._task = task
        self._db = db
        self._sum = summary

    def run(self) -> ChunkSummary:
        for start in range(self._sum.start, self._sum.end, TILE_WIDTH):
            end = min(start + TILE_WIDTH, self._sum.end)
            leaves = self._leaves(start, end)
            bodies = self._bodies(start, end)
            reads = [
                self._entry(index, leaf, bodies.get(index))
                for index, leaf in enumerate(leaves, start)
            ]
            hashes = [leaf_hash(leaf) for leaf in leaves]
            if end - start == TILE_WIDTH:
                self._sum.roots.append(self._tile(start // TILE_WIDTH, hashes))
            else:
                self._sum.edge = hashes
            for index, (read, body) in enumerate(reads, start):
                self._follow(index, read, body)
        return self._sum

    def _leaves(self, start: int, end: int) -> list[bytes]:
        rows = self._db.execute(
            "SELECT i, leaf FROM leaf WHERE i >= ? AND i < ? ORDER BY i", (start, end)
        ).fetchall()
        for expected, (index, _) in enumerate(rows, start):
            if index != expected:
                raise bad(f"entry {expected}", "the leaf is missing", "entry-missing")
        if len(rows) != end - start:
            raise bad(f"entry {start + len(rows)}", "the leaf is missing", "entry-missing")
        return [leaf if type(leaf) is bytes else b"" for _, leaf in rows]

    def _bodies(self, start: int, end: int) -> dict[int, bytes]:
        bodies = {}
        for index, body, box, hint, crc in self._db.execute(
            "SELECT i, body, box, hint, crc FROM body WHERE i >= ? AND i < ? ORDER BY i",
            (start, end),
        ):
            if crc_of(box, hint) != crc:
                raise bad(f"body {index}", "its key box or hint is damaged", "box")
            bodies[index] = body if type(body) is bytes else b""
        return bodies

    def _entry(self, index: int, leaf: bytes, body: bytes | None) -> tuple[Read, bytes | None]:
        """Form, origin, author, signature and body of one entry."""
        what = f"entry {index}"
        try:
            read = read_entry(leaf)
        except Corrupt as error:
            raise bad(what, f"not well formed ({error.message})", "entry") from None
        core = read.core
        if core.origin != self._task.origin:
            raise bad(what, "made for another log", "entry")
        author = self._task.authors.get(core.key_id)
        first = author is not None and index == 0 and core.key_id == self._task.sequencer
        if author is None or (index < author.added and not first):
            raise bad(what, "its author's key is not on the log before it", "author")
        if 0 <= author.retired < index or author.member != core.member:
            raise bad(what, "its author's key was retired, or is another member's", "author")
        verify = self._task.verify
        if verify is not None and not verify(
            author.public, signed_bytes(read.core_bytes, read.body_hash), read.signature
        ):
            raise bad(what, "the author's signature does not verify", "signature")
        if body is None:
            self._erased(index, core.kind)
        elif hashlib.sha256(body).digest() != read.body_hash:
            raise bad(f"body {index}", "not the one that its entry names", "body")
        return read, body

    def _erased(self, index: int, kind: Kind) -> None:
        row = self._db.execute("SELECT receipt FROM gone WHERE i = ?", (index,)).fetchone()
        if row is None or kind == Kind.CONTROL:
            raise bad(f"body {index}", "missing, and no receipt says why", "body-missing")
        self._sum.receipts.add(row[0])
        self._sum.erased += 1

    def _tile(self, number: int, hashes: list[bytes]) -> bytes:
        """Hold a full tile against its leaves; the root of the leaves."""
        what, root = f"tile 0/{number}", reduce(hashes)
        row = self._db.execute(
            "SELECT hashes, root FROM tile WHERE t = ?", (schema.tile_key(0, number),)
        ).fetchone()
        if row is None:
            raise bad(what, "missing", "tile")
        stored = [row[0][at : at + _HASH] for at in range(0, len(row[0]), _HASH)]
        if stored == hashes and row[1] == root:
            return root
        if len(stored) == TILE_WIDTH and reduce(stored) == row[1] and stored != hashes:
            # The tile agrees with itself: it is a leaf that changed or moved.
            position = next(n for n in range(TILE_WIDTH) if stored[n] != hashes[n])
            index = number * TILE_WIDTH + position
            raise bad(f"entry {index}", "not the one that its tile names", "entry")
        raise bad(what, "does not agree with the leaves under it", "tile")

    def _follow(self, index: int, read: Read, body: bytes | None) -> None:
        """Chain, claims and control transitions, in the order of the log."""
        core = read.core
        self._step(index, core.key_id, core.seq, core.previous, read.id)
        claims = self._sum.settled if index < self._task.claims_upto else self._sum.young
        for claim in core.claims:
            claims += claim[:8]
        if core.kind == Kind.CONTROL and body is not None:
            try:
                self._control(index, core.key_id, parse_control(body))
            except (KeyError, TypeError, ValueError) as error:
                why = f"control body: {type(error).__name__}"
                raise bad(f"entry {index}", why, "control") from None

    def _step(
        self, index: int, key: bytes, seq: int, previous: bytes | None, entry_id: bytes
    ) -> None:
        link = self._sum.links.get(key)
        if link is None:
            self._sum.links[key] = Link(seq, previous, seq, entry_id)
            return
        if seq != link.last_seq + 1 or previous not in (None, link.last_id):
            raise bad(f"entry {index}", "does not continue its author's chain", "author-chain")
        link.last_seq, link.last_id = seq, entry_id

    def _control(self, index: int, author: bytes, value: dict[str, Any]) -> None:
        kind = value["kind"]
        if kind in ("genesis", "void", "audit") and author != self._task.sequencer:
            raise bad(f"entry {index}", "only the sequencer writes this kind", "control")
        if (kind == "genesis") is not (index == 0):
            raise bad(f"entry {index}", "the genesis is entry 0 and only it", "control")
        if kind == "void":
            void_id = bytes.fromhex(value["entry_id"])
            self._step(index, bytes.fromhex(value["key_id"]), value["seq"], None, void_id)
        elif kind == "audit":
            self._audit(index, value["first"], value["count"], value["root"])
        elif kind in ("key.add", "key.retire"):
            self._sum.keys.append((index, kind, bytes.fromhex(value["key_id"])))
        elif kind == "shred":
            self._sum.shreds.append(index)

    def _audit(self, index: int, first: int, count: int, root: str) -> None:
        what = f"audit row {first}" if count == 1 else f"audit rows {first} to {first + count - 1}"
        row = self._db.execute("SELECT i, n, rows, crc FROM audit WHERE a = ?", (first,)).fetchone()
        if row is None:
            raise bad(what, f"missing (batch leaf {index})", "audit")
        try:
            hashes = [
                leaf_hash(row_leaf_data(status, sealed))
                for status, _, sealed in decode_audits(row[2])
            ]
        except (msgspec.MsgspecError, Corrupt, TypeError):
            raise bad(what, f"not readable (batch leaf {index})", "audit") from None
        if (row[0], row[1], len(hashes)) != (index, count, count) or reduce(hashes).hex() != root:
            raise bad(what, f"not what batch leaf {index} commits to", "audit")
        if crc_of(row[2]) != row[3]:
            raise bad(what, "a hint is damaged", "audit")
        self._sum.audits.append((index, first, count))
