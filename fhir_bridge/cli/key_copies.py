"""Key backups on the way out and on the way in; what was shredded stays shredded."""

from __future__ import annotations

from pathlib import Path

from fhir_bridge.assembly.node import open_keys
from fhir_bridge.assembly.places import Places
from fhir_bridge.cli.files import new_folder
from fhir_bridge.clock import Clock
from fhir_bridge.config import Settings
from fhir_bridge.errors import Conflict
from fhir_bridge.exchange.erase import tombstones
from fhir_bridge.keys import BackupReport, KeyStore, backup, restore
from fhir_bridge.ledger import Reader

__all__ = ["back_up", "put_back", "shred_again"]


def back_up(settings: Settings, folder: Path) -> BackupReport:
    """Copy node keys and key store into a new folder; a running server need not stop."""
    keys, clock = open_keys(settings), Clock()
    new_folder(folder)
    store = KeyStore(Places.of(settings).key_store, keys, clock)
    try:
        return backup(folder, keys, store, clock.now_us())
    finally:
        store.close()


def put_back(settings: Settings, folder: Path) -> BackupReport:
    """Put a key backup in place; Conflict where a key folder or a key store is."""
    places = Places.of(settings)
    for path, what in ((places.keys / "epoch", "a key folder"), (places.key_store, "a key store")):
        if path.exists():
            raise Conflict(
                f"there is {what} already; nothing was restored: move it away first, if you mean"
                " to replace it",
                code="restore",
                where=str(path),
            )
    # Written before the keys were lost, and needed after: it stands aside for a moment.
    memory, aside = places.head_memory, places.data / "head-memory.aside"
    inside = memory.parent == places.keys and memory.exists()
    if inside:
        memory.replace(aside)
    try:
        return restore(folder, places.keys, places.key_store)
    finally:
        if inside:
            aside.replace(memory)


def shred_again(settings: Settings) -> int:
    """Destroy what the ledger has a shred receipt for; how many keys the backup brought back."""
    places = Places.of(settings)
    if not places.ledger.exists():
        return 0
    reader = Reader(places.ledger)
    try:
        named = tombstones(reader)
    finally:
        reader.close()
    if not named:
        return 0
    store = KeyStore(places.key_store, open_keys(settings), Clock())
    try:
        return store.replay(named).peks_destroyed
    finally:
        store.close()
