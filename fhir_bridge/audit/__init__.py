"""ROOM: audit. What happened, to whom, by whom, why and under which Consent. Pure.

Invariants: a record is versioned, names at most one patient and is complete before anything
leaves; AuditEvents are rendered from records and never stored; a raw query lives only in the
sealed record; a refusal carries its reason and its legal basis.

Specifications: R4 AuditEvent; IHE ITI Basic Audit Log Patterns (BALP), IUA ITI-71; DICOM PS3.15
codes; 45 CFR 164.312(b), 164.528; 42 CFR 2.25.

Not here: sealing and order (keys, ledger), who may see a record (exchange), Provenance.
"""

from __future__ import annotations

from fhir_bridge.audit.accounting import (
    Disclosure,
    accounting,
    disclosures_bundle,
    hipaa_accountable,
)
from fhir_bridge.audit.record import DENIED, FAILED, SUCCESS, Entity, Record, parse, record
from fhir_bridge.audit.render import Server, render
from fhir_bridge.audit.shapes import SHAPES

__all__ = [
    "DENIED",
    "FAILED",
    "SHAPES",
    "SUCCESS",
    "Disclosure",
    "Entity",
    "Record",
    "Server",
    "accounting",
    "disclosures_bundle",
    "hipaa_accountable",
    "parse",
    "record",
    "render",
]
