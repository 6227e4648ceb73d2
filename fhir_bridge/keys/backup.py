"""A copy of the node keys and of the key store together, and the way back.

    BACKUP/node-keys/   the key folder
    BACKUP/keys.db      the key store
    BACKUP/manifest.json   SHA-256 of every file, epoch, generation, when

A backup holds every secret of the node in the clear (mode 0600), and it brings shredded keys
back as long as it exists: keep it apart, and let it expire.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhir_bridge.errors import Conflict, Corrupt, Unavailable
from fhir_bridge.keys import key_files
from fhir_bridge.keys.node_keys import NodeKeys
from fhir_bridge.keys.store import KeyStore

__all__ = ["BackupReport", "backup", "restore"]

_VERSION = 1
_STORE = "keys.db"
_FOLDER = "node-keys"


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup holds, or what was restored from it."""

    epoch: int
    generation: int
    made_at_us: int
    files: int


def backup(target: Path, node_keys: NodeKeys, store: KeyStore, now_us: int) -> BackupReport:
    """Writes a backup into a new folder, durable on return; Conflict where one is."""
    if target.exists() and any(target.iterdir()):
        raise Conflict("the backup folder is not empty", code="backup")
    copy = target / _FOLDER
    copy.mkdir(mode=0o700, parents=True)
    with node_keys.lock():
        store.backup_to(target / _STORE)
        for source in sorted(node_keys.folder.iterdir()):
            if source.suffix in (".key", ".pem") or source.name == "epoch":
                key_files.write_file(copy / source.name, key_files.read_private(source))
        epoch, generation = store.epoch, store.generation
    hashes = {
        str(file.relative_to(target)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(target.rglob("*"))
        if file.is_file()
    }
    manifest = {
        "version": _VERSION,
        "epoch": epoch,
        "generation": generation,
        "made_at_us": now_us,
        "files": hashes,
    }
    key_files.write_file(target / "manifest.json", json.dumps(manifest, indent=2).encode())
    return BackupReport(epoch, generation, now_us, len(hashes))


def restore(source: Path, folder: Path, store_path: Path) -> BackupReport:
    """Puts a backup in place where nothing is yet and opens it once to be sure.

    Corrupt when a file is missing or changed. What was shredded after the backup is back:
    `KeyStore.replay` the tombstones of the ledger before anything is served.
    """
    manifest = _manifest(source)
    if store_path.exists() or (folder.exists() and any(folder.iterdir())):
        raise Conflict("there are keys already; nothing was restored", code="restore")
    contents: dict[str, bytes] = {}
    for name, expected in manifest["files"].items():
        path = source / name
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise Corrupt(f"backup file {name} is missing or changed", code="backup")
        contents[name] = path.read_bytes()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, content in contents.items():
        place = store_path if name == _STORE else folder / Path(name).name
        key_files.write_file(place, content)
    KeyStore(store_path, NodeKeys.load(folder)).close()
    return BackupReport(
        manifest["epoch"], manifest["generation"], manifest["made_at_us"], len(contents)
    )


def _manifest(source: Path) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads((source / "manifest.json").read_bytes())
    except OSError:
        raise Unavailable("no backup manifest there", code="backup") from None
    except ValueError:
        raise Corrupt("the backup manifest is damaged", code="backup") from None
    if manifest.get("version") != _VERSION or _STORE not in manifest.get("files", {}):
        raise Corrupt("the backup manifest is not one of ours", code="backup")
    return manifest
