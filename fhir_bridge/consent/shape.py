"""What to tell the writer of a Consent, by element name (R4 consent.html; R5 names refused)."""

from __future__ import annotations

from typing import Any

from fhir_bridge.consent.directive import Normalised, Standing
from fhir_bridge.errors import Issue

__all__ = ["R5_ELEMENTS", "findings", "refused_elements"]

R5_ELEMENTS = (
    "subject",
    "decision",
    "grantor",
    "grantee",
    "manager",
    "controller",
    "date",
    "period",
    "regulatoryBasis",
    "policyBasis",
    "policyText",
)
"""Elements of Consent that R5 (5.0.0) has and R4 has not."""
_R5_PROVISION = frozenset({"resourceType", "documentType", "expression"})


def refused_elements(tree: dict[str, Any]) -> list[Issue]:
    """One error per element that R5 has and R4 has not: such a Consent is not stored.

    Reading an R5 Consent as R4 would drop its decision without a word.
    """
    found = [f"Consent.{name}" for name in tree if name in R5_ELEMENTS]
    provision = tree.get("provision")
    if isinstance(provision, list):
        found.append("Consent.provision")
    found += _provision_names(provision, "Consent.provision")
    return [
        Issue("structure", "an R5 element; this server speaks R4 (4.0.1)", where) for where in found
    ]


def _provision_names(provision: Any, path: str) -> list[str]:
    found: list[str] = []
    stack = [(provision, path)]
    while stack:
        node, where = stack.pop()
        if isinstance(node, list):
            stack.extend((item, f"{where}[{i}]") for i, item in enumerate(node))
        elif isinstance(node, dict):
            found += [f"{where}.{name}" for name in node if name in _R5_PROVISION]
            if "provision" in node:
                stack.append((node["provision"], f"{where}.provision"))
    return found


def findings(normalised: Normalised) -> list[Issue]:
    """Warnings for the writer: the Consent is stored, and what it will and will not do."""
    if normalised.standing is Standing.INDETERMINATE:
        text = "no one-to-one reading of this element: the Consent denies until it is corrected"
        return [Issue("business-rule", text, normalised.element, "warning")]
    if normalised.standing is Standing.OTHER_SCOPE:
        text = "only the scopes patient-privacy and research bear on disclosure"
        return [Issue("informational", text, normalised.element, "information")]
    directive = normalised.directive
    if directive is None or directive.base is None:
        return []
    return [
        Issue(
            "not-supported",
            "not evaluated yet: a permit with it gives nothing, a deny with it denies all",
            f"{rule.path}.{name}",
            "warning",
        )
        for rule in (directive.base, *directive.exceptions)
        for name in rule.unread
    ]
