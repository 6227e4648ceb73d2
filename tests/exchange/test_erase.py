"""After a shred, everything from before and every secret of today open nothing of the patient."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap

from fhir_bridge.assembly.identity import operator
from fhir_bridge.assembly.local import LocalNode, local_node
from fhir_bridge.assembly.node import create_node
from fhir_bridge.assembly.places import Places
from fhir_bridge.cli import run
from fhir_bridge.config import Settings, load
from fhir_bridge.errors import BridgeError, Conflict, Corrupt, NotFound
from fhir_bridge.exchange import RequestInfo, Rooms, disclose, ingest
from fhir_bridge.exchange.erase import erase, tombstones
from fhir_bridge.exchange.trail import audit_pairs
from fhir_bridge.fbe1 import entry_id, split_leaf
from fhir_bridge.keys import (
    KeySet,
    KeyStore,
    NodeKeys,
    Opener,
    Override,
    ShredScope,
    ed25519_holds,
    key_db,
)
from fhir_bridge.keys.generation import Generation
from fhir_bridge.ledger import Reader, verify_log
from fhir_bridge.locator import Locator
from fhir_bridge.search import fingerprint

HOSPITAL = operator("Organization/hospital")
REQUEST = RequestInfo("test", "test")
BOTH = Override("first", "second", "court order")


@dataclass
class World:
    """A node with an erased-to-be patient, another one, and a copy of the files from before."""

    folder: Path
    doomed: str = ""
    other: str = ""
    places: tuple[str, ...] = ()
    """The doomed patient's resources."""
    kept: tuple[str, ...] = ()
    indexes: tuple[int, ...] = ()

    @property
    def settings(self) -> Settings:
        return load(self.folder / "bridge.toml", {})

    @property
    def files(self) -> Places:
        return Places.of(self.settings)

    @property
    def before(self) -> Path:
        return self.folder / "before"

    @property
    def keys(self) -> NodeKeys:
        return NodeKeys.load(self.files.keys)

    def work(self, do: Callable[[LocalNode], Awaitable[Any]]) -> Any:
        async def run() -> Any:
            async with local_node(self.settings) as node:
                return await do(node)

        return asyncio.run(run())


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = create_node(tmp_path / "node", member="node.example", keys=None, port=8080, demo=True)
    world = World(made.folder)
    world.work(lambda node: _fill(node.rooms, world))
    shutil.copytree(made.data, world.before)
    return world


async def _fill(rooms: Rooms, world: World) -> None:
    async def write(**resource: Any) -> str:
        raw = json.dumps(resource).encode()
        type_ = resource["resourceType"]
        done = await ingest.create(rooms, HOSPITAL, REQUEST, type_, raw)
        indexes.append(done.index)
        return f"{type_}/{done.id}"

    def result(subject: str, **more: Any) -> dict[str, Any]:
        return {
            "resourceType": "Observation",
            "status": "final",
            "code": {"text": "Creatinine"},
            "subject": {"reference": subject},
            **more,
        }

    indexes: list[int] = []
    doomed = await write(resourceType="Patient", name=[{"family": "Doomed"}])
    one = await write(**result(doomed))
    # Sealed under a key of its own: a sensitivity class.
    opioid = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F11.20"}
    two = await write(
        resourceType="Condition", code={"coding": [opioid]}, subject={"reference": doomed}
    )
    changed = {**result(doomed), "id": one.partition("/")[2], "status": "amended"}
    raw = json.dumps(changed).encode()
    done = await ingest.update(rooms, HOSPITAL, REQUEST, "Observation", changed["id"], raw)
    indexes.append(done.index)
    mine = tuple(indexes)
    other = await write(resourceType="Patient", name=[{"family": "Other"}])
    three = await write(**result(other))
    about_both = len(indexes)
    both = await write(**result(other, performer=[{"reference": doomed}]))
    type_, _, id_ = one.partition("/")
    await disclose.read(rooms, HOSPITAL, REQUEST, type_, id_)
    await rooms.follower.reached(rooms.reader.head().size)
    world.doomed, world.other = (p.partition("/")[2] for p in (doomed, other))
    world.places, world.kept = (doomed, one, two, both), (other, three)
    world.indexes = (*mine, indexes[about_both])


def _shred(world: World) -> None:
    words = ["keys", "shred", "--patient", world.doomed, "--now"]
    assert run([*words, "--config", str(world.folder / "bridge.toml")]) == 0


def _key_sets(world: World) -> list[KeySet]:
    """Every key set that the node has today."""
    keys = world.keys
    store = KeyStore(world.files.key_store, keys)
    db = key_db.connect(world.files.key_store)
    [number] = keys.generations()
    generation = Generation(number, keys.master, keys.generation(number))
    handles = [generation.unwrap(box)[:16] for (box,) in db.execute("SELECT box FROM keyset")]
    found = [key_set for handle in handles if (key_set := store.by_handle(handle)) is not None]
    db.close()
    store.close()
    assert len(found) == len(handles) > 0
    return found


def test_the_patient_was_readable_before(world: World) -> None:
    assert world.work(lambda node: _readable(node.rooms, world.places)) == list(world.places)


async def _readable(rooms: Rooms, places: tuple[str, ...]) -> list[str]:
    found = []
    for place in places:
        type_, _, id_ = place.partition("/")
        try:
            await disclose.read(rooms, HOSPITAL, REQUEST, type_, id_)
        except NotFound:
            continue
        found.append(place)
    return found


def test_the_patient_is_gone_and_the_other_patient_stays(world: World) -> None:
    _shred(world)
    assert world.work(lambda node: _readable(node.rooms, world.places)) == []
    assert world.work(lambda node: _readable(node.rooms, world.kept)) == list(world.kept)


def test_the_ledger_still_verifies_and_says_how_many_are_gone(world: World) -> None:
    _shred(world)
    found = verify_log(world.files.ledger, ed25519_holds, jobs=1)
    assert found.erased == len(world.indexes) == 5
    reader = Reader(world.files.ledger)
    assert [reader.row(index).body for index in world.indexes] == [None] * 5
    assert len(tombstones(reader)) == 2
    reader.close()


def test_the_old_key_store_is_refused_by_the_keys_of_today(world: World) -> None:
    _shred(world)
    with pytest.raises(Corrupt) as refused:
        KeyStore(world.before / "keys.db", world.keys)
    assert refused.value.code == "key-epoch"


def test_no_box_of_the_old_key_store_opens_with_any_secret_of_today(world: World) -> None:
    _shred(world)
    keys = world.keys
    db = key_db.connect(world.before / "keys.db")
    boxes = [b for table in ("pek", "keyset") for (b,) in db.execute(f"SELECT box FROM {table}")]
    old = key_db.meta(db, "generation")
    db.close()
    assert boxes
    with pytest.raises(BridgeError):
        keys.generation(old)
    secrets = [p.read_text().split()[3] for p in keys.folder.glob("*.key")]
    for secret in map(bytes.fromhex, secrets):
        for number in (old, *keys.generations()):
            generation = Generation(number, keys.master, secret)
            for box in boxes:
                with pytest.raises(Corrupt):
                    generation.unwrap(box)


def test_no_old_entry_of_the_patient_opens_with_any_key_set_of_today(world: World) -> None:
    _shred(world)
    reader = Reader(world.before / "ledger.db")
    store = KeyStore(world.files.key_store, world.keys)
    opener = Opener(world.keys, store)
    sets = _key_sets(world)
    for index in world.indexes:
        row = reader.row(index)
        core, body_hash, _ = split_leaf(row.leaf)
        assert row.body is not None
        with pytest.raises(NotFound) as shredded:
            opener.open(row.leaf, row.body, row.box, row.hint)
        assert shredded.value.code == "shredded"
        for key_set in sets:
            with pytest.raises(InvalidUnwrap):
                aes_key_unwrap(key_set.wrap_key(entry_id(core, body_hash)), row.box)
    reader.close()
    store.close()


def test_the_old_search_view_does_not_open_with_the_key_of_today(world: World) -> None:
    key = world.keys.locator_key()
    Locator(world.before / "locator.db", key, fingerprint()).close()
    _shred(world)
    fresh = world.keys.locator_key()
    assert fresh != key
    with pytest.raises(Corrupt) as refused:
        Locator(world.before / "locator.db", fresh, fingerprint())
    assert refused.value.code == "locator-key"
    locator = Locator(world.files.locator, fresh, fingerprint())
    assert locator.entries_of(world.doomed) == []
    assert locator.entries_of(world.other) != []
    locator.close()


def test_no_file_of_today_holds_a_body_or_a_key_box_of_the_patient(world: World) -> None:
    _shred(world)
    reader = Reader(world.before / "ledger.db")
    gone = [part for i in world.indexes for row in (reader.row(i),) for part in (row.body, row.box)]
    reader.close()
    stored = [p.read_bytes() for p in world.files.data.iterdir() if p.is_file()]
    for part in gone:
        assert part
        # A long body lies in pieces on several pages: its start is enough to tell.
        assert not any(part[:64] in data for data in stored)


def test_the_audit_trail_stays_readable_unless_it_is_erased_too(world: World) -> None:
    _shred(world)
    assert world.work(lambda node: _audited(node.rooms, world.doomed)) >= 4
    world.work(
        lambda node: erase(
            node.rooms, node.index, world.doomed, ShredScope.RECORD_AND_AUDIT, override=BOTH
        )
    )
    assert world.work(lambda node: _audited(node.rooms, world.doomed)) == 0
    assert verify_log(world.files.ledger, jobs=1).audits > 0


async def _audited(rooms: Rooms, patient: str) -> int:
    """Audit rows about the patient that open."""
    count = 0
    handle = rooms.store.key_set(audit_pairs(patient)).handle
    for number in rooms.locator.audit_of(handle):
        row = rooms.reader.audit_row(number)
        rooms.sealer.open_audit(row.sealed, row.hint)
        count += 1
    return count


def test_a_hold_stops_the_erasure_before_anything_happens(world: World) -> None:
    size = verify_log(world.files.ledger, jobs=1).head.size
    epoch = world.keys.epochs()
    scope = ShredScope.RECORD_AND_AUDIT
    with pytest.raises(Conflict) as held:
        world.work(lambda node: erase(node.rooms, node.index, world.doomed, scope))
    assert held.value.code == "held"
    assert world.keys.epochs() == epoch
    assert verify_log(world.files.ledger, jobs=1).head.size == size
    assert world.work(lambda node: _readable(node.rooms, world.places)) == list(world.places)


@pytest.mark.parametrize("scope", [ShredScope.RECORD, ShredScope.RECORD_AND_AUDIT])
def test_an_unknown_patient_leaves_no_receipt(world: World, scope: ShredScope) -> None:
    size = verify_log(world.files.ledger, jobs=1).head.size
    with pytest.raises(NotFound) as nothing:
        world.work(lambda node: erase(node.rooms, node.index, "nobody", scope, override=BOTH))
    assert nothing.value.code == "nothing-to-erase"
    assert verify_log(world.files.ledger, jobs=1).head.size == size


class _Stopped(Exception):
    """The process stops here."""


@pytest.mark.parametrize("step", ["keys", "ledger", "locator-key"])
def test_an_erasure_that_stopped_halfway_is_finished_by_another(world: World, step: str) -> None:
    def stop(at: str) -> None:
        if at == step:
            raise _Stopped

    async def halfway(node: LocalNode) -> None:
        node.rooms.on_step = stop
        await erase(node.rooms, node.index, world.doomed)

    with pytest.raises(_Stopped):
        world.work(halfway)

    async def again(node: LocalNode) -> None:
        await erase(node.rooms, node.index, world.doomed)

    if step == "locator-key":
        # Everything is done but the file that no key opens any more: it is built anew.
        with pytest.raises(NotFound):
            world.work(again)
    else:
        world.work(again)
    found = verify_log(world.files.ledger, ed25519_holds, jobs=1)
    assert found.erased == len(world.indexes)
    assert world.work(lambda node: _readable(node.rooms, world.places)) == []
    assert world.work(lambda node: _readable(node.rooms, world.kept)) == list(world.kept)
    with pytest.raises(Corrupt):
        Locator(world.before / "locator.db", world.keys.locator_key(), fingerprint())


@asynccontextmanager
async def _erased(world: World) -> AsyncIterator[LocalNode]:
    async with local_node(world.settings) as node:
        for index in world.indexes:
            node.rooms.bodies.get(index)
        await erase(node.rooms, node.index, world.doomed)
        yield node


async def test_what_the_process_remembered_is_forgotten(world: World) -> None:
    async with _erased(world) as node:
        for index in world.indexes:
            with pytest.raises(NotFound):
                node.rooms.bodies.get(index)
