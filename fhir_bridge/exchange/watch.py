"""What anybody, an auditor or an operator may see of the log and of this node.

Hash tiles and checkpoints are public and move by the clock; entry tiles and proofs by position
are for auditors (the door has checked that). Nothing here names a patient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_bridge.errors import NotFound
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.ledger import parse_tile_path, prove

__all__ = ["checkpoint", "entry_proof", "entry_tile", "hash_tile", "metrics", "ready"]


def checkpoint(rooms: Rooms) -> str:
    """The newest signed checkpoint; NotFound before the first."""
    note = rooms.reader.checkpoint()
    if note is None:
        raise NotFound("no checkpoint has been signed yet; ask again in a few seconds")
    return note.decode()


def hash_tile(rooms: Rooms, path: str) -> bytes:
    """A hash tile ``L/N[.p/W]`` of the published tree (C2SP tlog-tiles)."""
    tile = parse_tile_path(path)
    if tile.level is None:
        raise NotFound("there is no such tile", code="no-such-tile")
    return rooms.reader.tile(tile.level, tile.number, tile.width)


def entry_tile(rooms: Rooms, path: str) -> bytes:
    """An entry bundle ``N[.p/W]`` of the published tree."""
    tile = parse_tile_path(f"entries/{path}")
    return rooms.reader.entries(tile.number, tile.width)


def entry_proof(rooms: Rooms, entry: str) -> str:
    """The proof of inclusion of the entry at a position, without any opening."""
    note = rooms.reader.checkpoint()
    if note is None or not (entry.isascii() and entry.isdigit() and len(entry) < 16):
        raise NotFound("there is no such entry under a checkpoint")
    return prove(rooms.reader, int(entry), None, note).decode()


def ready(rooms: Rooms) -> Mapping[str, Any]:
    """Whether requests would succeed, why not, and what to do about it."""
    reasons: list[dict[str, str]] = []
    if rooms.pen.broken:
        reasons.append(
            {
                "what": "the ledger could not be written",
                "do": "look at disk space and at the sequencer's log lines",
            }
        )
    return {
        "ready": not reasons,
        "reasons": reasons,
        "protections": {
            "audit": "durable before every answer",
            "sealing": "Cobblestone-256 per entry, keys per patient and class",
            "signatures": "Ed25519 per entry; Ed25519 and ML-DSA-44 per checkpoint",
            "consent": "three gates",
            "locator": "encrypted",
            "synchronous": "FULL",
        },
    }


def metrics(rooms: Rooms) -> str:
    """Prometheus text; sizes and positions only."""
    entries, audits = rooms.locator.upto()
    rows = {
        "fhir_bridge_ledger_entries": rooms.reader.size(),
        "fhir_bridge_locator_entries": entries,
        "fhir_bridge_locator_audit_rows": audits,
        "fhir_bridge_checkpoint_size": rooms.reader.checkpoint_size(),
    }
    return "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in rows.items())
