"""ROOM: labels. A resource → its security labels and classes of keys. Pure.

Invariants: labels are the server's; what a client writes in ``meta.security`` raises, never
lowers; every resource has exactly one confidentiality and at least one class; codes count
wherever they stand, contained resources and a coding without a system included.

Specifications: HL7 v3-ActCode sensitivity and v3-Confidentiality (R4 4.0.1 edition, CC0); the
table ``sensitive_codes.tsv`` names its own sources and version. What it finds of public lists:
docs/consent.md "Labels".

Not here: free text, images, the label of an encounter reaching its documents.
"""

from __future__ import annotations

from fhir_bridge.labels.label import NORMAL, Labels, label, label_codings
from fhir_bridge.labels.sensitivity import CLASSES
from fhir_bridge.labels.table import categories, version

__all__ = ["CLASSES", "NORMAL", "Labels", "categories", "label", "label_codings", "version"]
