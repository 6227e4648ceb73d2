"""Opening the encrypted file: SQLite3 Multiple Ciphers, ChaCha20-Poly1305 per page.

The 32-byte key is used as it is (``raw:``), without derivation. Temporary tables stay in memory:
SQLite does not encrypt its temporary files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apsw

from fhir_bridge.errors import Corrupt, Fault
from fhir_bridge.locator.layout import SCHEMA, VERSION

__all__ = ["BUSY_MS", "about", "create", "open_file", "remove", "rows", "stated"]

BUSY_MS = 10_000


def open_file(path: Path, key: bytes, *, writing: bool, cache_kib: int = 16_384) -> apsw.Connection:
    """A connection to an existing file, or when ``writing`` to a new one.

    Corrupt when there is no file, or the key does not open it.
    """
    if len(key) != 32:
        raise Fault("the locator key has 32 bytes")
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if writing else 0)
    try:
        db = apsw.Connection(str(path), flags=flags, statementcachesize=512)
    except apsw.CantOpenError:
        raise Corrupt("there is no locator; build it from the ledger", code="no-locator") from None
    # Else SQLite compiles a statement anew whenever other values are bound to it, in case these
    # would make another plan better: half the time of a look-up.
    db.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    try:
        # AEGIS-256 (draft-irtf-cfrg-aegis-aead), an authenticating cipher: decision 0040.
        db.execute("pragma cipher = 'aegis'")
        db.execute(f"pragma key = 'raw:{key.hex()}'")
        db.execute("pragma temp_store = memory")
        db.execute(f"pragma cache_size = -{cache_kib}")
        db.set_busy_timeout(BUSY_MS)
        rows(db, "select count(*) from sqlite_master")
        if writing:
            rows(db, "pragma journal_mode = wal")
            rows(db, "pragma synchronous = normal")
        else:
            rows(db, "pragma query_only = on")
    except apsw.NotADBError:
        db.close()
        raise Corrupt(
            "the locator does not open with this key, or an earlier version wrote it; build it"
            " anew from the ledger",
            code="locator-key",
        ) from None
    return db


def rows(db: apsw.Connection, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """All rows of a statement."""
    return db.execute(sql, values).fetchall()


def create(db: apsw.Connection, layout: str, salt: bytes) -> None:
    """Lay out an empty file; ``salt`` is 32 random bytes of its own."""
    with db:
        rows(db, SCHEMA)
        rows(db, "insert into about values (1, ?, ?)", (stated(layout), salt))
        rows(db, "insert into upto values (1, 0, 0)")


def stated(layout: str) -> str:
    """The layout as the file states it: ours, and what the terms mean."""
    return f"{VERSION}/{layout}"


def about(db: apsw.Connection) -> tuple[str, bytes] | None:
    """(layout, salt) of the file, or None when it is empty."""
    if not rows(db, "select 1 from sqlite_master where name = 'about'"):
        return None
    found = rows(db, "select layout, salt from about")
    return (found[0][0], found[0][1]) if found else None


def remove(path: Path) -> None:
    """Delete the file and what SQLite keeps beside it."""
    for suffix in ("-wal", "-shm", ""):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
