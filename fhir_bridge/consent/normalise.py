"""From a Consent resource to a directive, or to the element that has no one-to-one reading.

Three conventions of writing exist in the field (docs/consent.md "Conventions"):
C, the root provision carries the base decision as ``type`` (IHE PCF, canonical here);
A, ``policyRule`` OPTIN or OPTOUT is the base and every nested provision has a ``type``;
B, the untyped root provision *is* the exception: not accepted, nobody can tell it from a slip.
"""

from __future__ import annotations

from typing import Any

from fhir_bridge.consent.directive import Directive, Effect, Normalised, Rule, Standing
from fhir_bridge.consent.elements import Element, Unmappable, close, read
from fhir_bridge.consent.shape import R5_ELEMENTS

__all__ = ["PRIVACY", "RESEARCH_SCOPE", "normalise"]

PRIVACY = "patient-privacy"
RESEARCH_SCOPE = "research"
_MOST_PROVISIONS = 1_000
_SCOPE_SYSTEM = "http://terminology.hl7.org/CodeSystem/consentscope"
_BASE = {"OPTIN": Effect.PERMIT, "OPTOUT": Effect.DENY}


def normalise(tree: dict[str, Any], *, consent: str = "") -> Normalised:
    """Read one version of a Consent. Never raises: what cannot be read is indeterminate.

    ``consent`` is the version reference to answer with; by default it is taken from the
    resource's own id and ``meta.versionId``.
    """
    consent = consent or _version_ref(tree)
    patient = _patient(tree)
    if tree.get("status") != "active":
        return Normalised(consent, patient, Standing.NOT_IN_FORCE, "Consent.status")
    scope = _scope(tree)
    if scope not in (PRIVACY, RESEARCH_SCOPE):
        return Normalised(consent, patient, Standing.OTHER_SCOPE, "Consent.scope")
    try:
        base, exceptions = _rules(tree)
    except Unmappable as problem:
        directive = Directive(consent, scope, None, problem=problem.element)
        return Normalised(
            consent, patient, Standing.INDETERMINATE, problem.element, directive=directive
        )
    directive = Directive(consent, scope, base, exceptions)
    return Normalised(consent, patient, Standing.IN_FORCE, directive=directive)


def _rules(tree: dict[str, Any]) -> tuple[Rule, tuple[Rule, ...]]:
    for name in ("modifierExtension", "implicitRules", *R5_ELEMENTS):
        if name in tree:
            raise Unmappable(f"Consent.{name}")
    root = tree.get("provision", {})
    if not isinstance(root, dict):
        raise Unmappable("Consent.provision")
    stated = read(root, "Consent.provision")
    effect = _base_effect(tree, root, stated)
    exceptions = tuple(
        _nested(nested, f"Consent.provision.provision[{index}]", stated)
        for index, nested in enumerate(_list(root.get("provision", [])))
    )
    return close(effect, "Consent.provision", stated), exceptions


def _base_effect(
    tree: dict[str, Any], root: dict[str, Any], stated: dict[str, Element | None]
) -> Effect:
    declared = _BASE.get(_code(tree.get("policyRule")))
    if "type" in root:
        effect = _effect(root, "Consent.provision")
        if declared not in (None, effect):
            raise Unmappable("Consent.policyRule")
        return effect
    if declared is None:
        raise Unmappable("Consent.provision.type" if root else "Consent.provision")
    # An untyped root that narrows anything but time is convention B.
    for name in stated:
        if name != "period":
            raise Unmappable(f"Consent.provision.{name}")
    if "period" in stated and "provision" not in root:
        raise Unmappable("Consent.provision.period")
    return declared


def _nested(nested: Any, path: str, inherited: dict[str, Element | None]) -> Rule:
    """PCF reading: a nested provision replaces what it states and inherits the rest."""
    if not isinstance(nested, dict):
        raise Unmappable(path)
    if "provision" in nested:
        raise Unmappable(f"{path}.provision")
    return close(_effect(nested, path), path, {**inherited, **read(nested, path)})


def _effect(provision: dict[str, Any], path: str) -> Effect:
    try:
        return Effect(provision.get("type", ""))
    except ValueError:
        raise Unmappable(f"{path}.type") from None


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > _MOST_PROVISIONS:
        raise Unmappable("Consent.provision.provision")
    return value


def _scope(tree: dict[str, Any]) -> str:
    return _code(tree.get("scope"), _SCOPE_SYSTEM)


def _code(concept: Any, system: str | None = None) -> str:
    """The first code of a CodeableConcept in ``system``; empty when there is none."""
    codings = concept.get("coding") if isinstance(concept, dict) else None
    for coding in codings if isinstance(codings, list) else []:
        if (
            isinstance(coding, dict)
            and isinstance(coding.get("code"), str)
            and (system is None or coding.get("system") in (None, system))
        ):
            return str(coding["code"])
    return ""


def _patient(tree: dict[str, Any]) -> str | None:
    patient = tree.get("patient")
    literal = patient.get("reference") if isinstance(patient, dict) else None
    if not isinstance(literal, str):
        return None
    parts = literal.partition("#")[0].split("/_history/")[0].split("/")
    return parts[1] if len(parts) == 2 and parts[0] == "Patient" and parts[1] else None


def _version_ref(tree: dict[str, Any]) -> str:
    meta = tree.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    name = f"Consent/{tree.get('id', '')}"
    return f"{name}/_history/{version}" if version else name
