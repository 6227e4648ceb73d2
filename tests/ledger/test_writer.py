"""The writer: whole commits, nothing half, and going on where it stopped."""

from __future__ import annotations

import hashlib
import sqlite3
from pathlib import Path

import pytest

from fhir_bridge.errors import Corrupt, Incorrect, Unavailable
from fhir_bridge.keys.signing import ed25519_signer
from fhir_bridge.ledger import Append, Appended, AuditRow, Reader, Refused, Writer, verify_log
from fhir_bridge.ledger.contract import Failed
from fhir_bridge.ledger.engines.sqlite import schema
from fhir_bridge.ledger.merkle import root_of
from tests.ledger.authors import MEMBER, ORIGIN, Author, FixedClock, checkpoints, writer

STEPS = ["begin", "leaf", "body", "tile", "audit", "claims", "head", "commit"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def _append(author: Author, n: int = 1) -> Append:
    entries = tuple(author.entry(b"body %d" % k) for k in range(n))
    return Append(entries, (AuditRow(b"sealed"),))


def test_the_root_is_that_of_the_stored_leaves(path: Path) -> None:
    log = writer(path)
    author = Author().joined(log)
    for _ in range(5):
        log.commit([_append(author, 60) for _ in range(3)])
    reader = Reader(path)
    leaves = reader.leaves(0, 10_000)
    assert len(leaves) == log.head().size == reader.size()
    assert reader.head() == log.head()
    assert root_of(leaves) == log.head().root


def test_a_reopened_log_goes_on_with_the_same_tree_chains_and_claims(path: Path) -> None:
    log = writer(path)
    author = Author().joined(log)
    claims = [bytes((n,)) * 32 for n in range(30)]
    for claim in claims:
        log.commit([Append((author.entry(claims=(claim,)), *(author.entry() for _ in range(30))))])
    head = log.head()
    log.close()
    again = writer(path)
    assert again.head() == head
    assert isinstance(again.commit([Append((author.entry(),))])[0], Appended)
    for claim in claims:
        [outcome] = again.commit([Append((author.entry(claims=(claim,)),))])
        assert isinstance(outcome, Refused)
        assert outcome.code == "claim-taken"


def test_claims_survive_in_segments_and_in_the_tail(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fhir_bridge.ledger.claims.RUN_LENGTH", 7)
    monkeypatch.setattr("fhir_bridge.ledger.apply.Claims", lambda: _claims(7))
    log = writer(path)
    author = Author().joined(log)
    names = [n.to_bytes(4, "big") * 8 for n in range(100)]
    for name in names:
        log.commit([Append((author.entry(claims=(name,)),))])
    log.close()
    (segments,) = sqlite3.connect(path).execute("SELECT count(*) FROM claimseg").fetchone()
    assert segments > 10
    verify_log(path)
    again = writer(path)
    taken = [again.commit([Append((author.entry(claims=(name,)),))])[0] for name in names]
    assert {getattr(outcome, "code", None) for outcome in taken} == {"claim-taken"}


def _claims(run_length: int) -> object:
    from fhir_bridge.ledger.claims import Claims

    return Claims(run_length)


def test_a_full_disk_fails_whole_appends_and_leaves_nothing_half(path: Path) -> None:
    log = writer(path)
    author = Author().joined(log)
    log.commit([_append(author)])
    before, rows = log.head(), Reader(path).audit_count()
    (pages,) = log._db.execute("PRAGMA page_count").fetchone()
    log._db.execute(f"PRAGMA max_page_count = {pages + 3}")
    small, big, behind = (
        _append(author),
        Append((author.entry(b"x" * 100_000),), (AuditRow(b"y"),)),
        _append(author),
    )
    outcomes = log.commit([small, big, behind])
    assert isinstance(outcomes[0], Appended)
    assert [getattr(o, "code", "") for o in outcomes[1:]] == ["disk-full", "disk-full"]
    assert isinstance(outcomes[1], Failed)
    assert isinstance(outcomes[1].error(), Unavailable)
    assert log.head().size == before.size + 2
    assert Reader(path).audit_count() == rows + 1
    log._db.execute("PRAGMA max_page_count = 1000000")
    # Room again: the same entries, in the same order, are taken now.
    assert all(isinstance(o, Appended) for o in log.commit([big, behind]))
    log.close()
    assert verify_log(path).head.size == writer(path).head().size


@pytest.mark.parametrize("step", STEPS)
def test_a_failure_at_any_step_of_a_commit_leaves_the_log_as_it_was(path: Path, step: str) -> None:
    armed: list[str] = []

    def on_step(name: str) -> None:
        if name in armed:
            armed.remove(name)
            raise sqlite3.OperationalError("database or disk is full")

    log = writer(path, on_step=on_step)
    author = Author().joined(log)
    log.commit([_append(author, 250)])
    head = log.head()
    append = _append(author, 20)
    armed += [step, step]
    [outcome] = log.commit([append])
    assert isinstance(outcome, Failed)
    assert log.head() == head == Reader(path).head()
    armed.clear()
    [outcome] = log.commit([append])
    assert isinstance(outcome, Appended)
    assert outcome.first_index == head.size
    log.close()
    verify_log(path)


def test_an_unexpected_error_in_a_commit_is_not_swallowed_and_nothing_stays(path: Path) -> None:
    def on_step(name: str) -> None:
        if armed and name == "head":
            raise KeyError("a defect")

    armed: list[int] = []
    log = writer(path, on_step=on_step)
    author = Author().joined(log)
    head = log.head()
    armed.append(1)
    append = _append(author)
    with pytest.raises(KeyError):
        log.commit([append])
    armed.clear()
    assert log.head() == head
    assert isinstance(log.commit([append])[0], Appended)


def test_leaves_tiles_and_audit_rows_cannot_be_changed_or_deleted(path: Path) -> None:
    log = writer(path)
    log.commit([_append(Author().joined(log), 300)])
    log.close()
    db = sqlite3.connect(path)
    for table, column in (("leaf", "leaf"), ("tile", "hashes"), ("audit", "rows")):
        for sql in (f"DELETE FROM {table}", f"UPDATE {table} SET {column} = x'00'"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(sql)


def test_erasing_needs_a_receipt_and_leaves_no_trace_of_the_body(path: Path) -> None:
    log = writer(path)
    author = Author().joined(log)
    secret = b"a body to be forgotten, long enough to be searched for" * 40
    [outcome] = log.commit([Append((author.entry(secret), author.entry(b"kept")))])
    assert isinstance(outcome, Appended)
    index = outcome.first_index
    receipt = Append((author.control("shred", count=1),), (AuditRow(b"row"),))
    erased = log.erase(receipt, [index])
    assert isinstance(erased, Appended)
    reader = Reader(path)
    assert reader.row(index).body is None
    assert reader.row(index + 1).body == b"kept"
    assert reader.gone(index) == erased.first_index
    assert reader.gone(index + 1) is None
    raw = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert secret[:54] not in raw
    assert verify_log(path).erased == 1


def test_a_refused_receipt_erases_nothing(path: Path) -> None:
    log = writer(path)
    author = Author().joined(log)
    log.commit([_append(author)])
    stranger = Author("stranger")
    outcome = log.erase(Append((stranger.control("shred", count=1),)), [3])
    assert isinstance(outcome, Refused)
    assert Reader(path).row(3).body == b"body 0"


@pytest.mark.parametrize("index", [0, 2, 99])
def test_only_data_that_is_there_can_be_erased(path: Path, index: int) -> None:
    log = writer(path)
    author = Author().joined(log)
    head = log.head()
    with pytest.raises(Incorrect) as caught:
        log.erase(Append((author.control("shred", count=1),)), [index])
    assert caught.value.code == "not-erasable"
    assert log.head() == head


def test_an_erasure_waits_for_readers_that_hold_old_pages(path: Path) -> None:
    log = writer(path)
    author = Author().joined(log)
    log.commit([_append(author)])
    log._db.execute("PRAGMA busy_timeout = 10")
    held = sqlite3.connect(path, isolation_level=None)
    held.execute("BEGIN")
    held.execute("SELECT * FROM body").fetchone()
    outcome = log.erase(Append((author.control("shred", count=1),)), [3])
    assert isinstance(outcome, Failed)
    assert outcome.code == "pages-held"
    held.execute("COMMIT")
    log.settle_pages()
    assert Reader(path).row(3).body is None


def test_boxes_are_replaced(path: Path) -> None:
    log = writer(path)
    author = Author().joined(log)
    log.commit([_append(author)])
    log.rebox([(3, b"new box", b"h" * 16)])
    row = Reader(path).row(3)
    assert (row.box, row.hint, row.body) == (b"new box", b"h" * 16, b"body 0")


def test_a_second_root_for_a_signed_size_is_refused(path: Path, tmp_path: Path) -> None:
    log = writer(path)
    note = checkpoints(log, tmp_path / "memory").now()
    head = log.head()
    log.keep_checkpoint(head, note)
    other = type(head)(head.origin, head.size, bytes(32))
    with pytest.raises(Corrupt) as caught:
        log.keep_checkpoint(other, note)
    assert caught.value.code == "two-roots"


def test_old_checkpoints_are_let_go(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_bridge.ledger.engines.sqlite.writer._CHECKPOINTS_KEPT", 3)
    log = writer(path)
    for size in range(10):
        log.keep_checkpoint(type(log.head())(ORIGIN, size, bytes(32)), b"note")
    sizes = log._db.execute("SELECT size FROM checkpoint ORDER BY size").fetchall()
    assert sizes == [(7,), (8,), (9,)]


def test_a_ledger_opens_only_for_its_own_origin_and_key(path: Path) -> None:
    writer(path).close()
    options = {"member": MEMBER, "clock": FixedClock()}
    other_key = ed25519_signer(b"o" * 32)
    own_key = ed25519_signer(hashlib.sha256(b"sequencer").digest())
    for origin, signer in ((ORIGIN, other_key), ("elsewhere.example", own_key)):
        with pytest.raises(Corrupt) as caught:
            Writer(path, origin=origin, signer=signer, **options)  # type: ignore[arg-type]
        assert caught.value.code == "wrong-ledger"


def test_a_file_that_is_no_ledger_or_of_another_layout_is_not_opened(path: Path) -> None:
    path.write_bytes(b"not a database, but long enough to look like a file" * 100)
    with pytest.raises(Corrupt):
        writer(path)
    path.unlink()
    sqlite3.connect(path).execute("CREATE TABLE x (y)")
    with pytest.raises(Corrupt) as caught:
        Reader(path)
    assert caught.value.code == "not-a-ledger"
    path.unlink()
    writer(path).close()
    sqlite3.connect(path, isolation_level=None).execute("PRAGMA user_version = 99")
    with pytest.raises(Unavailable) as unavailable:
        Reader(path)
    assert unavailable.value.code == "ledger-version"
    with pytest.raises(Unavailable):
        schema.upgrade(path)


def test_a_file_of_this_layout_needs_no_upgrade(path: Path) -> None:
    writer(path).close()
    assert schema.upgrade(path) == schema.SCHEMA_VERSION
    verify_log(path)


def test_an_older_file_is_brought_up_step_by_step(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer(path).close()
    made = schema.SCHEMA_VERSION
    monkeypatch.setattr(schema, "SCHEMA_VERSION", made + 1)
    monkeypatch.setitem(schema._STEPS, made, lambda _: "CREATE TABLE added (x);")
    assert schema.upgrade(path) == made
    assert Reader(path).head().size == 2
    assert sqlite3.connect(path).execute("SELECT count(*) FROM added").fetchone() == (0,)


def test_a_torn_head_is_noticed_at_the_start(path: Path) -> None:
    writer(path).close()
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("UPDATE head SET root = ?", (bytes(32),))
    with pytest.raises(Corrupt) as caught:
        writer(path)
    assert caught.value.code == "head-root"
    db.execute("UPDATE head SET chains = x'c1'")
    with pytest.raises(Corrupt) as caught:
        writer(path)
    assert caught.value.code == "head-unreadable"
    db.execute("DELETE FROM head")
    with pytest.raises(Corrupt) as caught:
        writer(path)
    assert caught.value.code == "head-missing"
    with pytest.raises(Corrupt):
        Reader(path).head()


def test_the_ledger_file_is_private(path: Path) -> None:
    writer(path).close()
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_ledger_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        writer(tmp_path / "missing" / "ledger.db")
    with pytest.raises(Unavailable):
        Reader(tmp_path / "ledger.db")
