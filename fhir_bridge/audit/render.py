"""From a record to an R4 AuditEvent (R4 auditevent.html; IHE ITI BALP)."""

from __future__ import annotations

import base64
import ipaddress
from dataclasses import dataclass
from typing import Any

from fhir_bridge.audit.record import SUCCESS, Entity, Record, parse
from fhir_bridge.audit.shapes import SHAPES, Shape, coding
from fhir_bridge.clock import instant

__all__ = ["Server", "render"]

_ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_RESOURCE_TYPE = "http://hl7.org/fhir/resource-types"
_BALP_ENTITY = "https://profiles.ihe.net/ITI/BALP/CodeSystem/BasicAuditEntityType"
_ROLE_CLASS = "http://terminology.hl7.org/CodeSystem/v3-RoleClass"
_SOURCE_TYPE = "http://terminology.hl7.org/CodeSystem/security-source-type"
_CONFIDENTIALITY = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
_JTI = "urn:ietf:params:oauth:jti:"
_PERSON, _SYSTEM_OBJECT = "1", "2"
_PATIENT_ROLE, _RESOURCE_ROLE, _QUERY_ROLE = "1", "4", "24"


@dataclass(frozen=True, slots=True)
class Server:
    """Who records: the name of this service and its FHIR base."""

    name: str
    base_url: str


def render(source: Record | bytes, *, server: Server, event_id: str = "") -> dict[str, Any]:
    """The AuditEvent of one record; ``event_id``: the caller's, from the audit position."""
    event = parse(source) if isinstance(source, bytes) else source
    shape = SHAPES[event.kind]
    tree: dict[str, Any] = {"resourceType": "AuditEvent"}
    if event_id:
        tree["id"] = event_id
    profile = shape.profile_url(bool(event.patient)) if event.out == SUCCESS and event.net else ""
    meta: dict[str, Any] = {"profile": [profile]} if profile else {}
    labels = sorted({label for entity in event.ents for label in entity.labels})
    if labels:
        meta["security"] = [_label(label) for label in labels]
    if meta:
        tree["meta"] = meta
    tree |= {
        "type": dict(shape.type),
        "subtype": [dict(shape.subtype)],
        "action": shape.action,
        "recorded": instant(event.at),
        "outcome": str(event.out),
    }
    if outcome := _outcome(event):
        tree["outcomeDesc"] = outcome
    if event.purpose:
        tree["purposeOfEvent"] = [{"coding": [_purpose(event.purpose)]}]
    tree["agent"] = _agents(event, shape, server)
    tree["source"] = {
        "site": server.base_url,
        "observer": {"display": server.name},
        "type": [coding(_SOURCE_TYPE, "4", "Application Server")],
    }
    entities = _entities(event, shape)
    if entities:
        tree["entity"] = entities
    return tree


def _outcome(event: Record) -> str:
    """Reason codes, then the legal basis: ``directive-deny; 45 CFR 171.202(e)``."""
    if event.out == SUCCESS:
        return ""
    return "; ".join(filter(None, (" ".join(event.reasons), event.basis, event.desc)))


def _agents(event: Record, shape: Shape, server: Server) -> list[dict[str, Any]]:
    client: dict[str, Any] = {
        "type": {"coding": [dict(shape.client)]},
        "who": {"identifier": {"value": event.client}},
        "requestor": not event.user,
    }
    if event.net:
        client["network"] = {"address": event.net, "type": _network_type(event.net)}
    agents = [
        client,
        {
            "type": {"coding": [dict(shape.server)]},
            "who": {"display": server.name},
            "requestor": False,
            "network": {"address": server.base_url, "type": "5"},
        },
    ]
    if event.org:
        organization = coding(_ROLE_CLASS, "PROV", "healthcare provider")
        agents.append(
            {"type": {"coding": [organization]}, "who": _named(event.org), "requestor": False}
        )
    asking = client
    if event.user:
        asking = {
            "type": {"coding": [dict(shape.user)]},
            "who": _named(event.user),
            "name": event.user,
            "requestor": True,
        }
        agents.append(asking)
    if event.roles:
        asking["role"] = [{"text": role} for role in event.roles]
    if event.jti:
        asking["policy"] = [_JTI + event.jti]
    if event.purpose:
        asking["purposeOfUse"] = [{"coding": [_purpose(event.purpose)]}]
    return agents


def _entities(event: Record, shape: Shape) -> list[dict[str, Any]]:
    entities: list[dict[str, Any]] = []
    if event.req:
        entities.append(
            {
                "what": {"identifier": {"value": event.req}},
                "type": coding(_BALP_ENTITY, "XrequestId"),
            }
        )
    if event.patient:
        entities.append(
            {
                "what": {"reference": f"Patient/{event.patient}"},
                "type": coding(_ENTITY_TYPE, _PERSON, "Person"),
                "role": coding(_ROLE, _PATIENT_ROLE, "Patient"),
            }
        )
    if shape.query and event.query:
        entities.append(
            {
                "type": coding(_ENTITY_TYPE, _SYSTEM_OBJECT, "System Object"),
                "role": coding(_ROLE, _QUERY_ROLE, "Query"),
                "query": base64.b64encode(event.query.encode()).decode(),
            }
        )
    entities += [_data(entity, shape) for entity in event.ents]
    entities += [
        {"what": {"reference": consent}, "type": coding(_RESOURCE_TYPE, "Consent", "Consent")}
        for consent in event.consents
    ]
    return entities


def _data(entity: Entity, shape: Shape) -> dict[str, Any]:
    """A resource version. In a query its type is the resource type: the BALP slice on
    audit-entity-type 2 holds the query alone."""
    reference = f"{entity.type}/{entity.id}" if entity.id else ""
    if entity.version_id:
        reference += f"/_history/{entity.version_id}"
    tree: dict[str, Any] = {
        "what": {"reference": reference} if reference else {"type": entity.type},
        "type": coding(_RESOURCE_TYPE, entity.type, entity.type)
        if shape.query
        else coding(_ENTITY_TYPE, _SYSTEM_OBJECT, "System Object"),
        "role": coding(_ROLE, _RESOURCE_ROLE, "Domain Resource"),
    }
    if entity.labels:
        tree["securityLabel"] = [_label(label) for label in entity.labels]
    detail = [("ledger-index", str(entity.index))] if entity.index >= 0 else []
    if entity.action:
        detail.append(("interaction", entity.action))
    if detail:
        tree["detail"] = [{"type": name, "valueString": value} for name, value in detail]
    return tree


def _label(code: str) -> dict[str, Any]:
    return coding(_CONFIDENTIALITY if len(code) == 1 else _ACT_CODE, code)


def _purpose(key: str) -> dict[str, Any]:
    system, bar, code = key.rpartition("|")
    return coding(system, code) if bar else coding(_ACT_REASON, key)


def _named(name: str) -> dict[str, Any]:
    """A literal reference, or an identifier ``system|value`` or ``value``."""
    system, bar, value = name.rpartition("|")
    if bar:
        return {"identifier": {"system": system, "value": value}}
    head, slash, _ = name.partition("/")
    if slash and head.isalpha() and head[0].isupper():
        return {"reference": name}
    return {"identifier": {"value": name}}


def _network_type(address: str) -> str:
    """R4 network-type: 2 an IP address, 1 a machine name."""
    try:
        ipaddress.ip_address(address)
    except ValueError:
        return "1"
    return "2"
