"""The embedded engine: one SQLite file, one sequencer, readers in every process."""

from __future__ import annotations

from fhir_bridge.ledger.engines.sqlite.checkpoints import Checkpoints
from fhir_bridge.ledger.engines.sqlite.client import SequencerClient
from fhir_bridge.ledger.engines.sqlite.copies import backup, open_checked, restore
from fhir_bridge.ledger.engines.sqlite.local import LocalLedger
from fhir_bridge.ledger.engines.sqlite.reader import Reader, StoredAuditRow, StoredRow
from fhir_bridge.ledger.engines.sqlite.schema import upgrade
from fhir_bridge.ledger.engines.sqlite.sequencer import Sequencer, run_sequencer
from fhir_bridge.ledger.engines.sqlite.verify_log import VerifiedLog, verify_log
from fhir_bridge.ledger.engines.sqlite.writer import Writer

__all__ = [
    "Checkpoints",
    "LocalLedger",
    "Reader",
    "Sequencer",
    "SequencerClient",
    "StoredAuditRow",
    "StoredRow",
    "VerifiedLog",
    "Writer",
    "backup",
    "open_checked",
    "restore",
    "run_sequencer",
    "upgrade",
    "verify_log",
]
