"""A whole node into a folder and back.

    BACKUP/ledger.db   BACKUP/keys/ (a key backup)   BACKUP/smart.db   BACKUP/bridge.toml
    BACKUP/policy.txt

The ledger is copied before the keys: a key is durable before anything is sealed under it, so
the later copy has the key of every entry. Never in it: the search view (built anew) and the
head memory (a copy of it would agree with any old ledger).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from fhir_bridge.assembly.node import open_keys
from fhir_bridge.assembly.owner import owned
from fhir_bridge.assembly.places import Places
from fhir_bridge.cli.files import new_folder, read_file, write_file
from fhir_bridge.cli.key_copies import back_up, put_back, shred_again
from fhir_bridge.clock import Clock
from fhir_bridge.config import Settings, load
from fhir_bridge.errors import BridgeError, Conflict, Corrupt, Unavailable
from fhir_bridge.keys import KeyStore
from fhir_bridge.ledger import Head, HeadMemory, backup, restore

__all__ = ["RestoredNode", "back_up_node", "restore_node"]

_KEYS = "keys"


@dataclass(frozen=True, slots=True)
class RestoredNode:
    """What was put in place."""

    config: Path
    head: Head
    remembered: bool
    """Whether a head memory was there to hold the ledger against."""
    keys_restored: bool
    """False when the node's key folder was still there."""
    again: int
    """Keys that were shredded again."""


def back_up_node(settings: Settings, folder: Path) -> tuple[Head, int]:
    """(head, key epoch) of the backup in the new ``folder``. A server may run."""
    places = Places.of(settings)
    open_keys(settings)
    new_folder(folder)
    head = backup(places.ledger, folder / "ledger.db")
    report = back_up(settings, folder / _KEYS)
    if places.smart.exists():
        _copy_database(places.smart, folder / "smart.db")
    if settings.source is not None:
        for source in (settings.source, settings.source.with_name("policy.txt")):
            name = "bridge.toml" if source == settings.source else source.name
            if source.exists():
                write_file(folder / name, read_file(source))
    return head, report.epoch


def restore_node(folder: Path, config: Path) -> RestoredNode:
    """Put the backup in ``folder`` in place. Conflict where a node is.

    Corrupt (``older-copy``) when the head memory knows of more than the backup holds: then
    nothing is left in place.
    """
    if not (folder / "ledger.db").is_file():
        raise Unavailable("there is no backup of a node here", code="backup", where=str(folder))
    if not config.exists():
        config.parent.mkdir(parents=True, exist_ok=True)
        for name in ("bridge.toml", "policy.txt"):
            if (folder / name).exists():
                target = config if name == "bridge.toml" else config.with_name(name)
                write_file(target, read_file(folder / name))
    settings = load(config)
    places = Places.of(settings)
    for path in (places.ledger, places.key_store, places.smart):
        if path.exists():
            raise Conflict(
                "there is a node here; nothing was restored", code="node-exists", where=str(path)
            )
    places.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with owned(places.data):
        try:
            return _put_in_place(folder, settings, config)
        except BaseException:
            for path in (places.ledger, places.key_store, places.smart):
                for suffix in ("", "-wal", "-shm", "-epoch", ".size"):
                    path.with_name(path.name + suffix).unlink(missing_ok=True)
            raise


def _put_in_place(folder: Path, settings: Settings, config: Path) -> RestoredNode:
    places = Places.of(settings)
    memory = HeadMemory(places.head_memory)
    remembered = memory.recall() is not None
    try:
        head = restore(folder / "ledger.db", places.ledger, memory)
    except Corrupt as error:
        raise Corrupt(
            f"{error.message}. Nothing was restored: a node must not go on from here, because"
            " what it signed since would contradict it; take a newer backup",
            code=error.code,
            where=str(places.head_memory),
        ) from None
    keys_restored = not (places.keys / "epoch").exists()
    if keys_restored:
        put_back(settings, folder / _KEYS)
    else:
        _fit_store(folder / _KEYS / "keys.db", settings)
    if (folder / "smart.db").exists():
        _copy_database(folder / "smart.db", places.smart)
    return RestoredNode(config, head, remembered, keys_restored, shred_again(settings))


def _fit_store(copy: Path, settings: Settings) -> None:
    """The key store beside a key folder that was never lost; Corrupt when it is too old."""
    places = Places.of(settings)
    write_file(places.key_store, read_file(copy))
    try:
        KeyStore(places.key_store, open_keys(settings), Clock()).close()
    except BridgeError as error:
        raise Corrupt(
            f"the key store of the backup does not fit the key folder: {error.message}",
            code=error.code,
            where=str(places.keys),
        ) from None


def _copy_database(source: Path, target: Path) -> None:
    """An SQLite file as it is at this moment, whoever writes to it; mode 0600."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as old,
            closing(sqlite3.connect(target)) as new,
        ):
            old.backup(new)
    except sqlite3.Error:
        raise Unavailable("smart.db cannot be copied", code="smart-db") from None
