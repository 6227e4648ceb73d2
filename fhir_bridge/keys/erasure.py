"""What a shred asks first and says afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from fhir_bridge.errors import Conflict, Incorrect

__all__ = ["Holds", "Override", "Receipt", "ShredScope", "check_holds", "keep_audit"]

AUDIT_CLASS = "audit"


class ShredScope(StrEnum):
    """Which of a patient's keys go."""

    RECORD = "record"
    """Every class but the audit trail: who saw what stays accountable."""
    RECORD_AND_AUDIT = "record+audit"


Holds = Callable[[str, ShredScope], str | None]
"""(patient, scope) → why it must be kept (without any patient value), or None."""


@dataclass(frozen=True, slots=True)
class Override:
    """Two different people who shred against a hold, and why."""

    first: str
    second: str
    reason: str

    def __post_init__(self) -> None:
        if not self.first or not self.second or self.first == self.second or not self.reason:
            raise Incorrect("an override takes two people and a reason", code="override")


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a shred or a rotation did. Names nobody."""

    scope: str
    """A `ShredScope`, ``rotation`` or ``tombstones``."""
    peks_destroyed: int
    sets_destroyed: int
    rows_rewritten: int
    from_generation: int
    to_generation: int
    epoch: int
    at_us: int
    last_backup_us: int
    """When the last key backup was made, 0 for never: until it is gone, so long can the
    destroyed keys come back."""
    overridden: bool
    tombstones: tuple[bytes, ...]
    """One random-looking name[16] per destroyed PEK, for `KeyStore.replay` after a restore."""


def keep_audit(patient: str, scope: ShredScope) -> str | None:
    """The hold in force where no other is given: audit records are kept (45 CFR 164.316(b)(2))."""
    del patient
    return "audit records are kept for six years" if scope is not ShredScope.RECORD else None


def check_holds(patient: str, scope: ShredScope, holds: Holds, override: Override | None) -> bool:
    """True when a hold was overridden; Conflict (``held``) when one stands."""
    reason = holds(patient, scope)
    if reason is None:
        return False
    if override is None:
        raise Conflict(f"the keys must be kept: {reason}", code="held")
    return True
