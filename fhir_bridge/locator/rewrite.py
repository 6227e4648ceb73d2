"""Removing for good: rows go, then the whole file is written anew, under a new key if asked.

A fresh file has no free pages and no old cells, so nothing of what was deleted is left in it.
The old file is unlinked; its pages stay readable only to whoever has both a copy and its key.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import apsw

from fhir_bridge.errors import Busy
from fhir_bridge.locator.file import open_file, remove, rows
from fhir_bridge.locator.layout import COPIED, SCHEMA
from fhir_bridge.locator.values import Hasher

__all__ = ["forget_rows", "write_anew"]

_BY_POSITION = ("named", "token", "ref", "moment", "words", "amount", "res")


def forget_rows(
    db: apsw.Connection, hasher: Hasher, patient: str, subjects: Iterable[str | bytes]
) -> int:
    """Delete every row whose facts name the patient, and the audit rows about ``subjects``.

    Returns the number of resource versions removed. The group ids are not given out again.
    """
    with db:
        rows(db, "create temp table if not exists gone (i integer primary key)")
        rows(db, "delete from gone")
        named = "select g from member where patient = ?"
        rows(db, f"insert into gone select i from res where g in ({named})", (patient,))
        for table in _BY_POSITION:
            rows(db, f"delete from {table} where i in (select i from gone)")
        rows(db, f"update grp set facts = null where g in ({named})", (patient,))
        rows(db, f"delete from member where g in ({named})", (patient,))
        accounts = [(hasher.subject(subject),) for subject in (patient, *subjects)]
        db.executemany("delete from account where v = ?", accounts)
        rows(
            db,
            "delete from system where s not in (select s from token union select s from amount)",
        )
        removed: int = rows(db, "select count(*) from gone")[0][0]
        rows(db, "delete from gone")
    return removed


def write_anew(db: apsw.Connection, path: Path, key: bytes) -> None:
    """Copy everything to a fresh file under ``key``, put it in place and close ``db``.

    Readers go on with the file they have open until they open it again. Busy when a reader
    holds the write-ahead log too long; nothing has changed then.
    """
    fresh = path.with_name(f"{path.name}.new")
    remove(fresh)
    _copy(db, fresh, key)
    busy = rows(db, "pragma wal_checkpoint(truncate)")[0][0]
    if busy:
        remove(fresh)
        raise Busy("a long search holds the locator; try again")
    db.close()
    # the old log must be gone before the new file takes the name it belongs to
    Path(f"{path}-wal").unlink(missing_ok=True)
    Path(f"{path}-shm").unlink(missing_ok=True)
    os.replace(fresh, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _copy(db: apsw.Connection, fresh: Path, key: bytes) -> None:
    new = open_file(fresh, key, writing=True)
    rows(new, "pragma journal_mode = delete")
    rows(new, SCHEMA)
    new.close()
    rows(db, f"attach ? as fresh key 'raw:{key.hex()}'", (str(fresh),))
    try:
        with db:
            for table, order in COPIED.items():
                rows(db, f"insert into fresh.{table} select * from main.{table} order by {order}")
    finally:
        rows(db, "detach fresh")
