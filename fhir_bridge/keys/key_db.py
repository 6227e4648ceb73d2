"""The key store's file: SQLite, two tables of boxes and a few numbers; nothing in it is plain.

    meta    format, node, generation, epoch, last backup, sets ever made
    pek     row name → box(PEK[32] ‖ inner name[32] ‖ token[16])
    keyset  row name, handle name → box(handle[16] ‖ inner names of the sorted pairs)

A token is the random name under which a destroyed PEK is remembered (tombstone).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhir_bridge.errors import Conflict, Corrupt, Unavailable
from fhir_bridge.keys.generation import INNER_BYTES, Generation

__all__ = ["Rewritten", "connect", "create_file", "meta", "rewrite", "set_meta", "transaction"]

FORMAT = 1
_TABLES = """
CREATE TABLE {0}pek (row BLOB PRIMARY KEY, box BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE {0}keyset (row BLOB PRIMARY KEY, handle BLOB NOT NULL UNIQUE, box BLOB NOT NULL)
  WITHOUT ROWID;
"""
_META = "CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;"
BUSY_TIMEOUT_MS = 15_000
_LOG_PAGES = 512


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What a rewriting under a new generation destroyed and kept."""

    peks_destroyed: int
    sets_destroyed: int
    kept: int
    tombstones: tuple[bytes, ...]


def create_file(path: Path, node_id: bytes, generation: int, epoch: int) -> None:
    """Makes an empty key store with mode 0600; Conflict where a file is."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise Conflict(f"{path.name} is already there", code="key-store") from None
    db = connect(path)
    with transaction(db):
        for statement in (_META + _TABLES.format("")).split(";")[:-1]:
            db.execute(statement)
        set_meta(db, "format", FORMAT)
        set_meta(db, "node", node_id)
        set_meta(db, "generation", generation)
        set_meta(db, "epoch", epoch)
        set_meta(db, "last_backup_us", 0)
        set_meta(db, "made", 0)
    db.close()


def connect(path: Path) -> sqlite3.Connection:
    """An own connection; Unavailable where no file is, Corrupt where it is no key store."""
    try:
        db = sqlite3.connect(f"file:{path}?mode=rw", uri=True, isolation_level=None)
        db.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA secure_delete=ON")
        db.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
        db.execute(f"PRAGMA journal_size_limit={_LOG_PAGES * 4096}")
        db.execute("PRAGMA trusted_schema=OFF")
    except sqlite3.OperationalError:
        raise Unavailable(f"{path.name} cannot be opened", code="key-store") from None
    except sqlite3.DatabaseError:
        raise Corrupt(f"{path.name} is not a key store", code="key-store") from None
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """One immediate transaction: durable when the block ends, undone when it raises."""
    try:
        db.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        raise Unavailable("the key store is locked by another process", code="key-store") from None
    try:
        yield
        db.execute("COMMIT")
    except sqlite3.Error as error:
        _undo(db)
        raise Unavailable(
            f"the key store cannot be written: {error.sqlite_errorname}", code="key-store"
        ) from None
    except BaseException:
        _undo(db)
        raise


def one(db: sqlite3.Connection, query: str, *values: object) -> Any:
    """The first value of the first row, or None; Corrupt when the file cannot be read."""
    try:
        row = db.execute(query, values).fetchone()
    except sqlite3.DatabaseError:
        raise Corrupt("the key store cannot be read", code="key-store") from None
    return None if row is None else row[0]


def meta(db: sqlite3.Connection, name: str) -> int:
    """One number of the file."""
    return int(_meta(db, name))


def sets_made(db: sqlite3.Connection) -> int:
    """How many sets the file has ever made; a file from before the number starts with those it
    holds, and keeps that number: a shred must not make it less."""
    row = one(db, "SELECT value FROM meta WHERE name = 'made'")
    if row is None:
        with transaction(db):
            row = one(db, "SELECT count(*) FROM keyset")
            set_meta(db, "made", row)
    return int(row)


def node_of(db: sqlite3.Connection) -> bytes:
    """The id of the node that the file belongs to."""
    return bytes(_meta(db, "node"))


def _meta(db: sqlite3.Connection, name: str) -> Any:
    value = one(db, "SELECT value FROM meta WHERE name = ?", name)
    if value is None:
        raise Corrupt(f"the key store lacks its {name}", code="key-store")
    return value


def set_meta(db: sqlite3.Connection, name: str, value: int | bytes) -> None:
    """Sets one number; inside a transaction."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


def tombstone(token: bytes) -> bytes:
    """What is remembered of a destroyed PEK: nothing can be derived from it."""
    return hashlib.sha256(b"fhir_bridge/keys/tombstone\x00" + token).digest()[:16]


def rewrite(
    db: sqlite3.Connection,
    old: Generation,
    new: Generation,
    doomed: Callable[[bytes, bytes], bool],
) -> Rewritten:
    """Writes every row anew under ``new`` but the PEKs that are ``doomed(inner, token)`` and
    the sets that need one of them; inside a transaction."""
    for statement in _TABLES.format("next_").split(";")[:-1]:
        db.execute(statement)
    gone: set[bytes] = set()
    tombstones: list[bytes] = []
    kept = sets_destroyed = 0
    for (box,) in db.execute("SELECT box FROM pek"):
        content = old.unwrap(box)
        inner, token = content[32:64], content[64:]
        if doomed(inner, token):
            gone.add(inner)
            tombstones.append(tombstone(token))
            continue
        kept += 1
        db.execute("INSERT INTO next_pek VALUES (?, ?)", (new.pek_row(inner), new.wrap(content)))
    for (box,) in db.execute("SELECT box FROM keyset"):
        content = old.unwrap(box)
        handle, members = content[:16], content[16:]
        if any(inner in gone for inner in split_members(members)):
            sets_destroyed += 1
            continue
        kept += 1
        db.execute(
            "INSERT INTO next_keyset VALUES (?, ?, ?)",
            (new.set_row(members), new.handle_row(handle), new.wrap(content)),
        )
    for table in ("pek", "keyset"):
        db.execute(f"DROP TABLE {table}")
        db.execute(f"ALTER TABLE next_{table} RENAME TO {table}")
    return Rewritten(len(gone), sets_destroyed, kept, tuple(tombstones))


def split_members(members: bytes) -> list[bytes]:
    """The inner names of a set's pairs."""
    return [members[i : i + INNER_BYTES] for i in range(0, len(members), INNER_BYTES)]


def truncate_wal(db: sqlite3.Connection, path: Path) -> None:
    """Empties the write-ahead log and looks; Unavailable when a reader keeps it alive."""
    busy, _, _ = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    wal = path.with_name(path.name + "-wal")
    if busy or (wal.exists() and wal.stat().st_size):
        raise Unavailable(
            "the write-ahead log of the key store could not be emptied; run keys rotate again",
            code="key-store-wal",
        )


def _undo(db: sqlite3.Connection) -> None:
    if db.in_transaction:
        db.execute("ROLLBACK")
