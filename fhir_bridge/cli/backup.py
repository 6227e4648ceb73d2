"""``backup``, ``restore`` and ``upgrade`` of a whole node."""

from __future__ import annotations

import argparse
from pathlib import Path

from fhir_bridge.cli.words import Commands, command, say, with_config


def declare(commands: Commands) -> None:
    """Declare ``backup``, ``restore`` and ``upgrade``."""
    backup = command(
        commands,
        "backup",
        _backup,
        "copy ledger, keys, clients and settings into a new folder; a server may run",
        "fhir-bridge backup /mnt/safe/node-2026-01",
    )
    restore = command(
        commands,
        "restore",
        _restore,
        "put a backup in place where no node is; the settings come with it if there are none",
        "fhir-bridge restore /mnt/safe/node-2026-01 --config mybridge/bridge.toml",
    )
    for parser in (backup, restore):
        with_config(parser)
        parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the backup")
    upgrade = command(
        commands,
        "upgrade",
        _upgrade,
        "bring the ledger file to this program's layout; no server may run",
        "fhir-bridge upgrade --check",
    )
    with_config(upgrade)
    upgrade.add_argument(
        "--check", action="store_true", help="change nothing; exit code 1 when it is needed"
    )


def _backup(arguments: argparse.Namespace) -> int:
    from fhir_bridge.cli.node_copies import back_up_node
    from fhir_bridge.config import load

    head, epoch = back_up_node(load(arguments.config), arguments.folder)
    result = {
        "folder": str(arguments.folder),
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "key_epoch": epoch,
    }
    text = (
        f"{head.size:,} entries and the keys of epoch {epoch} in {arguments.folder}\n"
        "It holds every secret of the node in the clear: encrypt it, keep it apart, let it expire"
        " (it brings shredded keys back). The search view is not in it: it is built anew.\n"
        "The head memory is not in it either, so that a restore can be held against it."
    )
    say(arguments, result, text)
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    from fhir_bridge.cli.node_copies import restore_node

    done = restore_node(arguments.folder, arguments.config)
    result = {
        "config": str(done.config),
        "size": done.head.size,
        "root": done.head.root.hex(),
        "head_memory": done.remembered,
        "keys_restored": done.keys_restored,
        "keys_destroyed_again": done.again,
    }
    memory = (
        "the head memory agrees: nothing that was signed is missing"
        if done.remembered
        else "there was no head memory here: what was signed after this backup is not noticed as"
        " missing, and whoever kept a later checkpoint can prove it"
    )
    keys = "restored" if done.keys_restored else "the key folder that was there fits"
    text = (
        f"restored {done.head.size:,} entries\n"
        f"  settings     {done.config}\n"
        f"  keys         {keys}; {done.again} shredded keys destroyed again\n"
        f"  head memory  {memory}\n"
        "  search view  built anew at the next start\n"
        f"next: fhir-bridge ledger verify --signatures --config {done.config}"
    )
    say(arguments, result, text)
    return 0


def _upgrade(arguments: argparse.Namespace) -> int:
    from fhir_bridge.assembly.owner import owned
    from fhir_bridge.assembly.places import Places
    from fhir_bridge.config import load
    from fhir_bridge.errors import Unavailable
    from fhir_bridge.ledger import Reader, upgrade

    places = Places.of(load(arguments.config))
    needed, why = False, ""
    try:
        Reader(places.ledger).close()
    except Unavailable as error:
        if error.code != "ledger-version":
            raise
        needed, why = True, error.message
    if arguments.check or not needed:
        say(arguments, {"needed": needed, "done": False}, why or "nothing to do: up to date")
        return 1 if needed else 0
    with owned(places.data):
        before = upgrade(places.ledger)
    say(arguments, {"needed": True, "done": True, "from": before}, f"upgraded from {before}")
    return 0
