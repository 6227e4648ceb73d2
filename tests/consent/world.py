"""Words for the tests of this room: Consents, requesters and moments in one line each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fhir_bridge.terms import Requester

V3 = "http://terminology.hl7.org/CodeSystem/"
SYSTEMS = {
    "purpose": V3 + "v3-ActReason",
    "action": V3 + "consentaction",
    "class": "http://hl7.org/fhir/resource-types",
}


def at(text: str) -> int:
    """Microseconds of an ISO date (midnight UTC) or instant."""
    moment = datetime.fromisoformat(text)
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1_000_000)


NOW = at("2024-01-15T12:00:00Z")


def label(code: str) -> dict[str, str]:
    return {
        "system": V3 + ("v3-Confidentiality" if len(code) == 1 else "v3-ActCode"),
        "code": code,
    }


def purpose(code: str) -> dict[str, str]:
    system, _, bare = code.rpartition("#")
    return {"system": system or SYSTEMS["purpose"], "code": bare}


def actor(name: str, role: str = "IRCP") -> dict[str, Any]:
    reference: dict[str, Any]
    if name.startswith("identifier:"):
        system, _, value = name.removeprefix("identifier:").rpartition("#")
        identifier = {"value": value, **({"system": system} if system else {})}
        reference = {"identifier": identifier}
    else:
        reference = {"reference": name}
    return {
        "role": {"coding": [{"system": V3 + "v3-ParticipationType", "code": role}]},
        "reference": reference,
    }


def provision(
    effect: str | None = None,
    *,
    purposes: tuple[str, ...] = (),
    actors: tuple[str, ...] = (),
    actions: tuple[str, ...] = (),
    labels: tuple[str, ...] = (),
    types: tuple[str, ...] = (),
    period: dict[str, str] | None = None,
    nested: tuple[dict[str, Any], ...] = (),
    role: str = "IRCP",
    **more: Any,
) -> dict[str, Any]:
    tree: dict[str, Any] = dict(more)
    if effect:
        tree["type"] = effect
    if purposes:
        tree["purpose"] = [purpose(p) for p in purposes]
    if actors:
        tree["actor"] = [actor(a, role) for a in actors]
    if actions:
        tree["action"] = [{"coding": [{"system": SYSTEMS["action"], "code": a}]} for a in actions]
    if labels:
        tree["securityLabel"] = [label(code) for code in labels]
    if types:
        tree["class"] = [{"system": SYSTEMS["class"], "code": t} for t in types]
    if period is not None:
        tree["period"] = period
    if nested:
        tree["provision"] = list(nested)
    return tree


def consent(root: dict[str, Any] | None = None, *, name: str = "c1", **more: Any) -> dict[str, Any]:
    scope = more.pop("scope", "patient-privacy")
    tree: dict[str, Any] = {
        "resourceType": "Consent",
        "id": name,
        "meta": {"versionId": "1"},
        "status": "active",
        "scope": {"coding": [{"system": V3 + "consentscope", "code": scope}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": "Patient/p"},
    }
    if "policyRule" in more:
        rule = more.pop("policyRule")
        tree["policyRule"] = {"coding": [{"system": V3 + "v3-ActCode", "code": rule}]}
    if root is not None:
        tree["provision"] = root
    return {**tree, **more}


def requester(
    organization: str = "Organization/b",
    purpose: str = "TREAT",
    *,
    user: str | None = None,
    patient: str | None = None,
) -> Requester:
    return Requester("client", organization, purpose, user=user, patient=patient)
