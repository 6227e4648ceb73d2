"""The append-only log: RFC 6962 tree over opaque entries, checkpoints, proofs.

What goes in is sealed already: this room knows no FHIR and holds no keys; signers and checks
are handed in. Formats are those of C2SP (signed-note, tlog-checkpoint, tlog-cosignature,
tlog-tiles, tlog-proof, tlog-policy), hashes those of RFC 6962.

Invariants: an outcome is given only after it is durable; an append is taken whole or not at
all; an author's chain has no gap that a void entry does not explain; one size has one root; a
signature leaves only after the head memory knows the head.

It does not say whether an entry is *current*, what it is about or who may read it.
"""

from __future__ import annotations

from fhir_bridge.ledger.apply import Author
from fhir_bridge.ledger.checkpoint import Checkpoint, Verifiers, log_keys, parse_checkpoint
from fhir_bridge.ledger.contract import (
    Append,
    Appended,
    AuditRow,
    AuthorSigner,
    Entry,
    Head,
    Ledger,
    NoteSigner,
    Refused,
    Verify,
)
from fhir_bridge.ledger.engines.sqlite import (
    Checkpoints,
    LocalLedger,
    Reader,
    Sequencer,
    SequencerClient,
    StoredAuditRow,
    StoredRow,
    VerifiedLog,
    Writer,
    backup,
    open_checked,
    restore,
    run_sequencer,
    upgrade,
    verify_log,
)
from fhir_bridge.ledger.head_memory import HeadMemory
from fhir_bridge.ledger.policy import Policy, parse_policy, policy_text
from fhir_bridge.ledger.proof import parse_proof, prove
from fhir_bridge.ledger.tiles import TileAddress, parse_tile_path
from fhir_bridge.ledger.verify import Verdict, verify

__all__ = [
    "Append",
    "Appended",
    "AuditRow",
    "Author",
    "AuthorSigner",
    "Checkpoint",
    "Checkpoints",
    "Entry",
    "Head",
    "HeadMemory",
    "Ledger",
    "LocalLedger",
    "NoteSigner",
    "Policy",
    "Reader",
    "Refused",
    "Sequencer",
    "SequencerClient",
    "StoredAuditRow",
    "StoredRow",
    "TileAddress",
    "Verdict",
    "VerifiedLog",
    "Verifiers",
    "Verify",
    "Writer",
    "backup",
    "log_keys",
    "open_checked",
    "parse_checkpoint",
    "parse_policy",
    "parse_proof",
    "parse_tile_path",
    "policy_text",
    "prove",
    "restore",
    "run_sequencer",
    "upgrade",
    "verify",
    "verify_log",
]
