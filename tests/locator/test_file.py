"""The file itself: encryption, counters, crash, forgetting, keys."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from fhir_bridge.errors import Busy, Corrupt, Fault
from fhir_bridge.locator import AuditAt, Facts, Locator, LocatorWriter, Row
from tests.locator.made import KEY, NAME, PATIENTS, STATUS, Ask, By, Search, current, some_rows
from tests.tiers import count, seed

OTHER = bytes(reversed(range(32)))


def yes(group: int) -> bool:
    return True


def marked(index: int, mark: str) -> Row:
    return Row(
        index,
        "Patient",
        f"{mark}-id",
        f"{mark}-version",
        1,
        index,
        False,
        Facts("Patient", (f"{mark}-id",), (), ("normal",), f"{mark}-author"),
        (
            ("string", NAME, f"{mark}-name".lower(), f"{mark}-name"),
            ("token", STATUS, f"urn:{mark}-system", f"{mark}-code"),
        ),
    )


def everywhere(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()))


def opened_up(path: Path, key: bytes, to: Path) -> bytes:
    """The decrypted bytes of a copy of the file."""
    shutil.copy(path, to)
    db = apsw.Connection(str(to))
    db.execute("pragma cipher = 'aegis'")
    db.execute(f"pragma key = 'raw:{key.hex()}'")
    db.execute("pragma journal_mode = delete").fetchall()
    db.execute("pragma rekey = ''").fetchall()
    db.close()
    return to.read_bytes()


def test_no_value_lies_readable_in_any_file(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    writer = LocatorWriter(path, KEY)
    rows = [replace(marked(n, "Canary"), id=f"Canary{n}") for n in range(500)]
    writer.index(rows, [AuditAt("Canary-id", 1)], upto=500)
    locator = Locator(path, KEY)
    locator.search(Search("Patient", order=(By("string", NAME, True),), total=True), yes)
    stored = everywhere(tmp_path)
    assert len(stored) > 50_000
    assert b"anary" not in stored
    assert KEY not in stored
    assert not stored.startswith(b"SQLite format 3")
    locator.close()
    writer.close()
    assert b"anary-name" in opened_up(path, KEY, tmp_path / "open")


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    LocatorWriter(path, KEY).close()
    with pytest.raises(Corrupt) as caught:
        Locator(path, OTHER)
    assert caught.value.code == "locator-key"
    with pytest.raises(Fault):
        Locator(path, b"short")


def test_an_absent_file_is_said_to_be_absent(tmp_path: Path) -> None:
    with pytest.raises(Corrupt) as caught:
        Locator(tmp_path / "l.db", KEY)
    assert caught.value.code == "no-locator"


def test_a_file_of_another_key_or_layout_starts_anew(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    writer = LocatorWriter(path, KEY, "one")
    writer.index([marked(1, "A")], upto=2)
    writer.close()
    with pytest.raises(Corrupt) as caught:
        Locator(path, KEY, "two")
    assert caught.value.code == "locator-layout"
    writer = LocatorWriter(path, KEY, "one")
    assert writer.upto() == (2, 0)
    writer.close()
    for key, layout in ((KEY, "two"), (OTHER, "two")):
        writer = LocatorWriter(path, key, layout)
        assert writer.upto() == (0, 0)
        writer.index([marked(1, "A")], upto=2)
        writer.close()
    path.write_bytes(b"\0" * 8192)
    writer = LocatorWriter(path, KEY)
    assert writer.upto() == (0, 0)
    writer.close()


def test_counters_and_rows_move_together_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    writer = LocatorWriter(path, KEY)
    writer.index([marked(1, "A")], [AuditAt("A-id", 5)], 2, 6)
    bad = replace(marked(3, "B"), terms=(("colour", 1),))
    with pytest.raises(Fault):
        writer.index([marked(2, "C"), bad], [AuditAt("A-id", 7)], 4, 8)
    locator = Locator(path, KEY)
    assert writer.upto() == locator.upto() == (2, 6)
    assert locator.current("Patient", "C-id") is None
    assert locator.audit_of("A-id") == [5]
    writer.index([marked(2, "C")], upto=3)
    found = locator.search(Search("Patient", (Ask("token", STATUS, ((None, "C-code"),)),)), yes)
    assert [h.id for h in found.hits] == ["C-id"]
    assert locator.facts(found.hits[0].group).author == "C-author"
    assert locator.upto() == (3, 6)


def test_an_older_version_that_comes_late_does_not_become_current(tmp_path: Path) -> None:
    writer = LocatorWriter(tmp_path / "l.db", KEY)
    writer.index([replace(marked(9, "A"), number=2, version_id="new")], upto=10)
    writer.index([replace(marked(4, "A"), number=2, version_id="old")])
    locator = Locator(tmp_path / "l.db", KEY)
    assert [h.version_id for h in locator.search(Search("Patient"), yes).hits] == ["new"]


def test_audit_rows_are_found_by_patient_and_by_handle(tmp_path: Path) -> None:
    writer = LocatorWriter(tmp_path / "l.db", KEY)
    audits = [AuditAt("p", n) for n in range(10)] + [AuditAt(b"\x01" * 16, 3), AuditAt("q", 4)]
    writer.index([], audits + audits, audit_upto=10)
    locator = Locator(tmp_path / "l.db", KEY)
    assert locator.audit_of("p", count=4) == [9, 8, 7, 6]
    assert locator.audit_of("p", before=6, count=2) == [5, 4]
    assert locator.audit_of(b"\x01" * 16) == [3]
    assert locator.audit_of("nobody") == []
    assert locator.upto() == (0, 10)


def test_forgetting_removes_a_patient_everywhere_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    rows = some_rows(random.Random(seed()), 300)
    last = rows[-1].index
    rows += [marked(last + 1, "Gone"), marked(last + 2, "Kept")]
    writer = LocatorWriter(path, KEY)
    writer.index(rows, [AuditAt("Gone-id", 1), AuditAt(b"h" * 16, 2), AuditAt("Kept-id", 3)], 900)
    before = Locator(path, KEY)
    gone = before.gids_of("Gone-id")
    assert len(gone) == 1
    assert writer.forget("Gone-id", [b"h" * 16]) == 1
    forgotten = PATIENTS[0]
    named = [r for r in rows if forgotten in r.group.patients]
    assert writer.forget(forgotten) == len(named)
    assert not before.replaced()
    writer.rekey(OTHER)
    assert before.replaced()
    assert writer.upto() == (900, 0)
    locator = Locator(path, OTHER)
    assert locator.generation == before.generation
    assert locator.current("Patient", "Gone-id") is None
    assert locator.gids_of("Gone-id") == locator.gids_of(forgotten) == []
    assert locator.audit_of("Gone-id") == locator.audit_of(b"h" * 16) == []
    assert locator.audit_of("Kept-id") == [3]
    for row in rows:
        kept = row not in named and row.id != "Gone-id"
        assert (locator.version(row.type, row.id, row.version_id) is not None) == kept
    writer.index([marked(last + 3, "More")], upto=901)
    hit = locator.current("Patient", "More-id")
    assert hit is not None
    kept_hit = locator.current("Patient", "Kept-id")
    assert kept_hit is not None
    assert hit.group not in gone
    assert locator.facts(kept_hit.group).author == "Kept-author"
    before.close()
    locator.close()
    writer.close()
    plain = opened_up(path, OTHER, tmp_path / "open")
    assert b"Kept-name" in plain
    assert b"More-name" in plain
    assert b"Gone" not in plain


def test_after_a_new_key_the_old_one_opens_nothing_and_no_old_page_stays(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    writer = LocatorWriter(path, KEY)
    rows = some_rows(random.Random(seed()), 400)
    writer.index(rows, upto=1_000)
    writer._db.execute("pragma wal_checkpoint(truncate)").fetchall()
    old = path.read_bytes()
    pages = {old[at : at + 4096] for at in range(0, len(old), 4096)}
    writer.rekey(OTHER)
    now = everywhere(tmp_path)
    assert not any(page in now for page in pages)
    with pytest.raises(Corrupt):
        Locator(path, KEY)
    (tmp_path / "copy").write_bytes(old)
    with pytest.raises(Corrupt):
        Locator(tmp_path / "copy", OTHER)
    locator = Locator(path, OTHER)
    found = locator.search(Search("Observation", count=1_000), yes).hits
    assert [h.index for h in found] == [r.index for r in current(rows) if r.type == "Observation"]


def test_vacuum_gives_free_pages_back(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    writer = LocatorWriter(path, KEY)
    writer.index([replace(marked(n, "A"), id=f"{n}") for n in range(5_000)], upto=5_000)
    writer.vacuum()
    full = path.stat().st_size
    assert writer.forget("A-id") == 5_000
    writer.vacuum()
    assert path.stat().st_size < full / 4
    assert sorted(p.name for p in tmp_path.iterdir()) in (
        ["l.db", "l.db-shm", "l.db-wal"],
        ["l.db"],
    )


def test_a_reader_in_the_middle_of_a_search_delays_a_new_key(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    writer = LocatorWriter(path, KEY)
    writer.index([marked(1, "A")], upto=2)
    writer._db.set_busy_timeout(10)
    locator = Locator(path, KEY)
    locator._session.db.execute("begin").fetchall()
    locator.upto()
    writer.index([marked(2, "B")], upto=3)
    with pytest.raises(Busy):
        writer.rekey(OTHER)
    locator._session.db.execute("commit").fetchall()
    assert locator.current("Patient", "B-id") is not None
    writer.rekey(OTHER)
    assert locator.replaced()


_CHILD = """
import sys
from pathlib import Path
from fhir_bridge.locator import AuditAt, Facts, LocatorWriter, Row
writer = LocatorWriter(Path(sys.argv[1]), bytes(range(32)))
at = writer.upto()[0]
while True:
    rows = [
        Row(i, "Patient", f"p{i}", f"v{i}", 1, i, False, Facts("Patient", (f"p{i}",)),
            (("token", 1, "urn:a", f"c{i}"), ("ref", 2, "Patient", f"p{i}", "")))
        for i in range(at, at + 50)
    ]
    at += 50
    writer.index(rows, [AuditAt(f"p{at}", at)], at, at + 1)
    print(at, flush=True)
"""


def test_after_a_kill_the_view_holds_exactly_what_its_counter_says(tmp_path: Path) -> None:
    path = tmp_path / "l.db"
    rnd = random.Random(seed())
    for _ in range(max(2, count(10))):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        told = 0
        for _ in range(rnd.randrange(1, 20)):
            told = int(child.stdout.readline())
        time.sleep(rnd.random() / 100)
        os.kill(child.pid, signal.SIGKILL)
        told = max([told, *map(int, child.stdout.read().split()[:-1])])
        child.wait()
        child.stdout.close()
        locator = Locator(path, KEY)
        upto, audits = locator.upto()
        assert upto >= told
        assert audits == upto + 1
        page = locator.search(Search("Patient", count=1, total=True), yes)
        assert page.total == upto
        assert page.hits[0].index == upto - 1
        assert locator.audit_of(f"p{upto}") == [upto]
        assert locator._session.rows("pragma integrity_check") == [("ok",)]
        locator.close()
