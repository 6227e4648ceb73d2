"""The CapabilityStatement, written from the route table and the search tables alone.

R4 capabilitystatement.html; SMART App Launch 2.2 (``oauth-uris``). What it lists, works: an
interaction is listed because a row of the table serves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from fhir_bridge.api.contract import ApiSettings, Route, Surface
from fhir_bridge.api.operations.definitions import canonical
from fhir_bridge.clock import instant
from fhir_bridge.terms import Interaction as I

__all__ = ["statement"]

_PER_TYPE = (I.READ, I.VREAD, I.UPDATE, I.DELETE, I.HISTORY_INSTANCE, I.CREATE, I.SEARCH)
_OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
_SECURITY_SERVICE = "http://terminology.hl7.org/CodeSystem/restful-security-service"


def statement(
    table: Sequence[Route], surface: Surface, settings: ApiSettings, now_us: int
) -> bytes:
    """The statement as bytes; ``now_us`` is when this instance started."""
    rest: dict[str, Any] = {
        "mode": "server",
        "security": _security(table, settings),
        "resource": [_resource(type_, table, surface, settings) for type_ in surface.types],
        "interaction": [{"code": code} for code in _system_interactions(table)],
    }
    tree = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": instant(now_us),
        "kind": "instance",
        "software": {"name": "fhir_bridge", "version": settings.software_version or "0"},
        "implementation": {
            "description": "FHIR records on an encrypted, provable ledger, released by consent",
            "url": settings.base_url,
        },
        "fhirVersion": "4.0.1",
        "format": ["application/fhir+json", "json"],
        "rest": [rest],
    }
    return orjson.dumps(tree)


def _security(table: Sequence[Route], settings: ApiSettings) -> dict[str, Any]:
    served = {route.template for route in table}
    uris = [
        {"url": name, "valueUri": f"{settings.public_url}/auth/{name}"}
        for name in ("token", "introspect", "revoke")
        if f"/auth/{name}" in served
    ]
    return {
        "extension": [{"url": _OAUTH_URIS, "extension": uris}],
        "cors": False,
        "service": [{"coding": [{"system": _SECURITY_SERVICE, "code": "SMART-on-FHIR"}]}],
        "description": "SMART Backend Services: client_credentials with private_key_jwt.",
    }


def _system_interactions(table: Iterable[Route]) -> list[str]:
    # One row takes both: the body's type says which.
    bundles = any(route.interaction is I.TRANSACTION for route in table)
    return ["transaction", "batch"] if bundles else []


def _resource(
    type_: str, table: Sequence[Route], surface: Surface, settings: ApiSettings
) -> dict[str, Any]:
    served = {route.interaction for route in table}
    row: dict[str, Any] = {
        "type": type_,
        "interaction": [{"code": str(code)} for code in _PER_TYPE if code in served],
        "versioning": "versioned",
        "readHistory": I.VREAD in served,
        "updateCreate": False,
        "conditionalCreate": True,
        "conditionalRead": "full-support",
        "conditionalUpdate": False,
        "conditionalDelete": "not-supported",
        "referencePolicy": ["literal", "logical"],
    }
    for element, listed in (
        ("searchInclude", surface.includes),
        ("searchRevInclude", surface.rev_includes),
    ):
        if listed.get(type_):
            row[element] = sorted(listed[type_])
    if I.SEARCH in served and surface.search.get(type_):
        row["searchParam"] = [
            {"name": p.name, "type": p.type}
            | ({"definition": p.definition} if p.definition else {})
            for p in surface.search[type_]
        ]
    operations = _operations(type_, table)
    if operations:
        row["operation"] = [
            {"name": name, "definition": canonical(name, settings.base_url)} for name in operations
        ]
    return row


def _operations(type_: str, table: Iterable[Route]) -> list[str]:
    """Names of the operations whose rows serve the type."""
    starts = ("/fhir/{type}/", f"/fhir/{type_}/")
    return sorted({r.operation for r in table if r.operation and r.template.startswith(starts)})
