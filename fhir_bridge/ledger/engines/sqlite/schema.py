"""The ledger file: one SQLite database in WAL mode, appends only in the hot commit.

``leaf`` and ``tile`` and ``audit`` never lose or change a row (triggers); ``body`` may lose
rows, each marked in ``gone`` with the receipt that explains it. Boxes and hints stand in no hash
of the tree, as they may be replaced: ``crc`` tells when one was damaged. Nothing has an index:
whatever can be looked up otherwise than by position belongs to the locator.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from fhir_bridge.errors import Corrupt, Unavailable
from fhir_bridge.ledger.engines.sqlite.rows import crc_of

__all__ = ["SCHEMA_VERSION", "connect", "create", "tile_key", "upgrade"]

APPLICATION_ID = 0x66626531  # "fbe1"
SCHEMA_VERSION = 2
PAGE_BYTES = 4096
BUSY_MS = 5000
_LEVEL_SHIFT = 48

_SCHEMA = """
CREATE TABLE head (
  id INTEGER PRIMARY KEY CHECK (id = 1), origin TEXT NOT NULL, sequencer BLOB NOT NULL,
  size INTEGER NOT NULL, root BLOB NOT NULL, audits INTEGER NOT NULL, chains BLOB NOT NULL);
CREATE TABLE leaf (i INTEGER PRIMARY KEY, leaf BLOB NOT NULL);
CREATE TABLE tile (t INTEGER PRIMARY KEY, root BLOB NOT NULL, hashes BLOB NOT NULL);
CREATE TABLE body (
  i INTEGER PRIMARY KEY, body BLOB NOT NULL, box BLOB NOT NULL, hint BLOB NOT NULL,
  crc INTEGER NOT NULL);
CREATE TABLE gone (i INTEGER PRIMARY KEY, receipt INTEGER NOT NULL);
CREATE TABLE audit (
  a INTEGER PRIMARY KEY, i INTEGER NOT NULL, n INTEGER NOT NULL, rows BLOB NOT NULL,
  crc INTEGER NOT NULL);
CREATE TABLE author (
  key_id BLOB PRIMARY KEY, member TEXT NOT NULL, public BLOB NOT NULL, added INTEGER NOT NULL,
  retired INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE claimseg (s INTEGER PRIMARY KEY, upto INTEGER NOT NULL, claims BLOB NOT NULL);
CREATE TABLE checkpoint (
  size INTEGER PRIMARY KEY, root BLOB NOT NULL, note BLOB NOT NULL, crc INTEGER NOT NULL);
"""
_APPEND_ONLY = """
CREATE TRIGGER {table}_stays BEFORE DELETE ON {table}
  BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;
CREATE TRIGGER {table}_is_final BEFORE UPDATE ON {table}
  BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END;
"""


def tile_key(level: int, number: int) -> int:
    """The row of a tile: one key that keeps each level's tiles together and appended in order."""
    return level << _LEVEL_SHIFT | number


def create(path: Path) -> sqlite3.Connection:
    """A new, empty ledger file, open for writing; Unavailable when one is there already."""
    if path.exists():
        raise Unavailable("there is a ledger here already", code="ledger-exists", where=path.name)
    connection = sqlite3.connect(path, isolation_level=None)
    path.chmod(0o600)
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    append_only = "".join(_APPEND_ONLY.format(table=name) for name in ("leaf", "tile", "audit"))
    connection.executescript(
        f"BEGIN; PRAGMA application_id = {APPLICATION_ID};"
        f"PRAGMA user_version = {SCHEMA_VERSION};{_SCHEMA}{append_only} COMMIT;"
    )
    return _for_writing(connection)


def connect(path: Path, *, write: bool = False) -> sqlite3.Connection:
    """An existing ledger file. Corrupt or Unavailable unless it is one of this version."""
    if not path.is_file():
        raise Unavailable("there is no ledger here", code="no-ledger", where=path.name)
    mode = "rw" if write else "ro"
    try:
        connection = sqlite3.connect(
            f"{path.resolve().as_uri()}?mode={mode}",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
            timeout=BUSY_MS / 1000,
        )
        _check_version(connection, path)
    except sqlite3.DatabaseError as error:
        raise Corrupt(f"the ledger cannot be read: {error}", code="ledger-unreadable") from None
    if write:
        return _for_writing(connection)
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA mmap_size = 1073741824")
    return connection


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != APPLICATION_ID:
        raise Corrupt("this file is not a ledger", code="not-a-ledger", where=path.name)
    if version != SCHEMA_VERSION:
        raise Unavailable(
            f"the ledger has layout {version}, this program reads {SCHEMA_VERSION};"
            " run the upgrade, or the newer program",
            code="ledger-version",
            where=path.name,
        )


def _for_writing(connection: sqlite3.Connection) -> sqlite3.Connection:
    for pragma in (
        "synchronous = FULL",
        "secure_delete = ON",
        "cache_size = -8192",
        # The writer folds the log in by itself, earlier than this (`Writer.fold`).
        "wal_autocheckpoint = 4000",
        "journal_size_limit = 8388608",
        "temp_store = MEMORY",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


_CHECKSUMS = """
DROP TRIGGER audit_is_final;
ALTER TABLE body ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
UPDATE body SET crc = crc_of(box, hint);
ALTER TABLE audit ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
UPDATE audit SET crc = crc_of(rows);
ALTER TABLE checkpoint ADD COLUMN crc INTEGER NOT NULL DEFAULT 0;
UPDATE checkpoint SET crc = crc_of(root, note);
CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit
  BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END;
"""


def _from_1(connection: sqlite3.Connection) -> str:
    """Checksums. Ledgers that were made while they were written have them already."""
    columns = {row[1] for row in connection.execute("PRAGMA table_info(body)")}
    return "" if "crc" in columns else _CHECKSUMS


_STEPS: dict[int, Callable[[sqlite3.Connection], str]] = {1: _from_1}
"""What brings a file from the version that is its key to the next one: the SQL for this file."""


def upgrade(path: Path) -> int:
    """Bring a ledger file up to this program's layout in one transaction; its version before."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.create_function("crc_of", -1, crc_of, deterministic=True)
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if application != APPLICATION_ID or version > SCHEMA_VERSION:
            raise Unavailable(
                f"cannot upgrade a file of layout {version}", code="ledger-version", where=path.name
            )
        if version < SCHEMA_VERSION:
            steps = "".join(_STEPS[n](connection) for n in range(version, SCHEMA_VERSION))
            connection.executescript(
                f"BEGIN IMMEDIATE;{steps}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;"
            )
        return int(version)
    finally:
        connection.close()
