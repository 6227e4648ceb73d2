"""Walking the whole file: what is whole is said to be, and the first bad thing is named."""

from __future__ import annotations

import importlib
import random
import re
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_bridge.errors import Corrupt
from fhir_bridge.ledger import Append, AuditRow, verify_log
from tests.ledger.authors import Author, checkpoints, verify_ed25519, writer
from tests.tiers import count, seed

walk = importlib.import_module("fhir_bridge.ledger.engines.sqlite.verify_log")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with data, claims, refusals, audit rows, an erasure, a retired key, checkpoints."""
    folder = tmp_path_factory.mktemp("whole")
    path = folder / "ledger.db"
    log = writer(path)
    rng = random.Random(seed())
    authors = [Author(name).joined(log) for name in ("one", "two")]
    signing = checkpoints(log, folder / "memory")
    for n in range(130):
        a = authors[n % 2]
        claims = (rng.randbytes(32),)
        rows = tuple(AuditRow(rng.randbytes(80), rng.randbytes(16)) for _ in range(n % 3))
        log.commit(
            [
                Append((a.entry(rng.randbytes(50), claims=claims), a.entry()), rows),
                Append((a.entry(claims=claims),), (AuditRow(b"void"),)),
            ]
        )
        if n % 40 == 0:
            signing.now()
    log.erase(Append((authors[0].control("shred", count=2),)), [8, 304])
    log.commit([Append((authors[1].control("key.retire", key_id=authors[1].key_id.hex()),))])
    signing.now()
    log._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    log.close()
    return path


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(whole, tmp_path / "ledger.db"))


def _change(path: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    db = sqlite3.connect(path, isolation_level=None)
    for table in ("leaf", "tile", "audit"):
        db.execute(f"DROP TRIGGER IF EXISTS {table}_stays")
        db.execute(f"DROP TRIGGER IF EXISTS {table}_is_final")
    for sql, values in statements:
        db.execute(sql, values)
    db.close()


def _finding(path: Path, *, signatures: bool = True) -> str:
    with pytest.raises(Corrupt) as caught:
        verify_log(path, verify_ed25519 if signatures else None, jobs=1)
    return caught.value.where


def _size(path: Path) -> int:
    return int(sqlite3.connect(path).execute("SELECT size FROM head").fetchone()[0])


def test_a_whole_log_is_said_to_be_whole(whole: Path) -> None:
    seen: list[tuple[int, int]] = []
    found = verify_log(whole, verify_ed25519, jobs=1, progress=lambda *at: seen.append(at))
    assert found.head.size == _size(whole)
    assert (found.erased, found.claims, found.signatures) == (2, 130, True)
    assert found.audits == sum(n % 3 + 1 for n in range(130))
    assert seen[-1] == (found.head.size, found.head.size)


def test_several_processes_find_the_same(
    whole: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "_CHUNK", 256)
    assert verify_log(whole, verify_ed25519, jobs=2) == verify_log(whole, verify_ed25519, jobs=1)
    _change(copy, ("UPDATE body SET body = x'00' WHERE i IN (310, 5)", ()))
    with pytest.raises(Corrupt) as caught:
        verify_log(copy, jobs=2)
    assert caught.value.where == "body 5"


def _flipped(
    path: Path, table: str, key: str, column: str, rng: random.Random
) -> tuple[int, bytes]:
    """A random row of a table and its blob with one bit changed."""
    db = sqlite3.connect(path)
    rows = db.execute(f"SELECT {key}, {column} FROM {table} WHERE length({column}) > 0").fetchall()
    at, blob = rng.choice(rows)
    changed = bytearray(blob)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return at, bytes(changed)


def _names(table: str, at: int, where: str, path: Path) -> bool:
    if table == "audit":
        (n,) = sqlite3.connect(path).execute("SELECT n FROM audit WHERE a = ?", (at,)).fetchone()
        return where == (f"audit row {at}" if n == 1 else f"audit rows {at} to {at + n - 1}")
    if table == "tile":
        return where == f"tile {at >> 48}/{at & (1 << 48) - 1}"
    if table == "body":
        return where == f"body {at}"
    return where == f"entry {at}"


@pytest.mark.parametrize(
    ("table", "key", "column"),
    [
        ("leaf", "i", "leaf"),
        ("body", "i", "body"),
        ("body", "i", "box"),
        ("body", "i", "hint"),
        ("tile", "t", "hashes"),
        ("tile", "t", "root"),
        ("audit", "a", "rows"),
    ],
)
def test_one_flipped_bit_is_found_and_named(
    whole: Path, tmp_path: Path, table: str, key: str, column: str
) -> None:
    rng = random.Random(f"{seed()} {table} {column}")
    for n in range(count(100)):
        path = Path(shutil.copy(whole, tmp_path / f"{n}.db"))
        at, blob = _flipped(path, table, key, column, rng)
        _change(path, (f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (blob, at)))
        where = _finding(path)
        if table == "leaf" and where == f"body {at}":
            # The body's hash stands in the leaf: which of the two changed cannot be told.
            continue
        assert _names(table, at, where, path), f"{table} {at}: {where}"


def _content(path: Path) -> list[list[tuple[object, ...]]]:
    """Every row of every table."""
    db = sqlite3.connect(path)
    tables = ("head", "leaf", "tile", "body", "gone", "audit", "author", "claimseg", "checkpoint")
    return [db.execute(f"SELECT * FROM {table}").fetchall() for table in tables]


def _where_bad(path: Path) -> str | None:
    try:
        verify_log(path, verify_ed25519, jobs=1)
    except Corrupt as error:
        return error.where
    return None


def test_a_changed_byte_anywhere_in_the_file_is_found_or_changes_no_row(
    whole: Path, tmp_path: Path
) -> None:
    rng = random.Random(f"{seed()} file")
    plain, rows = whole.read_bytes(), _content(whole)
    found = 0
    for n in range(count(500)):
        path = tmp_path / f"{n}.db"
        changed = bytearray(plain)
        changed[rng.randrange(100, len(changed))] ^= rng.randrange(1, 256)
        path.write_bytes(changed)
        where = _where_bad(path)
        found += where is not None
        assert where or _content(path) == rows
        path.unlink()
    assert found > count(500) // 2


def test_without_signatures_a_changed_leaf_under_a_tile_is_still_named(copy: Path) -> None:
    (leaf,) = sqlite3.connect(copy).execute("SELECT leaf FROM leaf WHERE i = 100").fetchone()
    _change(copy, ("UPDATE leaf SET leaf = ? WHERE i = 100", (leaf[:-1] + b"\x00",)))
    assert _finding(copy, signatures=False) == "entry 100"


def test_without_signatures_a_changed_leaf_at_the_edge_is_found(copy: Path) -> None:
    last = _size(copy) - 1
    (leaf,) = sqlite3.connect(copy).execute("SELECT leaf FROM leaf WHERE i = ?", (last,)).fetchone()
    _change(copy, ("UPDATE leaf SET leaf = ? WHERE i = ?", (leaf[:-1] + b"\x00", last)))
    assert _finding(copy, signatures=False) == f"entries {last - last % 256} to {last}"


_GOOD = "x'919300' || substr(rows, 4)"
"""A batch of one row, its status in effect: array of one, array of three, 0."""
Tamper = Callable[[int], list[tuple[str, tuple[object, ...]]]]
CASES: dict[str, tuple[str, Tamper]] = {
    "an entry cut out": ("entry 50", lambda n: [("DELETE FROM leaf WHERE i = 50", ())]),
    "the end cut off": (
        r"entry \d+",
        lambda n: [("DELETE FROM leaf WHERE i >= ?", (n - 10,))],
    ),
    "two entries exchanged": (
        "body 20|entry 20",
        lambda n: [
            ("UPDATE leaf SET i = -1 WHERE i = 20", ()),
            ("UPDATE leaf SET i = 20 WHERE i = 30", ()),
            ("UPDATE leaf SET i = 30 WHERE i = -1", ()),
        ],
    ),
    "two entries exchanged with their bodies": (
        "entry [0-9]+",
        lambda n: [
            (f"UPDATE {t} SET i = {b} WHERE i = {a}", ())
            for t in ("leaf", "body")
            for a, b in ((20, -1), (30, 20), (-1, 30))
        ],
    ),
    "an entry put behind the head": (
        r"entry \d+",
        lambda n: [("INSERT INTO leaf SELECT ?, leaf FROM leaf WHERE i = 4", (n,))],
    ),
    "a body put behind the head": (
        r"body \d+",
        lambda n: [("INSERT INTO body SELECT ?, body, box, hint, crc FROM body WHERE i = 4", (n,))],
    ),
    "a body taken away": ("body 60", lambda n: [("DELETE FROM body WHERE i = 60", ())]),
    "a body taken away under a receipt that is none": (
        "entry 3",
        lambda n: [
            ("DELETE FROM body WHERE i = 60", ()),
            ("INSERT INTO gone VALUES (60, 3)", ()),
        ],
    ),
    "a control body taken away": (
        "body 1",
        lambda n: [("DELETE FROM body WHERE i = 1", ()), ("INSERT INTO gone VALUES (1, 3)", ())],
    ),
    "an audit batch taken away": (
        "audit rows? 0.*",
        lambda n: [("DELETE FROM audit WHERE a = 0", ())],
    ),
    "an audit batch too many": (
        r"audit row \d+",
        lambda n: [("INSERT INTO audit SELECT 9999, i, n, rows, crc FROM audit WHERE a = 0", ())],
    ),
    "the audit count changed": (
        r"audit row \d+",
        lambda n: [("UPDATE head SET audits = audits + 1", ())],
    ),
    "a void row made good": (
        "audit rows? 0.*",
        lambda n: [(f"UPDATE audit SET rows = CAST({_GOOD} AS BLOB) WHERE a = 0", ())],
    ),
    "a tile taken away": ("tile 0/1", lambda n: [("DELETE FROM tile WHERE t = 1", ())]),
    "a tile too many": ("tile", lambda n: [("INSERT INTO tile VALUES (99, x'', x'')", ())]),
    "another root in the head": (
        r"entries \d+ to \d+",
        lambda n: [("UPDATE head SET root = ?", (bytes(32),))],
    ),
    "a smaller size in the head": (
        r"(entry|body|audit row|head).*",
        lambda n: [("UPDATE head SET size = size - 1", ())],
    ),
    "no head": ("head", lambda n: [("DELETE FROM head", ())]),
    "other chains in the head": ("head", lambda n: [("UPDATE head SET chains = x'90'", ())]),
    "an author key exchanged": (
        "author key .*",
        lambda n: [("UPDATE author SET public = ?", (bytes(32),))],
    ),
    "an author key taken away": (
        r"entry \d+",
        lambda n: [("DELETE FROM author WHERE added = 2", ())],
    ),
    "an author key added earlier than it was": (
        "author key .*",
        lambda n: [("UPDATE author SET added = 1 WHERE added = 2", ())],
    ),
    "a retirement forgotten": (
        "author key .*",
        lambda n: [("UPDATE author SET retired = -1", ())],
    ),
    "a retirement moved forward": (
        r"entry \d+",
        lambda n: [("UPDATE author SET retired = 9 WHERE retired > 0", ())],
    ),
    "a claim segment made up": (
        "claim segments",
        lambda n: [("INSERT INTO claimseg VALUES (1, 0, ?)", (bytes(8),))],
    ),
    "a claim segment cut": (
        "claim segment 1",
        lambda n: [("INSERT INTO claimseg VALUES (1, 0, x'00')", ())],
    ),
    "a checkpoint of another log": (
        r"checkpoint \d+",
        lambda n: [("UPDATE checkpoint SET root = ?", (bytes(32),))],
    ),
    "a checkpoint of the future": (
        "checkpoint 99999",
        lambda n: [("INSERT INTO checkpoint VALUES (99999, x'', x'', 0)", ())],
    ),
    "another origin": ("entry 0", lambda n: [("UPDATE head SET origin = 'elsewhere'", ())]),
}


@pytest.mark.parametrize("case", CASES)
def test_found(case: str, copy: Path) -> None:
    where, tamper = CASES[case]
    _change(copy, *tamper(_size(copy)))
    found = _finding(copy)
    assert re.fullmatch(where, found), found


def test_a_claim_taken_twice_is_found_at_its_second_entry(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    log = writer(path)
    author = Author().joined(log)
    claim = b"c" * 32
    log.commit([Append((author.entry(claims=(claim,)),))])
    log.close()
    forgetful = writer(path)
    forgetful._state.claims = type(forgetful._state.claims)()
    forgetful.commit([Append((author.entry(), author.entry(claims=(claim,))))])
    assert _finding(path) == "entry 5"


def test_a_chain_broken_between_two_chunks_is_found(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "_CHUNK", 256)
    assert verify_log(copy, jobs=1).head.size == _size(copy)
    real = walk.check_chunk

    def forgetful(task: object, start: int, end: int) -> object:
        summary = real(task, start, end)
        if start == 256:
            for link in summary.links.values():
                link.first_seq += 1
        return summary

    monkeypatch.setattr(walk, "check_chunk", forgetful)
    assert _finding(copy).startswith("entry ")


def test_a_page_that_cannot_be_read_is_named(copy: Path) -> None:
    data = bytearray(copy.read_bytes())
    for page in range(20, len(data) // 4096):
        data[page * 4096 : page * 4096 + 8] = b"\xff" * 8
    copy.write_bytes(bytes(data))
    with pytest.raises(Corrupt) as caught:
        verify_log(copy, jobs=1)
    assert caught.value.where
