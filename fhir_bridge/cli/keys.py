"""``keys``: rotate, shred, back up, restore."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from fhir_bridge.cli.words import Commands, command, group, say, with_config

if TYPE_CHECKING:
    from fhir_bridge.keys import Override


def declare(commands: Commands) -> None:
    """Declare ``keys rotate|shred|backup|restore``."""
    verbs = group(commands, "keys", "rotate, shred, back up or restore keys")
    about = "put every key under a new generation key; the old one is destroyed"
    rotate = command(verbs, "rotate", _rotate, about, "fhir-bridge keys rotate")
    with_config(rotate)
    _declare_shred(verbs)
    backup = command(
        verbs,
        "backup",
        _backup,
        "copy node keys and key store: every secret of the node, in the clear",
        "fhir-bridge keys backup /mnt/safe/keys-2026-01",
    )
    about = "put a key backup in place where no keys are"
    example = "fhir-bridge keys restore /mnt/safe/keys-2026-01"
    restore = command(verbs, "restore", _restore, about, example)
    for parser in (backup, restore):
        with_config(parser)
        parser.add_argument("folder", type=Path, metavar="DIR", help="folder of the backup")


def _declare_shred(verbs: Commands) -> None:
    shred = command(
        verbs,
        "shred",
        _shred,
        "erase a patient for good: keys, bodies, search values; no server may run",
        "fhir-bridge keys shred --patient ID --now",
    )
    with_config(shred)
    shred.add_argument("--patient", required=True, metavar="ID", help="logical id of the Patient")
    shred.add_argument(
        "--scope",
        choices=("record", "record+audit"),
        default="record",
        help="record+audit destroys the keys of the audit trail too: kept six years, so it"
        " takes --by twice and a --reason (default: record)",
    )
    shred.add_argument("--now", action="store_true", help="required: there is no way back")
    shred.add_argument("--reason", default="", metavar="TEXT", help="why a hold is overridden")
    shred.add_argument(
        "--by", action="append", default=[], metavar="NAME", help="who overrides; two people"
    )


def _rotate(arguments: argparse.Namespace) -> int:
    from fhir_bridge.assembly.node import open_keys
    from fhir_bridge.assembly.places import Places
    from fhir_bridge.cli.receipts import generations
    from fhir_bridge.clock import Clock
    from fhir_bridge.config import load
    from fhir_bridge.keys import KeyStore

    settings = load(arguments.config)
    store = KeyStore(Places.of(settings).key_store, open_keys(settings), Clock())
    try:
        receipt = store.rotate()
    finally:
        store.close()
    text = (
        f"generation {receipt.from_generation} is destroyed, {receipt.to_generation} in force;"
        f" {receipt.rows_rewritten:,} rows written anew"
    )
    say(arguments, generations(receipt), text)
    return 0


def _shred(arguments: argparse.Namespace) -> int:
    import asyncio

    from fhir_bridge.assembly.local import local_node
    from fhir_bridge.assembly.serve import check_node
    from fhir_bridge.cli.receipts import receipt, told
    from fhir_bridge.config import load
    from fhir_bridge.errors import Incorrect
    from fhir_bridge.exchange.erase import Erased, erase
    from fhir_bridge.keys import ShredScope

    if not arguments.now:
        raise Incorrect("erasing cannot be undone: say --now", code="confirm", where="--now")
    settings = load(arguments.config)
    patient = arguments.patient.removeprefix("Patient/")
    scope, override = ShredScope(arguments.scope), _override(arguments)
    check_node(settings)

    async def run() -> Erased:
        async with local_node(settings) as node:
            return await erase(node.rooms, node.index, patient, scope, override=override)

    done = asyncio.run(run())
    say(arguments, receipt(done), told(done))
    return 0


def _override(arguments: argparse.Namespace) -> Override | None:
    """Two people and a reason, where any of it was given."""
    from fhir_bridge.keys import Override

    if not arguments.by:
        return None
    first, second = (*arguments.by, "")[:2]
    return Override(first, second, arguments.reason)


def _backup(arguments: argparse.Namespace) -> int:
    from fhir_bridge.cli.key_copies import back_up
    from fhir_bridge.config import load

    report = back_up(load(arguments.config), arguments.folder)
    shown = {"folder": str(arguments.folder), "epoch": report.epoch, "files": report.files}
    text = (
        f"{report.files} files of epoch {report.epoch} in {arguments.folder}, every secret in the"
        " clear: keep it apart from the data, and let it expire (it brings shredded keys back)"
    )
    say(arguments, shown, text)
    return 0


def _restore(arguments: argparse.Namespace) -> int:
    from fhir_bridge.assembly.owner import owned
    from fhir_bridge.assembly.places import Places
    from fhir_bridge.cli.key_copies import put_back, shred_again
    from fhir_bridge.config import load

    settings = load(arguments.config)
    with owned(Places.of(settings).data):
        report = put_back(settings, arguments.folder)
        again = shred_again(settings)
    shown = {"epoch": report.epoch, "files": report.files, "keys_destroyed_again": again}
    text = (
        f"{report.files} files of epoch {report.epoch} are in place;"
        f" {again} keys that were shredded after the backup are destroyed again"
    )
    say(arguments, shown, text)
    return 0
