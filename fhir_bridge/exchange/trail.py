"""The audit trail of this process: one chain per patient, sealed before it is appended.

Every record names its place in the chain of its patient and the hash of the sealed row before
it, so that a later accounting which does not extend an earlier one proves a removal. Processes
write side by side; each keeps chains of its own, told apart by name inside the seal.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from msgspec import Struct

from fhir_bridge.keys import Sealer
from fhir_bridge.ledger import AuditRow

__all__ = ["AUDIT_CLASS", "Chain", "Trail", "audit_pairs"]

AUDIT_CLASS = "audit"
_START = bytes(32)
_KEPT_CHAINS = 50_000


def audit_pairs(patient: str) -> tuple[tuple[str, str], ...]:
    """The key set of a patient's audit records; ``""`` is the node's directory."""
    return ((patient, AUDIT_CLASS),)


class Chain(Struct, frozen=True, gc=False):
    """Where a chain stands: the next sequence number and the hash to name."""

    seq: int
    previous: bytes


class Trail:
    """Seals audit records in order. Between ``rows`` and the append nothing may be awaited."""

    def __init__(self, name: str, sealer: Sealer, resume: Callable[[str], Chain | None]) -> None:
        self.name = name
        """Tells the chains of this process from those of the others."""
        self._sealer = sealer
        self._resume = resume
        self._chains: OrderedDict[str, Chain] = OrderedDict()

    def rows(self, records: Iterable[tuple[str, bytes]]) -> tuple[AuditRow, ...]:
        """Sealed rows for ``(patient or "", compact record)`` pairs, each extending its chain."""
        return tuple(self._row(patient, record) for patient, record in records)

    def _row(self, patient: str, record: bytes) -> AuditRow:
        chain = self._chains.pop(patient, None) or self._resume(patient) or Chain(1, _START)
        row = self._sealer.seal_audit(audit_pairs(patient), record, chain.seq, chain.previous)
        self._chains[patient] = Chain(chain.seq + 1, row.digest)
        if len(self._chains) > _KEPT_CHAINS:
            self._chains.popitem(last=False)
        return AuditRow(row.sealed, row.hint)

    def forget(self) -> None:
        """Drop the memory of all chains; the next record of each looks its own up again."""
        self._chains.clear()
