"""Copies and damage: what a key store does when its file or its neighbours misbehave."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from fhir_bridge.errors import BridgeError, Conflict, Corrupt, Unavailable
from fhir_bridge.fbe1 import entry_id
from fhir_bridge.keys import (
    KeyStore,
    NodeKeys,
    backup,
    key_db,
    key_files,
    restore,
)
from fhir_bridge.keys.made_count import MadeCount
from fhir_bridge.keys.recent import Recent
from tests.keys.build import FixedClock, Node, node
from tests.keys.test_store import readable, sealed_world

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def here(tmp_path: Path) -> Node:
    return node(tmp_path)


def again(here: Node) -> KeyStore:
    return KeyStore(here.store_path, NodeKeys.load(here.keys.folder))


def test_a_backup_restores_both_and_tombstones_destroy_again(here: Node, tmp_path: Path) -> None:
    world = sealed_world(here)
    made = backup(tmp_path / "backup", here.keys, here.store, 77)
    assert (made.epoch, made.made_at_us) == (1, 77)
    receipt = here.store.shred("gone")
    assert receipt.last_backup_us == FixedClock().now_us()
    folder, path = tmp_path / "again", tmp_path / "again.db"
    assert restore(tmp_path / "backup", folder, path) == made
    here.sealer._store = KeyStore(path, NodeKeys.load(folder))
    assert readable(here.sealer, world) == set(world)
    replayed = here.sealer._store.replay(frozenset(receipt.tombstones))
    assert replayed.peks_destroyed == 2
    assert readable(here.sealer, world) == {"kept"}
    with pytest.raises(Conflict):
        restore(tmp_path / "backup", folder, path)
    with pytest.raises(Conflict):
        backup(tmp_path / "backup", here.keys, here.store, 78)


def test_a_damaged_backup_restores_nothing(here: Node, tmp_path: Path) -> None:
    backup(tmp_path / "b", here.keys, here.store, 1)
    manifest = (tmp_path / "b" / "manifest.json").read_bytes()
    for name in ("keys.db", "node-keys/hint.key"):
        path = tmp_path / "b" / name
        good = path.read_bytes()
        for bad in (good[:-1] + b"?", None):
            path.unlink()
            if bad is not None:
                path.write_bytes(bad)
            with pytest.raises(Corrupt, match=name):
                restore(tmp_path / "b", tmp_path / "x", tmp_path / "x.db")
            path.write_bytes(good)
    for bad in (b"{", b"{}", manifest.replace(b'"version": 1', b'"version": 2')):
        (tmp_path / "b" / "manifest.json").write_bytes(bad)
        with pytest.raises(Corrupt):
            restore(tmp_path / "b", tmp_path / "x", tmp_path / "x.db")
    (tmp_path / "b" / "manifest.json").unlink()
    with pytest.raises(Unavailable):
        restore(tmp_path / "b", tmp_path / "x", tmp_path / "x.db")
    assert not (tmp_path / "x").exists()


def test_sets_that_no_entry_uses_are_swept(here: Node) -> None:
    world = sealed_world(here)
    here.store.ensure([(("orphan", "normal"),)])
    sets = here.store.count()[1]
    used = frozenset(
        here.sealer.handle_of(entry_id(parts[0][:-96], parts[0][-96:-64]), parts[3])
        for parts in world.values()
    )
    assert here.store.sweep(used) == 1
    assert here.store.count()[1] == sets - 1
    assert readable(here.sealer, world) == set(world)


def test_a_store_that_is_absent_foreign_or_damaged_is_refused(here: Node, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        KeyStore(tmp_path / "nothing.db", here.keys)
    (tmp_path / "text.db").write_bytes(b"not a database " * 100)
    with pytest.raises(Corrupt):
        KeyStore(tmp_path / "text.db", here.keys)
    stranger = NodeKeys.create(tmp_path / "stranger")
    with pytest.raises(Corrupt) as caught:
        KeyStore(here.store_path, stranger)
    assert caught.value.code == "key-store-node"
    with pytest.raises(Conflict):
        KeyStore.create(here.store_path, here.keys)
    here.store.rotate()
    with pytest.raises(Conflict):
        KeyStore.create(tmp_path / "second.db", here.keys)
    key_files.destroy(here.keys.folder / "generation-2.key")
    with pytest.raises(Corrupt) as caught:
        again(here)
    assert caught.value.code == "key-generation"


def test_an_older_store_of_the_same_epoch_is_noticed(here: Node, tmp_path: Path) -> None:
    here.store.ensure([((f"p{i}", "normal"),) for i in range(3)])
    here.store.backup_to(tmp_path / "old.db")
    again(here).close()
    here.store.ensure([(("p0", "normal"),), (("later", "normal"),)])
    with pytest.raises(Corrupt, match=r"made 3 key sets, the key folder remembers 4") as caught:
        KeyStore(tmp_path / "old.db", NodeKeys.load(here.keys.folder))
    assert (caught.value.code, caught.value.where) == ("key-store-older", "old.db")
    here.store.rotate()
    here.store.shred("later")
    here.store.sweep(frozenset())
    again(here).close()
    assert (here.keys.folder / "sets-made").read_bytes() == (4).to_bytes(8, "big")


def test_a_count_that_was_lost_or_fell_behind_is_taken_from_the_store(
    here: Node, tmp_path: Path
) -> None:
    here.store.ensure([((f"p{i}", "normal"),) for i in range(3)])
    count = here.keys.folder / "sets-made"
    for before in (None, b"", (1).to_bytes(8, "big")):
        count.unlink()
        if before is not None:
            count.write_bytes(before)
        again(here).close()
        assert count.read_bytes() == (3).to_bytes(8, "big")
    other = again(here)
    other.key_set((("p4", "normal"),))
    here.store.key_set((("p4", "normal"),))
    assert MadeCount(here.keys.folder).known() == 4
    MadeCount(here.keys.folder).note(2)
    assert MadeCount(here.keys.folder).known() == 4


def test_a_store_from_before_the_count_opens_and_counts_on(here: Node) -> None:
    here.store.ensure([((f"p{i}", "normal"),) for i in range(3)])
    here.store._db.execute("DELETE FROM meta WHERE name = 'made'")
    (here.keys.folder / "sets-made").unlink()
    older = again(here)
    assert MadeCount(here.keys.folder).known() == 3
    older.key_set((("p4", "normal"),))
    assert MadeCount(here.keys.folder).known() == 4
    again(here).close()


def test_a_store_from_before_the_count_survives_a_shred(here: Node) -> None:
    here.store.ensure([(("a", "normal"),), (("b", "normal"),)])
    here.store._db.execute("DELETE FROM meta WHERE name = 'made'")
    older = again(here)
    older.shred("a")
    older.close()
    again(here).close()
    assert MadeCount(here.keys.folder).known() == 2


def test_the_count_is_no_part_of_a_key_backup(here: Node, tmp_path: Path) -> None:
    here.store.key_set((("p", "normal"),))
    backup(tmp_path / "b", here.keys, here.store, 1)
    assert not list((tmp_path / "b").rglob("sets-made"))
    here.store.key_set((("later", "normal"),))
    restore(tmp_path / "b", tmp_path / "x", tmp_path / "x.db")
    assert MadeCount(tmp_path / "x").known() == 1


def test_a_damaged_row_is_corrupt_and_not_an_erasure(here: Node) -> None:
    handle = here.store.key_set((("p", "normal"),)).handle
    here.store._db.execute("UPDATE pek SET box = zeroblob(88)")
    with pytest.raises(Corrupt):
        again(here).by_handle(handle)
    here.store._db.execute("DELETE FROM pek")
    with pytest.raises(Corrupt):
        again(here).key_set((("p", "normal"),))
    here.store._db.execute("UPDATE meta SET value = 2 WHERE name = 'format'")
    with pytest.raises(Corrupt, match="unknown format"):
        again(here)
    here.store._db.execute("DELETE FROM meta WHERE name = 'format'")
    with pytest.raises(Corrupt, match="lacks its format"):
        again(here)
    here.store._db.execute("DROP TABLE meta")
    with pytest.raises(Corrupt, match="cannot be read"):
        again(here)


def test_a_store_that_another_process_keeps_locked_is_unavailable(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_db, "BUSY_TIMEOUT_MS", 1)
    other = again(here)
    here.store._db.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable):
        other.key_set((("p", "normal"),))
    here.store._db.execute("ROLLBACK")
    other.key_set((("p", "normal"),))


def test_a_reader_that_stays_is_named_when_the_wal_cannot_be_emptied(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_db, "BUSY_TIMEOUT_MS", 1)
    here.sealer._store = again(here)
    world = sealed_world(here)
    here.store._db.execute("BEGIN")
    here.store._db.execute("SELECT count(*) FROM pek").fetchone()
    with pytest.raises(Unavailable) as caught:
        here.sealer._store.shred("gone")
    assert caught.value.code == "key-store-wal"
    here.store._db.execute("COMMIT")
    assert readable(here.sealer, world) == {"kept"}
    here.sealer._store.rotate()


def test_a_failing_write_leaves_the_store_as_it_was(here: Node) -> None:
    here.store._db.execute("PRAGMA max_page_count=1")
    with pytest.raises(BridgeError):
        here.store.ensure([((f"p{i}", "normal"),) for i in range(500)])
    assert here.store.count() == (0, 0)
    assert not here.store._db.in_transaction


def test_the_recently_used_stay_and_the_rest_go() -> None:
    recent: Recent[int, int] = Recent(10)
    for i in range(100):
        recent.put(i, i)
        assert recent.get(0 if i == 0 else i) == i
        recent.get(0)
    assert recent.get(0) == 0
    assert recent.get(1) is None
    assert sum(recent.get(i) is not None for i in range(100)) <= 20
    recent.clear()
    assert recent.get(0) is None


def test_closing_lets_go_of_the_file(here: Node) -> None:
    here.store.close()
    with pytest.raises(sqlite3.ProgrammingError):
        here.store.count()
    assert os.path.exists(here.store_path)
