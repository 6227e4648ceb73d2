"""Head memory, start-up check, backup and restore: an older copy does not pass for the log."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from fhir_bridge.errors import Conflict, Corrupt, Unavailable
from fhir_bridge.ledger import (
    Append,
    Head,
    HeadMemory,
    backup,
    open_checked,
    parse_checkpoint,
    restore,
    verify_log,
)
from tests.ledger.authors import ORIGIN, Author, checkpoints, writer


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data" / "ledger.db"


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    (tmp_path / "keys").mkdir()
    return tmp_path / "keys" / "head"


def test_a_head_is_remembered_across_starts(memory: Path) -> None:
    head = Head(ORIGIN, 7, bytes(range(32)))
    assert HeadMemory(memory).recall() is None
    HeadMemory(memory).remember(head)
    assert HeadMemory(memory).recall() == head
    assert memory.read_text().startswith("fhir_bridge/head-memory@v1\n")
    assert memory.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (Head(ORIGIN, 6, bytes(32)), "older-copy"),
        (Head("elsewhere.example", 8, bytes(32)), "older-copy"),
        (Head(ORIGIN, 7, bytes(32)), "two-roots"),
    ],
)
def test_the_memory_does_not_step_back_or_sideways(memory: Path, head: Head, code: str) -> None:
    HeadMemory(memory).remember(Head(ORIGIN, 7, b"r" * 32))
    with pytest.raises(Corrupt) as caught:
        HeadMemory(memory).remember(head)
    assert caught.value.code == code
    assert HeadMemory(memory).recall() == Head(ORIGIN, 7, b"r" * 32)


def test_a_damaged_memory_is_corrupt_not_forgotten(memory: Path) -> None:
    for text in ("", "fhir_bridge/head-memory@v2\nx\n1\n", "fhir_bridge/head-memory@v1\nx\n1\n"):
        memory.write_text(text)
        with pytest.raises(Corrupt):
            HeadMemory(memory).recall()


def test_nothing_is_signed_when_the_memory_cannot_be_written(path: Path, tmp_path: Path) -> None:
    log = writer(path)
    (tmp_path / "a-file").touch()
    with pytest.raises(Unavailable) as caught:
        checkpoints(log, tmp_path / "a-file" / "head").now()
    assert caught.value.code == "head-memory"
    assert log._db.execute("SELECT count(*) FROM checkpoint").fetchone() == (0,)


def test_the_memory_knows_the_head_before_its_signature_exists(path: Path, memory: Path) -> None:
    log = writer(path)
    signing = checkpoints(log, memory)

    class Stop(Exception):
        pass

    class Watching:
        algorithm, public = "ed25519", bytes(32)

        def sign(self, message: bytes) -> bytes:
            assert HeadMemory(memory).recall() == log.head()
            raise Stop

    signing._signers = (Watching(),)
    with pytest.raises(Stop):
        signing.now()


def test_a_checkpoint_is_the_same_until_something_is_added(path: Path, memory: Path) -> None:
    log = writer(path)
    signing = checkpoints(log, memory)
    note = signing.now()
    assert signing.now() is note
    Author().joined(log)
    assert parse_checkpoint(signing.now()).head == log.head()


def _older_copy(path: Path, memory: Path, to: Path) -> Head:
    """Copy the ledger, then let the original grow and sign."""
    log = writer(path)
    author = Author().joined(log)
    head = backup(path, to)
    log.commit([Append((author.entry(),))])
    checkpoints(log, memory).now()
    log.close()
    return head


def test_an_older_copy_is_refused_with_both_heads_named(
    path: Path, memory: Path, tmp_path: Path
) -> None:
    old = _older_copy(path, memory, tmp_path / "copy.db")
    open_checked(path, HeadMemory(memory)).close()
    for file in path.parent.iterdir():
        file.unlink()
    shutil.copy(tmp_path / "copy.db", path)
    with pytest.raises(Corrupt) as caught:
        open_checked(path, HeadMemory(memory))
    assert caught.value.code == "older-copy"
    assert f"size {old.size}," in caught.value.message
    assert f"size {old.size + 1}," in caught.value.message
    with pytest.raises(Corrupt) as caught:
        verify_log(path, remembered=HeadMemory(memory).recall())
    assert caught.value.code == "older-copy"
    log = writer(path)
    with pytest.raises(Corrupt):
        checkpoints(log, memory).now()


def test_a_rewritten_ledger_of_the_same_length_is_refused(path: Path, memory: Path) -> None:
    log = writer(path)
    author = Author().joined(log)
    log.commit([Append((author.entry(b"one"),))])
    checkpoints(log, memory).now()
    log.close()
    for file in path.parent.iterdir():
        file.unlink()
    log = writer(path)
    author = Author().joined(log)
    log.commit([Append((author.entry(b"two"), author.entry()))])
    with pytest.raises(Corrupt) as caught:
        open_checked(path, HeadMemory(memory))
    assert caught.value.code == "rewritten"
    with pytest.raises(Corrupt) as caught:
        verify_log(path, remembered=HeadMemory(memory).recall())
    assert caught.value.code == "rewritten"


def test_a_ledger_that_is_gone_is_refused_when_something_was_signed(
    path: Path, memory: Path
) -> None:
    HeadMemory(memory).remember(Head(ORIGIN, 7, bytes(32)))
    with pytest.raises(Corrupt) as caught:
        open_checked(path, HeadMemory(memory))
    assert caught.value.code == "older-copy"


def test_without_memory_a_ledger_opens(path: Path, memory: Path) -> None:
    writer(path).close()
    assert open_checked(path, HeadMemory(memory)).head().size == 2


def test_a_backup_is_made_while_the_log_is_written_and_is_whole(
    path: Path, memory: Path, tmp_path: Path
) -> None:
    log = writer(path)
    author = Author().joined(log)
    log.commit([Append(tuple(author.entry() for _ in range(300)))])
    head = backup(path, tmp_path / "copy.db")
    assert head == log.head()
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
    log.commit([Append((author.entry(),))])
    restored = tmp_path / "elsewhere.db"
    assert restore(tmp_path / "copy.db", restored, HeadMemory(memory)) == head
    assert verify_log(restored).head == head
    again = writer(restored)
    assert again.head() == head
    with pytest.raises(Conflict):
        backup(path, tmp_path / "copy.db")
    with pytest.raises(Conflict):
        restore(tmp_path / "copy.db", restored, HeadMemory(memory))


def test_restoring_an_older_copy_is_refused_and_leaves_nothing(
    path: Path, memory: Path, tmp_path: Path
) -> None:
    _older_copy(path, memory, tmp_path / "copy.db")
    target = tmp_path / "restored" / "ledger.db"
    target.parent.mkdir()
    with pytest.raises(Corrupt) as caught:
        restore(tmp_path / "copy.db", target, HeadMemory(memory))
    assert caught.value.code == "older-copy"
    assert list(target.parent.iterdir()) == []


def test_what_is_no_backup_is_not_restored(path: Path, memory: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_bytes(b"nothing of the kind" * 500)
    with pytest.raises(Corrupt):
        restore(tmp_path / "copy.db", path, HeadMemory(memory))
    sqlite3.connect(tmp_path / "other.db").execute("CREATE TABLE x (y)")
    with pytest.raises(Corrupt):
        restore(tmp_path / "other.db", path, HeadMemory(memory))
    assert not path.exists()


def test_a_backup_that_cannot_be_written_is_unavailable(path: Path) -> None:
    writer(path).close()
    with pytest.raises(OSError):
        backup(path, path.parent / "missing" / "copy.db")
