"""What a writer must remember, read back from the file and checked against its head."""

from __future__ import annotations

import sqlite3

import msgspec

from fhir_bridge.errors import Corrupt
from fhir_bridge.fbe1 import decode_core, entry_id, split_leaf
from fhir_bridge.ledger.apply import RECENT, Author, State
from fhir_bridge.ledger.claims import claim_key
from fhir_bridge.ledger.contract import Appended
from fhir_bridge.ledger.engines.sqlite.rows import decode_chains
from fhir_bridge.ledger.engines.sqlite.schema import tile_key
from fhir_bridge.ledger.merkle import leaf_hash
from fhir_bridge.ledger.tree import TILE_HEIGHT, TILE_WIDTH, Tree

__all__ = ["edges", "resume_state", "resume_tree"]


def resume_tree(db: sqlite3.Connection) -> tuple[Tree, int]:
    """(tree, number of audit rows) at the head; Corrupt unless leaves and tiles make its root."""
    size, root, audits = db.execute("SELECT size, root, audits FROM head").fetchone()
    tree = Tree(size, edges(db, size))
    if tree.root() != root:
        raise Corrupt(
            f"the last leaves and tiles do not make the root of the head at size {size}",
            code="head-root",
            where="head",
        )
    return tree, audits


def edges(db: sqlite3.Connection, size: int) -> list[list[bytes]]:
    """The hashes of the unfinished tile of every level in a tree of ``size``."""
    first = size - size % TILE_WIDTH
    rows = db.execute(
        "SELECT leaf FROM leaf WHERE i >= ? AND i < ? ORDER BY i", (first, size)
    ).fetchall()
    found = [[leaf_hash(leaf) for (leaf,) in rows]]
    level, width = 1, size >> TILE_HEIGHT
    while width:
        number = width >> TILE_HEIGHT << TILE_HEIGHT
        lower = (tile_key(level - 1, number), tile_key(level - 1, width))
        roots = db.execute(
            "SELECT root FROM tile WHERE t >= ? AND t < ? ORDER BY t", lower
        ).fetchall()
        found.append([root for (root,) in roots])
        level, width = level + 1, width >> TILE_HEIGHT
    return found


def resume_state(db: sqlite3.Connection, state: State) -> tuple[State, int]:
    """Fill ``state`` with authors, chains, claims and the last entries' outcomes.

    With it comes the size up to which claims are in segments.
    """
    row = db.execute("SELECT size, sequencer, chains FROM head").fetchone()
    if row is None:
        raise Corrupt("the ledger has no head", code="head-missing", where="head")
    size, sequencer, chains = row
    try:
        state.chains = decode_chains(chains)
    except msgspec.DecodeError:
        raise Corrupt("the head is not readable", code="head-unreadable", where="head") from None
    state.sequencer = sequencer if size else b""
    for key, member, public, added, retired in db.execute("SELECT * FROM author"):
        state.authors[key] = Author(member, public, added, retired)
    state.claims.load(blob for (blob,) in db.execute("SELECT claims FROM claimseg"))
    (upto,) = db.execute("SELECT coalesce(max(upto), 0) FROM claimseg").fetchone()
    _read_tail(db, state, size, upto)
    return state, upto


def _read_tail(db: sqlite3.Connection, state: State, size: int, upto: int) -> None:
    """Claims that are in no segment yet, and the ids of the last entries."""
    start = min(upto, max(0, size - RECENT + 1))
    recent: dict[bytes, Appended] = {}
    claims: list[int] = []
    for index, leaf in db.execute("SELECT i, leaf FROM leaf WHERE i >= ? ORDER BY i", (start,)):
        core, body_hash, _ = split_leaf(leaf)
        recent[entry_id(core, body_hash)] = Appended(index, -1, size)
        if index >= upto:
            claims += map(claim_key, decode_core(core).claims)
    state.claims.add(claims)
    state.remember(dict(recent))
