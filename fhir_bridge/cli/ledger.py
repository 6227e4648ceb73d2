"""``ledger``: verify the whole log, show its head or one entry. Reads only."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fhir_bridge.cli.words import Commands, command, group, say, with_config

if TYPE_CHECKING:
    from fhir_bridge.ledger import StoredRow


def declare(commands: Commands) -> None:
    """Declare ``ledger verify|head|show``."""
    verbs = group(commands, "ledger", "verify the ledger, show its head or an entry")
    verify = command(
        verbs,
        "verify",
        _verify,
        "walk the whole ledger; name the first thing that is not whole",
        "fhir-bridge ledger verify --signatures --against checkpoint.txt",
    )
    with_config(verify)
    verify.add_argument(
        "--signatures", action="store_true", help="check every author's signature as well"
    )
    verify.add_argument(
        "--against",
        type=Path,
        metavar="CHECKPOINT",
        help="a checkpoint kept elsewhere that the ledger must extend",
    )
    head = command(verbs, "head", _head, "size, root and checkpoint", "fhir-bridge ledger head")
    with_config(head)
    show = command(
        verbs, "show", _show, "what one entry says without any key", "fhir-bridge ledger show 7"
    )
    with_config(show)
    show.add_argument("index", type=int, metavar="INDEX", help="position on the ledger, from 0")


def _verify(arguments: argparse.Namespace) -> int:
    from fhir_bridge.cli.ledger_verify import run

    return run(arguments)


def _head(arguments: argparse.Namespace) -> int:
    from fhir_bridge.assembly.places import Places
    from fhir_bridge.config import load
    from fhir_bridge.ledger import Reader

    reader = Reader(Places.of(load(arguments.config)).ledger)
    try:
        head = reader.head()
        signed, audits = reader.checkpoint_size(), reader.audit_count()
    finally:
        reader.close()
    text = (
        f"{head.origin}\n  size        {head.size:,}\n  root        {head.root.hex()}\n"
        f"  checkpoint  {signed:,}\n  audit rows  {audits:,}"
    )
    shown = {"origin": head.origin, "size": head.size, "root": head.root.hex()}
    say(arguments, {**shown, "checkpoint_size": signed, "audit_rows": audits}, text)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from fhir_bridge.assembly.places import Places
    from fhir_bridge.config import load
    from fhir_bridge.ledger import Reader

    reader = Reader(Places.of(load(arguments.config)).ledger)
    try:
        row = reader.row(arguments.index)
        receipt = reader.gone(arguments.index) if row.body is None else None
    finally:
        reader.close()
    shown = _entry(row, receipt)
    width = max(map(len, shown))
    text = "\n".join(f"{name.replace('_', ' '):<{width}}  {shown[name]}" for name in shown)
    say(arguments, shown, text)
    return 0


def _entry(row: StoredRow, receipt: int | None) -> dict[str, Any]:
    from fhir_bridge.clock import instant
    from fhir_bridge.fbe1 import Kind, decode_core, entry_id, parse_control, split_leaf

    core_bytes, body_hash, _ = split_leaf(row.leaf)
    core = decode_core(core_bytes)
    shown: dict[str, Any] = {
        "index": row.index,
        "kind": core.kind.name.lower(),
        "entry_id": entry_id(core_bytes, body_hash).hex(),
        "member": core.member,
        "author_key": core.key_id.hex(),
        "author_seq": core.seq,
        "day": instant(core.day * 86_400_000_000)[:10],
        "claims": len(core.claims),
        "leaf_bytes": len(row.leaf),
    }
    if row.body is None:
        return {**shown, "body": f"erased; receipt at entry {receipt}"}
    if core.kind is Kind.CONTROL:
        return {**shown, "says": parse_control(row.body)}
    return {**shown, "body": f"sealed, {len(row.body)} bytes"}
