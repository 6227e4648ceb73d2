"""``ledger verify``: the whole log against itself, the head memory and a kept checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from fhir_bridge.assembly.node import open_keys
from fhir_bridge.assembly.places import Places
from fhir_bridge.cli.files import read_file
from fhir_bridge.cli.meter import meter
from fhir_bridge.cli.words import say
from fhir_bridge.config import Settings, load
from fhir_bridge.errors import BridgeError, Corrupt
from fhir_bridge.keys import ed25519_holds, mldsa44_holds
from fhir_bridge.ledger import (
    Head,
    HeadMemory,
    Reader,
    VerifiedLog,
    Verifiers,
    log_keys,
    parse_checkpoint,
    parse_policy,
    policy_text,
    verify_log,
)

__all__ = ["run"]


def run(arguments: argparse.Namespace) -> int:
    """Verify and say what was found; the first bad thing is raised."""
    settings = load(arguments.config)
    places = Places.of(settings)
    try:
        remembered = HeadMemory(places.head_memory).recall()
        found = verify_log(
            places.ledger,
            ed25519_holds if arguments.signatures else None,
            progress=meter("entries"),
            remembered=remembered,
        )
        against = _check_against(settings, arguments.against) if arguments.against else None
    except BridgeError as error:
        if arguments.json:
            wrong = {"whole": False, "where": error.where, "code": error.code}
            say(arguments, {**wrong, "message": error.message}, "")
        raise
    _tell(arguments, found, remembered, against)
    return 0


def _tell(
    arguments: argparse.Namespace,
    found: VerifiedLog,
    remembered: Head | None,
    against: Head | None,
) -> None:
    head = found.head
    checked = "every author's signature checked" if found.signatures else "not checked"
    memory = f"size {remembered.size:,}" if remembered else None
    lines = [
        f"the ledger is whole: {head.size:,} entries, {found.audits:,} audit rows",
        f"  root         {head.root.hex()}",
        f"  signatures   {checked}",
        f"  erased       {found.erased:,} bodies, each with a receipt",
        f"  head memory  {memory or 'none: history can be rewritten by this operator'}",
    ]
    if against:
        lines.append(f"  extends      the checkpoint of size {against.size:,}")
    result = {
        "whole": True,
        "origin": head.origin,
        "size": head.size,
        "root": head.root.hex(),
        "audit_rows": found.audits,
        "erased": found.erased,
        "signatures": found.signatures,
        "head_memory_size": remembered.size if remembered else None,
        "against_size": against.size if against else None,
    }
    say(arguments, result, "\n".join(lines))


def _check_against(settings: Settings, path: Path) -> Head:
    """The head of a checkpoint of this log that the ledger extends; Corrupt when it does not."""
    checkpoint = parse_checkpoint(read_file(path))
    keys = log_keys(settings.node.origin, open_keys(settings).note_signers())
    own = parse_policy(policy_text(keys))
    own.accept(checkpoint, Verifiers(ed25519_holds, mldsa44_holds))
    head, reader = checkpoint.head, Reader(Places.of(settings).ledger)
    try:
        size = reader.head().size
        if head.size > size:
            raise Corrupt(
                f"the ledger has {size} entries, the checkpoint {head.size}: an older copy",
                code="older-copy",
                where="head",
            )
        if reader.root_at(head.size) != head.root:
            raise Corrupt(
                f"the ledger does not extend the checkpoint of size {head.size}",
                code="rewritten",
                where="head",
            )
    finally:
        reader.close()
    return head
