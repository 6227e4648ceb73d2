"""A ledger file of the first layout is brought to this one and verifies."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from fhir_bridge.errors import Unavailable
from fhir_bridge.ledger import Append, AuditRow, Reader, verify_log
from fhir_bridge.ledger.engines.sqlite.schema import SCHEMA_VERSION, upgrade
from tests.ledger.authors import Author, checkpoints, writer


def _as_it_was(path: Path) -> None:
    """The first layout: without checksums."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("DROP TRIGGER audit_is_final")
    for table in ("body", "audit", "checkpoint"):
        db.execute(f"ALTER TABLE {table} DROP COLUMN crc")
    db.execute(
        "CREATE TRIGGER audit_is_final BEFORE UPDATE ON audit"
        " BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END"
    )
    db.execute("PRAGMA user_version = 1")
    db.close()


def test_a_file_of_the_first_layout_that_has_its_checksums_already(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    log = writer(path)
    author = Author().joined(log)
    log.commit([Append((author.entry(b"one"),), (AuditRow(b"row", bytes(16)),))])
    log.close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA user_version = 1")
    db.close()
    assert upgrade(path) == 1
    assert upgrade(path) == SCHEMA_VERSION
    assert verify_log(path, jobs=1).audits == 1


def test_the_first_layout_is_refused_by_name_and_upgraded(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    log = writer(path)
    author = Author().joined(log)
    log.commit([Append((author.entry(b"one"),), (AuditRow(b"row", bytes(16)),))])
    checkpoints(log, tmp_path / "memory").now()
    log.close()
    _as_it_was(path)
    with pytest.raises(Unavailable) as refused:
        Reader(path)
    assert refused.value.code == "ledger-version"
    assert upgrade(path) == 1
    assert upgrade(path) == SCHEMA_VERSION
    found = verify_log(path, jobs=1)
    assert found.audits == 1
    again = writer(path)
    again.commit([Append((author.entry(b"two"),))])
    again.close()
    assert verify_log(path, jobs=1).head.size == found.head.size + 1
    with pytest.raises(sqlite3.IntegrityError):
        sqlite3.connect(path).execute("UPDATE audit SET n = 2")
