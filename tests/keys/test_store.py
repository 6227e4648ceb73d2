"""The key store: durable, shared, silent about whom it knows, and finally forgetful."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from fhir_bridge.errors import Conflict, Corrupt, Incorrect, NotFound, Unavailable
from fhir_bridge.keys import (
    KeyStore,
    NodeKeys,
    Opener,
    Override,
    ShredScope,
    key_db,
    key_files,
    verify_leaf,
)
from fhir_bridge.keys.generation import Generation
from tests.keys.build import Node, header, node

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def here(tmp_path: Path) -> Node:
    return node(tmp_path)


def again(here: Node) -> KeyStore:
    return KeyStore(here.store_path, NodeKeys.load(here.keys.folder))


def test_a_set_is_the_same_whatever_the_order_and_after_a_restart(here: Node) -> None:
    pairs = [("b", "normal"), ("a", "hiv"), ("a", "hiv")]
    one = here.store.key_set(pairs)
    assert here.store.key_set(tuple(reversed(pairs))) is one
    other = again(here)
    reopened = other.by_handle(one.handle)
    assert reopened is not None
    assert reopened.wrap_key(bytes(32)) == one.wrap_key(bytes(32))
    assert other.key_set(pairs).handle == one.handle
    assert other.by_handle(one.handle) is not None
    assert here.store.count() == (2, 1)


def test_sets_of_other_pairs_share_nothing(here: Node) -> None:
    lists = [(("a", "n"),), (("a", "m"),), (("b", "n"),), (("a", "n"), ("b", "n")), (("", "n"),)]
    sets = here.store.ensure(lists)
    assert len({s.handle for s in sets}) == len(lists)
    assert len({s.wrap_key(bytes(32)) for s in sets}) == len(lists)
    assert here.store.count() == (4, 5)
    with pytest.raises(Corrupt):
        here.store.ensure([()])


def test_everything_a_new_patient_needs_costs_one_commit(here: Node) -> None:
    statements: list[str] = []
    here.store._db.set_trace_callback(statements.append)
    pairs = [(("p", "normal"),), (("p", "audit"),), (("p", "hiv"), ("p", "normal"))]
    here.store.ensure(pairs)
    assert statements.count("COMMIT") == 1
    statements.clear()
    here.store.ensure(pairs)
    here.store.key_set(pairs[0])
    assert statements == []


PROCESS = """
import json, sys
from pathlib import Path
from fhir_bridge.keys import KeyStore, NodeKeys
store = KeyStore(Path(sys.argv[1]), NodeKeys.load(Path(sys.argv[2])))
out = []
for i in range(60):
    a, b = store.ensure([((f"p{i}", "normal"),), ((f"p{i}", "audit"), (f"p{i}", "normal"))])
    out.append([a.handle.hex(), b.handle.hex(), a.wrap_key(bytes(32)).hex()])
print(json.dumps(out))
"""


def test_processes_that_make_the_same_sets_at_once_agree(here: Node) -> None:
    arguments = [sys.executable, "-c", PROCESS, str(here.store_path), str(here.keys.folder)]
    running = [
        subprocess.Popen(arguments, stdout=subprocess.PIPE, cwd=ROOT, text=True) for _ in range(3)
    ]
    here.store.ensure([((f"p{i}", "normal"),) for i in range(59, -1, -1)])
    answers = [json.loads(process.communicate(timeout=60)[0]) for process in running]
    assert answers[0] == answers[1] == answers[2]
    assert here.store.key_set((("p5", "normal"),)).handle.hex() == answers[0][5][0]
    assert here.store.count() == (120, 120)


def test_the_file_names_nobody_and_is_private(here: Node) -> None:
    here.store.ensure([(("patient-zzyzx", "class-hiv"),)])
    for path in here.store_path.parent.iterdir():
        assert path.stat().st_mode & 0o077 == 0
        assert b"zzyzx" not in path.read_bytes()
        assert b"class-hiv" not in path.read_bytes()


World = dict[str, tuple[bytes, bytes, bytes, bytes]]


def sealed_world(here: Node) -> World:
    """Entries of two patients, one of both."""
    world: World = {}
    for name, pairs in {
        "gone": (("gone", "normal"),),
        "gone hiv": (("gone", "hiv"), ("gone", "normal")),
        "both": (("gone", "normal"), ("kept", "normal")),
        "kept": (("kept", "normal"),),
    }.items():
        s = here.sealer.seal(pairs, header(), name.encode())
        world[name] = (s.leaf, s.body, s.box, s.hint)
    return world


def readable(opener: Opener, world: World) -> set[str]:
    """The names of the entries that open; the others have to say that they were shredded."""
    out = set()
    codes = set()
    for name, parts in world.items():
        try:
            opener.open(*parts)
            out.add(name)
        except NotFound as error:
            codes.add(error.code)
    assert codes <= {"shredded"}
    return out


def test_a_shred_destroys_every_set_that_needs_the_patient_and_no_other(here: Node) -> None:
    world = sealed_world(here)
    row = here.sealer.seal_audit((("gone", "audit"),), b"{}", 1, bytes(32))
    receipt = here.store.shred("gone")
    assert readable(here.sealer, world) == {"kept"}
    assert here.sealer.open_audit(row.sealed, row.hint)[2] == b"{}"
    assert (receipt.peks_destroyed, receipt.sets_destroyed) == (2, 3)
    assert receipt.rows_rewritten == 4
    assert (receipt.from_generation, receipt.to_generation, receipt.epoch) == (1, 2, 2)
    assert not receipt.overridden
    assert len(receipt.tombstones) == 2
    assert "gone" not in repr(receipt)
    assert here.keys.generations() == (2,)
    verify_leaf(world["gone"][0], here.sealer.public)
    new = here.sealer.seal((("gone", "normal"),), header(), b"a new life")
    assert here.sealer.open(new.leaf, new.body, new.box, new.hint)[1] == b"a new life"
    assert readable(here.sealer, world) == {"kept"}


def test_the_audit_trail_goes_only_with_an_override_by_two_people(here: Node) -> None:
    row = here.sealer.seal_audit((("gone", "audit"),), b"{}", 1, bytes(32))
    both = ShredScope.RECORD_AND_AUDIT
    with pytest.raises(Conflict) as caught:
        here.store.shred("gone", both)
    assert caught.value.code == "held"
    for people in (("a", "a", "why"), ("a", "", "why"), ("a", "b", "")):
        with pytest.raises(Incorrect):
            Override(*people)
    receipt = here.store.shred("gone", both, override=Override("a", "b", "court order"))
    assert receipt.overridden
    with pytest.raises(NotFound):
        here.sealer.open_audit(row.sealed, row.hint)


def test_a_legal_hold_stops_a_shred_before_anything_happens(here: Node) -> None:
    world = sealed_world(here)
    with pytest.raises(Conflict, match="litigation"):
        here.store.shred("gone", holds=lambda patient, scope: "litigation")
    with pytest.raises(Conflict):
        here.store.shred("")
    assert len(readable(here.sealer, world)) == 4
    assert here.keys.generations() == (1,)


def secrets_now(keys: NodeKeys) -> list[bytes]:
    out = []
    for path in keys.folder.glob("*.key"):
        out.append(key_files.read_key(path))
    return out


def test_an_old_copy_and_every_secret_of_today_open_nothing(here: Node, tmp_path: Path) -> None:
    sealed_world(here)
    old_secret = here.keys.generation(1)
    stolen = tmp_path / "stolen"
    stolen.mkdir()
    for path in here.store_path.parent.iterdir():
        shutil.copy(path, stolen)
    here.store.shred("gone")
    here.keys.rotate_locator()

    for path in here.keys.folder.iterdir():
        assert old_secret.hex() not in path.read_text("latin-1")
    with pytest.raises(Corrupt, match=r"epoch 1.*epoch 2"):
        KeyStore(stolen / "keys.db", NodeKeys.load(here.keys.folder))

    db = sqlite3.connect(stolen / "keys.db")
    boxes = [r[0] for t in ("pek", "keyset") for r in db.execute(f"SELECT box FROM {t}")]
    rows = {r[0] for r in db.execute("SELECT row FROM pek")}
    handles = {r[0] for r in db.execute("SELECT handle FROM keyset")}
    db.close()
    assert len(boxes) == 7
    keys = here.keys
    names = keys.names
    inner = names.patient("gone") + names.patient_class("gone", "normal")
    kept = here.store.key_set((("kept", "normal"),)).handle
    for number in (1, 2):
        for secret in secrets_now(keys):
            generation = Generation(number, keys.master, secret)
            assert generation.pek_row(inner) not in rows
            assert generation.handle_row(kept) not in handles
            for box in boxes:
                with pytest.raises(Corrupt):
                    generation.unwrap(box)
    now = b"".join(p.read_bytes() for p in sorted(here.store_path.parent.iterdir()))
    assert not any(box in now for box in boxes)
    wal = here.store_path.with_name("keys.db-wal")
    assert not wal.exists() or wal.stat().st_size == 0


def test_other_processes_forget_at_once(here: Node) -> None:
    other = again(here)
    handles = {p: here.store.key_set(((p, "normal"),)).handle for p in ("gone", "kept")}
    assert all(other.by_handle(h) for h in handles.values())
    here.store.shred("gone")
    assert other.by_handle(handles["gone"]) is None
    assert other.by_handle(handles["kept"]) is not None
    made = other.key_set((("new", "normal"),))
    assert here.store.by_handle(made.handle) is not None
    other.rotate()
    assert here.store.by_handle(made.handle) is not None
    assert here.store.key_set((("kept", "normal"),)).handle == handles["kept"]


def test_a_process_that_missed_the_mark_still_finds_out(here: Node) -> None:
    other = again(here)
    kept = here.store.key_set((("kept", "normal"),)).handle
    mark = here.store_path.with_name("keys.db-epoch")
    before = mark.read_bytes()
    here.store.rotate()
    mark.write_bytes(before)
    assert other.by_handle(kept) is not None
    here.store.rotate()
    mark.write_bytes(before)
    assert other.key_set((("x", "normal"),)) is not None
    assert other.by_handle(bytes(16)) is None


def test_a_generation_that_moves_during_a_look_up_is_looked_up_again(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = again(here)
    kept = here.store.key_set((("kept", "normal"),)).handle
    real = key_db.one
    moves = [2]

    def one(db: sqlite3.Connection, query: str, *values: object) -> object:
        found = real(db, query, *values)
        if "FROM keyset" in query and moves[0]:
            moves[0] -= 1
            here.store.rotate()
        return found

    monkeypatch.setattr(key_db, "one", one)
    assert other.by_handle(kept) is not None
    moves[0] = 100
    with pytest.raises(Unavailable, match="too fast"):
        other.by_handle(bytes(16))
    moves[0] = 0
    assert other.key_set((("kept", "normal"),)).handle == kept


def test_a_set_made_while_the_generation_moves_is_under_the_new_one(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = again(here)
    real = key_db.transaction

    def transaction(db: sqlite3.Connection) -> object:
        monkeypatch.undo()
        here.store.rotate()
        return real(db)

    monkeypatch.setattr(key_db, "transaction", transaction)
    made = other.key_set((("new", "normal"),))
    assert here.store.by_handle(made.handle) is not None


def test_a_set_that_another_process_makes_first_is_taken(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = again(here)
    real = key_db.transaction

    def transaction(db: sqlite3.Connection) -> object:
        monkeypatch.undo()
        here.store.key_set((("new", "normal"),))
        return real(db)

    monkeypatch.setattr(key_db, "transaction", transaction)
    made = other.key_set((("new", "normal"),))
    assert made.handle == here.store.key_set((("new", "normal"),)).handle


def test_a_generation_key_destroyed_between_two_reads_is_read_again(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = NodeKeys.generation
    failures = [1]

    def generation(keys: NodeKeys, number: int) -> bytes:
        if failures[0]:
            failures[0] -= 1
            raise Unavailable("gone")
        return real(keys, number)

    monkeypatch.setattr(NodeKeys, "generation", generation)
    again(here)
    failures[0] = 100
    with pytest.raises(Unavailable, match="generation key"):
        again(here)


STEPS = [
    (NodeKeys, "add_generation"),
    (NodeKeys, "set_epochs"),
    (key_db, "rewrite"),
    (key_db, "set_meta"),
    (KeyStore, "_follow"),
    (NodeKeys, "destroy_generation"),
    (key_db, "truncate_wal"),
]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("owner", "step"), STEPS, ids=[step for _, step in STEPS])
def test_a_crash_at_any_step_of_a_shred_leaves_all_or_nothing(
    here: Node, owner: object, step: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = sealed_world(here)
    real = getattr(owner, step)

    def crash(*arguments: object, **named: object) -> None:
        if after:
            real(*arguments, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, step, crash)
    with pytest.raises(KeyboardInterrupt):
        here.store.shred("gone")
    monkeypatch.undo()
    here.sealer._store = again(here)
    left = readable(here.sealer, world)
    assert left in ({"kept"}, set(world))
    assert len(here.keys.generations()) == len(here.keys.epochs()) == 1
    done = left == {"kept"}
    assert here.sealer._store.epoch == here.keys.epochs()[0] == (2 if done else 1)
    here.sealer._store.shred("gone")
    assert readable(here.sealer, world) == {"kept"}


def test_a_rotation_changes_every_row_and_no_key(here: Node) -> None:
    world = sealed_world(here)
    before = here.store_path.read_bytes()
    receipt = here.store.rotate()
    assert (receipt.peks_destroyed, receipt.sets_destroyed) == (0, 0)
    assert receipt.scope == "rotation"
    assert readable(here.sealer, world) == set(world)
    boxes = [r[0] for r in here.store._db.execute("SELECT box FROM pek")]
    assert not any(box in before for box in boxes)


def test_an_older_copy_of_either_side_is_noticed(here: Node, tmp_path: Path) -> None:
    sealed_world(here)
    shutil.copytree(here.keys.folder, tmp_path / "old-keys")
    here.store.backup_to(tmp_path / "old.db")
    here.store.rotate()
    here.store.rotate()
    with pytest.raises(Corrupt, match=r"store at epoch 1, key folder at epoch 3.*key store is"):
        KeyStore(tmp_path / "old.db", NodeKeys.load(here.keys.folder))
    with pytest.raises(Corrupt, match=r"store at epoch 3, key folder at epoch 1.*key folder is"):
        KeyStore(here.store_path, NodeKeys.load(tmp_path / "old-keys"))
    again(here)
