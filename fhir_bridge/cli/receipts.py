"""What a shred did and what it could not reach, for machines and for people. Names nobody."""

from __future__ import annotations

from typing import Any

from fhir_bridge.clock import instant
from fhir_bridge.exchange.erase import Erased
from fhir_bridge.keys import Receipt

__all__ = ["generations", "receipt", "told"]


def generations(keys: Receipt) -> dict[str, Any]:
    """What every rewriting of the key store says."""
    return {
        "from_generation": keys.from_generation,
        "to_generation": keys.to_generation,
        "epoch": keys.epoch,
        "rows_rewritten": keys.rows_rewritten,
    }


def receipt(done: Erased) -> dict[str, Any]:
    """The receipt for machines."""
    keys = done.keys
    return {
        **generations(keys),
        "scope": keys.scope,
        "keys_destroyed": keys.peks_destroyed,
        "key_sets_destroyed": keys.sets_destroyed,
        "entries_erased": done.entries,
        "versions_forgotten": done.versions,
        "receipt": done.receipt,
        "at": instant(keys.at_us),
        "overridden": keys.overridden,
        "last_key_backup": instant(keys.last_backup_us) if keys.last_backup_us else None,
        "backup_expires": "unknown: backups are yours to expire",
    }


def told(done: Erased) -> str:
    """The receipt for people, with what it cannot promise."""
    keys, said = done.keys, receipt(done)
    audit = (
        "kept, with its keys: who saw what stays accountable"
        if keys.scope == "record"
        else "its rows stay in the append-only table; their keys are gone, so nothing opens them"
    )
    made = said["last_key_backup"]
    backup = f"last made {made}; " if made else "none was made by this node; "
    return (
        f"erased, with a receipt on the ledger at entry {done.receipt}\n"
        f"  keys         {keys.peks_destroyed} keys and {keys.sets_destroyed} key sets destroyed\n"
        f"  generation   {keys.from_generation} is destroyed, {keys.to_generation} in force\n"
        f"  entries      {done.entries} bodies and key boxes deleted\n"
        f"  search view  {done.versions} versions removed, written anew under a new key\n"
        f"  audit trail  {audit}\n"
        f"  key backups  {backup}when they expire is {said['backup_expires']}\n"
        "  copies       whoever was given a key or a copy may have kept it, exports included"
    )
