"""Walk a whole ledger file and say that it is whole, or name the first thing that is not.

Checked: every leaf's form, author, chain and (with ``verify``) signature; every body's hash, or
the receipt of its erasure; every audit row against its batch leaf, without a gap in their
numbers; every tile; claims once only and their segments; the head; the newest checkpoints; and
that the log extends a remembered head. Boxes and hints stand in no hash and are covered by a
checksum alone: one that was made wrong shows when it is opened.
"""

from __future__ import annotations

import multiprocessing
import sqlite3
import sys
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import msgspec

from fhir_bridge.errors import Corrupt
from fhir_bridge.fbe1 import FIRST, key_id, parse_control
from fhir_bridge.ledger.apply import Author
from fhir_bridge.ledger.contract import Head, Verify
from fhir_bridge.ledger.engines.sqlite import schema
from fhir_bridge.ledger.engines.sqlite.reader import Reader
from fhir_bridge.ledger.engines.sqlite.rows import crc_of, decode_chains
from fhir_bridge.ledger.engines.sqlite.verify_chunk import (
    ChunkSummary,
    Task,
    bad,
    check_chunk,
)
from fhir_bridge.ledger.head_memory import describe
from fhir_bridge.ledger.merkle import reduce
from fhir_bridge.ledger.tree import TILE_HEIGHT, TILE_WIDTH, Tree

__all__ = ["VerifiedLog", "verify_log"]

_CHUNK = 16 * TILE_WIDTH
_CHECKPOINTS = 50


@dataclass(frozen=True, slots=True)
class VerifiedLog:
    """What was found whole."""

    head: Head
    audits: int
    erased: int
    """Bodies that are gone with a receipt."""
    claims: int
    signatures: bool
    """Whether the authors' signatures were checked as well."""


def verify_log(
    path: Path,
    verify: Verify | None = None,
    jobs: int = 2,
    progress: Callable[[int, int], None] | None = None,
    remembered: Head | None = None,
) -> VerifiedLog:
    """The head that everything adds up to. Corrupt, with ``where`` = the first bad thing.

    ``verify`` is called in ``jobs`` processes, so it must be importable by name.
    ``progress(done, total)`` counts entries. The log may grow meanwhile: it is verified up to
    the head at the start.
    """
    reader = Reader(path)
    try:
        return _Walk(path, reader, verify, jobs, progress).run(remembered)
    except sqlite3.DatabaseError as error:
        raise bad("ledger file", f"not readable: {error}", "unreadable") from None
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError):
        raise bad("ledger file", "a row holds another kind of value", "unreadable") from None
    finally:
        reader.close()


class _Walk:
    def __init__(
        self,
        path: Path,
        reader: Reader,
        verify: Verify | None,
        jobs: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._path = path
        self._reader = reader
        self._jobs = jobs
        self._progress = progress
        self._verify = verify
        self._db = schema.connect(path)
        # One snapshot for head, authors and segments, however the log grows.
        self._db.execute("BEGIN")
        row = self._db.execute(
            "SELECT origin, sequencer, size, root, audits, chains FROM head"
        ).fetchone()
        if row is None or tuple(map(type, row)) != (str, bytes, int, bytes, int, bytes):
            raise bad("head", "missing or not readable", "head")
        self._head = Head(row[0], row[2], row[3])
        self._sequencer, self._audits, self._stored_chains = row[1], row[4], row[5]
        self._authors = {
            key: Author(*rest) for key, *rest in self._db.execute("SELECT * FROM author")
        }
        (self._upto,) = self._db.execute("SELECT coalesce(max(upto), 0) FROM claimseg").fetchone()
        self._chains: dict[bytes, tuple[int, bytes]] = {}
        self._keys: list[tuple[int, str, bytes]] = []
        self._shreds: set[int] = set()
        self._receipts: set[int] = set()
        self._settled: array[int] = array("Q")
        self._young: array[int] = array("Q")
        self._roots: list[bytes] = []
        self._edge: list[bytes] = []
        self._next_audit = 0
        self._erased = 0

    def run(self, remembered: Head | None) -> VerifiedLog:
        try:
            self._check_authors()
            for summary in self._summaries():
                self._join(summary)
                if self._progress is not None:
                    self._progress(summary.end, self._head.size)
            self._check_ends()
            self._check_keys()
            self._check_tree()
            self._check_claims()
            self._check_heads(remembered)
        finally:
            self._db.close()
        return VerifiedLog(
            self._head,
            self._audits,
            self._erased,
            len(self._settled) + len(self._young),
            self._verify is not None,
        )

    def _summaries(self) -> Iterator[ChunkSummary]:
        """Summaries in the order of the log; the first bad chunk raises in its turn."""
        size = self._head.size
        starts = range(0, size, _CHUNK)
        task = Task(
            self._path, self._head.origin, self._sequencer, self._authors, self._upto, self._verify
        )
        check = partial(check_chunk, task)
        ends = [min(start + _CHUNK, size) for start in starts]
        with ExitStack() as stack:
            if self._jobs <= 1 or len(ends) <= 1:
                yield from map(check, starts, ends)
                return
            # Not fork: the caller may run threads or an event loop.
            pool = ProcessPoolExecutor(self._jobs, multiprocessing.get_context("spawn"))
            stack.callback(pool.shutdown, wait=True, cancel_futures=True)
            yield from pool.map(check, starts, ends)

    def _check_authors(self) -> None:
        for key, author in self._authors.items():
            if key_id(author.public) != key:
                raise bad(f"author key {key.hex()}", "the key does not fit its id", "author")

    def _join(self, summary: ChunkSummary) -> None:
        for key, link in summary.links.items():
            seq, last = self._chains.get(key, (0, FIRST))
            if link.first_seq != seq + 1 or link.first_previous not in (None, last):
                index = self._first_of(key, summary.start, summary.end)
                raise bad(f"entry {index}", "does not continue its author's chain", "author-chain")
            self._chains[key] = (link.last_seq, link.last_id)
        for index, first, count in summary.audits:
            if first != self._next_audit:
                raise bad(f"audit row {self._next_audit}", f"skipped by leaf {index}", "audit")
            self._next_audit += count
        self._keys += summary.keys
        self._shreds.update(summary.shreds)
        self._receipts |= summary.receipts
        self._settled.frombytes(bytes(summary.settled))
        self._young.frombytes(bytes(summary.young))
        self._roots += summary.roots
        self._edge = summary.edge
        self._erased += summary.erased

    def _first_of(self, key: bytes, start: int, end: int) -> int:
        for row in self._reader.rows(start, end):
            if key in row.leaf or (row.body is not None and key.hex().encode() in row.body):
                return row.index
        return start

    def _check_ends(self) -> None:
        """Nothing lies behind the head, and nothing of the audit trail is missing before it."""
        if self._next_audit != self._audits:
            raise bad(f"audit row {min(self._next_audit, self._audits)}", "count differs", "audit")
        for table, what in (("leaf", "entry"), ("body", "body")):
            (last,) = self._db.execute(f"SELECT coalesce(max(i), -1) FROM {table}").fetchone()
            if last >= self._head.size:
                raise bad(f"{what} {last}", "lies behind the head", "head")
        (rows,) = self._db.execute("SELECT coalesce(sum(n), 0) FROM audit").fetchone()
        if rows != self._audits:
            raise bad(f"audit row {min(rows, self._audits)}", "count differs", "audit")
        if decode_chains(self._stored_chains) != self._chains:
            raise bad("head", "its author chains are not those of the entries", "head")
        # A receipt behind the head was written while we were reading.
        before = {receipt for receipt in self._receipts if receipt < self._head.size}
        if unexplained := sorted(before - self._shreds):
            raise bad(f"entry {unexplained[0]}", "is no receipt of an erasure", "body-missing")

    def _check_keys(self) -> None:
        """The author table says what the key entries of the log say, no more and no less."""
        said: dict[bytes, Author] = {}
        for index, kind, key in self._keys:
            known = self._authors.get(key)
            if known is None or index not in (known.added, known.retired):
                raise bad(f"author key {key.hex()}", f"differs from entry {index}", "author")
            said[key] = known
            body = self._reader.row(index).body
            value = parse_control(body) if body is not None else {}
            if kind == "key.add" and value.get("key") != known.public.hex():
                raise bad(f"author key {key.hex()}", f"differs from entry {index}", "author")
        kinds = {(index, kind, key) for index, kind, key in self._keys}
        for key, author in self._authors.items():
            added = (author.added, "key.add", key) in kinds
            retired = author.retired < 0 or (author.retired, "key.retire", key) in kinds
            if not added or not retired:
                raise bad(f"author key {key.hex()}", "no entry of the log says so", "author")

    def _check_tree(self) -> None:
        edges = [self._edge]
        hashes, level, tiles = self._roots, 1, len(self._roots)
        while hashes:
            full = len(hashes) // TILE_WIDTH * TILE_WIDTH
            roots = []
            for start in range(0, full, TILE_WIDTH):
                roots.append(self._tile(level, hashes[start : start + TILE_WIDTH], start))
            tiles += len(roots)
            edges.append(hashes[full:])
            hashes, level = roots, level + 1
        (stored,) = self._db.execute("SELECT count(*) FROM tile").fetchone()
        if stored != tiles:
            raise bad("tile", f"{stored} are stored where {tiles} belong", "tile")
        if Tree(self._head.size, edges).root() != self._head.root:
            first = self._head.size >> TILE_HEIGHT << TILE_HEIGHT
            what = f"entries {first} to {self._head.size - 1}" if self._edge else "head"
            raise bad(what, "do not make the root of the head", "head-root")

    def _tile(self, level: int, hashes: list[bytes], start: int) -> bytes:
        number, root = start // TILE_WIDTH, reduce(hashes)
        row = self._db.execute(
            "SELECT hashes, root FROM tile WHERE t = ?", (schema.tile_key(level, number),)
        ).fetchone()
        if row is None or row[0] != b"".join(hashes) or row[1] != root:
            raise bad(f"tile {level}/{number}", "does not agree with the tiles under it", "tile")
        return root

    def _check_claims(self) -> None:
        stored: array[int] = array("Q")
        for segment, blob in self._db.execute("SELECT s, claims FROM claimseg ORDER BY s"):
            if len(blob) % 8:
                raise bad(f"claim segment {segment}", "ends within a claim", "claims")
            stored.frombytes(blob)
        if sorted(stored) != sorted(self._settled):
            raise bad("claim segments", "are not the claims of the entries", "claims")
        every = sorted([*self._settled, *self._young])
        for one, two in pairwise(every):
            if one == two:
                index = self._second_claim(one)
                raise bad(f"entry {index}", "takes a claim that was taken before", "claims")

    def _second_claim(self, value: int) -> int:
        wanted = value.to_bytes(8, sys.byteorder)
        seen = 0
        for start in range(0, self._head.size, _CHUNK):
            for index, leaf in enumerate(self._reader.leaves(start, start + _CHUNK), start):
                seen += wanted in leaf
                if seen > 1:
                    return index
        return -1

    def _check_heads(self, remembered: Head | None) -> None:
        """Stored checkpoints and the remembered head are earlier states of this very log."""
        rows = self._db.execute(
            "SELECT size, root, note, crc FROM checkpoint ORDER BY size DESC"
        ).fetchall()
        for size, root, note, crc in rows:
            if crc_of(root, note) != crc:
                raise bad(f"checkpoint {size}", "is damaged", "checkpoint")
        for size, root, _, _ in rows[:_CHECKPOINTS]:
            if size > self._head.size or self._reader.root_at(size) != root:
                raise bad(f"checkpoint {size}", "is not of this log", "checkpoint")
        if remembered is None:
            return
        both = f"remembered is {describe(remembered)}, the ledger has {describe(self._head)}"
        if remembered.origin != self._head.origin or remembered.size > self._head.size:
            raise Corrupt(f"the ledger is an older copy: {both}", code="older-copy", where="head")
        if self._reader.root_at(remembered.size) != remembered.root:
            raise Corrupt(f"the log was rewritten: {both}", code="rewritten", where="head")
