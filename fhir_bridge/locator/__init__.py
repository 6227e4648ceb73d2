"""Which entries hold what: an encrypted SQLite view of facts and search values.

It follows the ledger and can be built anew from ledger and keys at any time, so it is never
backed up. One process writes (``LocatorWriter``), every other reads (``Locator``). The file is
encrypted page by page; what a thief sees is its size.

Invariants: no row influences an answer before the gate let it through; the counters ``upto``
move in the transaction of the rows they count; a rewritten file (``forget``, ``rekey``) holds no
trace of what was removed. Knows no FHIR and no search grammar: it runs plans it is handed.
"""

from __future__ import annotations

from fhir_bridge.locator.contract import (
    AuditAt,
    Facts,
    Gate,
    Hit,
    Include,
    Included,
    Order,
    Page,
    Plan,
    Predicate,
    Row,
)
from fhir_bridge.locator.reader import Locator
from fhir_bridge.locator.writer import LocatorWriter

__all__ = [
    "AuditAt",
    "Facts",
    "Gate",
    "Hit",
    "Include",
    "Included",
    "Locator",
    "LocatorWriter",
    "Order",
    "Page",
    "Plan",
    "Predicate",
    "Row",
]
