"""How each kind of event looks as a BALP AuditEvent (IHE ITI BasicAudit 1.1.4, CC-BY)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["OAUTH_SERVICE", "SHAPES", "Shape", "coding"]

_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_REST = "http://hl7.org/fhir/restful-interaction"
_TYPE = "http://terminology.hl7.org/CodeSystem/audit-event-type"
_PART = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
_PROVENANCE = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
_USER_AGENT = "https://profiles.ihe.net/ITI/BALP/CodeSystem/UserAgentTypes"
_PROFILE = "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit."


def coding(system: str, code: str, display: str = "") -> dict[str, Any]:
    """A Coding."""
    return {"system": system, "code": code, **({"display": display} if display else {})}


SOURCE = coding(_DCM, "110153", "Source Role ID")
DESTINATION = coding(_DCM, "110152", "Destination Role ID")
APPLICATION = coding(_DCM, "110150", "Application")
CUSTODIAN = coding(_PROVENANCE, "custodian", "Custodian")
OAUTH_SERVICE = coding(_USER_AGENT, "AuthzOauthService", "OAuth Authorization Server")
RECIPIENT = coding(_PART, "IRCP", "information recipient")
AUTHOR = coding(_PART, "AUT", "author (originator)")
REST = coding(_TYPE, "rest", "Restful Operation")


@dataclass(frozen=True, slots=True)
class Shape:
    """Type, subtype, action and the types of the three agents."""

    type: dict[str, Any]
    subtype: dict[str, Any]
    action: str
    client: dict[str, Any]
    server: dict[str, Any]
    user: dict[str, Any]
    query: bool = False
    """Whether the request itself is an entity (role 24) and results are listed by their type."""
    profile: str = ""
    """BALP profile stem; the Patient form is taken when a patient is named."""

    def profile_url(self, with_patient: bool) -> str:
        """Canonical URL of the profile that a successful event conforms to; may be empty."""
        if not self.profile:
            return ""
        return f"{_PROFILE}{'Patient' if with_patient else ''}{self.profile}"


def _rest(
    code: str,
    action: str,
    client: dict[str, Any],
    server: dict[str, Any],
    user: dict[str, Any],
    query: bool = False,
    profile: str = "",
) -> Shape:
    return Shape(REST, coding(_REST, code, code), action, client, server, user, query, profile)


SHAPES: dict[str, Shape] = {
    "read": _rest("read", "R", DESTINATION, SOURCE, RECIPIENT, profile="Read"),
    "vread": _rest("vread", "R", DESTINATION, SOURCE, RECIPIENT, profile="Read"),
    "history": _rest("history-instance", "E", SOURCE, DESTINATION, RECIPIENT, query=True),
    "search": _rest("search-type", "E", SOURCE, DESTINATION, RECIPIENT, True, "Query"),
    "everything": _rest("operation", "E", SOURCE, DESTINATION, RECIPIENT, query=True),
    "disclosures": _rest("operation", "E", SOURCE, DESTINATION, RECIPIENT, query=True),
    "proof": _rest("operation", "E", DESTINATION, SOURCE, RECIPIENT),
    "operation": _rest("operation", "E", SOURCE, DESTINATION, RECIPIENT, query=True),
    "create": _rest("create", "C", SOURCE, DESTINATION, AUTHOR, profile="Create"),
    "update": _rest("update", "U", SOURCE, DESTINATION, AUTHOR, profile="Update"),
    "delete": _rest("delete", "D", APPLICATION, CUSTODIAN, AUTHOR, profile="Delete"),
    "transaction": _rest("transaction", "E", SOURCE, DESTINATION, AUTHOR),
    "batch": _rest("batch", "E", SOURCE, DESTINATION, AUTHOR),
    "token": Shape(
        coding(_DCM, "110114", "User Authentication"),
        coding("urn:ihe:event-type-code", "ITI-71", "Get Access Token"),
        "E",
        APPLICATION,
        OAUTH_SERVICE,
        RECIPIENT,
        query=True,
    ),
}
"""Every kind of record. BALP describes success; a refusal has the same shape and its outcome."""
