"""The OperationDefinitions that the CapabilityStatement points at (R4 operationdefinition.html).

R4's own operations are cited by their canonical address; ours are served from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

__all__ = ["OURS", "canonical", "definition"]

_R4: Final = MappingProxyType(
    {"everything": "http://hl7.org/fhir/OperationDefinition/Patient-everything"}
)

OURS: Final[Mapping[str, tuple[str, str, str]]] = MappingProxyType(
    {
        "disclosures": (
            "Patient",
            "Bundle",
            "Every recorded disclosure of the patient's record, as AuditEvents.",
        ),
        "ledger-proof": (
            "Resource",
            "Binary",
            "A C2SP tlog-proof, as text/plain, for the version that a read returns.",
        ),
    }
)
"""Name → (resource type, type of the answer, what it does)."""


def canonical(name: str, base_url: str) -> str:
    """The canonical address of an operation's definition."""
    return _R4.get(name) or f"{base_url}/metadata/operations/{name}"


def definition(name: str, base_url: str) -> dict[str, Any]:
    """The OperationDefinition of one of our own operations."""
    type_, answer, description = OURS[name]
    return {
        "resourceType": "OperationDefinition",
        "url": canonical(name, base_url),
        "name": "".join(part.capitalize() for part in name.split("-")),
        "status": "active",
        "kind": "operation",
        "affectsState": False,
        "description": description,
        "code": name,
        "resource": [type_],
        "system": False,
        "type": False,
        "instance": True,
        "parameter": [{"name": "return", "use": "out", "min": 1, "max": "1", "type": answer}],
    }
