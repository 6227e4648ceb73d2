"""ROOM: consent. Relation, directives, decision. Pure rules: facts in, decision out.

Invariants: deny by default; a deny wins; what is not understood never releases anything; every
patient that an entry names must permit; order and duplicates of Consents never matter; a
Consent is superseded only by a higher version of itself, never by ``dateTime``.

Specifications: FHIR R4 4.0.1 Consent, IHE ITI Privacy Consent on FHIR (PCF) 1.1, HL7 UTG
v3-ActReason PurposeOfUse. Algorithm, relation table and what comes next: docs/consent.md.

Not here: who the requester is (smart), labels (labels), loading of Consents (exchange), group
membership, dates and graph of the data, law overlays, the break-glass path.
"""

from __future__ import annotations

from fhir_bridge.consent.authority import author_of, has_authority
from fhir_bridge.consent.decide import RULES, decide
from fhir_bridge.consent.decider import NO_DIRECTIVES, Decider
from fhir_bridge.consent.directive import Directive, Effect, Normalised, Rule, Standing
from fhir_bridge.consent.facts import LEGAL_BASIS, Asked, Decision, Facts, ask
from fhir_bridge.consent.normalise import normalise
from fhir_bridge.consent.purposes import ancestors, purpose_key
from fhir_bridge.consent.relation import SHIPPED, Cell, Policy, RelationTable, relation_of
from fhir_bridge.consent.shape import findings, refused_elements

__all__ = [
    "LEGAL_BASIS",
    "NO_DIRECTIVES",
    "RULES",
    "SHIPPED",
    "Asked",
    "Cell",
    "Decider",
    "Decision",
    "Directive",
    "Effect",
    "Facts",
    "Normalised",
    "Policy",
    "RelationTable",
    "Rule",
    "Standing",
    "ancestors",
    "ask",
    "author_of",
    "decide",
    "findings",
    "has_authority",
    "normalise",
    "purpose_key",
    "refused_elements",
    "relation_of",
]
