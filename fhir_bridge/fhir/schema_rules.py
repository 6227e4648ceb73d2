"""Error-level invariants of base R4 that a schema can say, row by row under their official keys.

Each row is what the ``expression`` in the StructureDefinition says, written as presence of
elements and values of codes. The tests hold every row against the official expression. What a
schema cannot say (order of dates, distinctness, references) is in ``invariants.py`` and
``bundle_rules.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import jsonschema_rs

from fhir_bridge.fhir.facts import element_tables, json_names
from fhir_bridge.fhir.primitives import PRIMITIVES

__all__ = ["RULES", "broken_rules", "rules_of"]

Schema = dict[str, Any]
Rule = Callable[[str], Schema]
"""Given the path of a type, the ``dependencies`` and ``allOf`` that say the rule."""

_NEVER: Schema = {"not": {}}
_UCUM = "http://unitsofmeasure.org"
_TERMS = "http://terminology.hl7.org/CodeSystem/"


@cache
def _keys(path: str, name: str) -> tuple[str, ...]:
    """The JSON properties that make ``name`` exist: every alternative, with its twin."""
    found: list[str] = []
    table = element_tables()[path]
    wanted = table.get(name) or table[f"{name}[x]"]
    for key, (type_, element) in json_names(path).items():
        if element is wanted:
            found += [key, f"_{key}"] if type_ in PRIMITIVES else [key]
    return tuple(found)


def _exists(path: str, *names: str) -> Schema:
    return {"anyOf": [{"required": [k]} for name in names for k in _keys(path, name)]}


def _absent(path: str, *names: str) -> Schema:
    return {"properties": {k: _NEVER for name in names for k in _keys(path, name)}}


def either(*names: str) -> Rule:
    """At least one of the elements exists."""
    return lambda path: {"allOf": [_exists(path, *names)]}


def implies(name: str, *needed: str) -> Rule:
    """Where ``name`` exists, one of ``needed`` does."""
    return lambda path: {"dependencies": {k: _exists(path, *needed) for k in _keys(path, name)}}


def not_both(name: str, *others: str) -> Rule:
    """Where ``name`` exists, none of the others does."""
    return lambda path: {"dependencies": {k: _absent(path, *others) for k in _keys(path, name)}}


def at_most_one(*names: str) -> Rule:
    return _together(*(not_both(n, *names[i + 1 :]) for i, n in enumerate(names[:-1])))


def exactly_one(*names: str) -> Rule:
    return _together(either(*names), at_most_one(*names))


def same(one: str, other: str) -> Rule:
    """Both exist or neither."""
    return _together(implies(one, other), implies(other, one))


def only_if(name: str, condition: Schema) -> Rule:
    """Where ``name`` exists, the condition holds."""
    return lambda path: {"dependencies": dict.fromkeys(_keys(path, name), condition)}


def when(condition: Schema, then: Rule) -> Rule:
    """Where the condition holds, so does the rule."""

    def rule(path: str) -> Schema:
        return {"allOf": [{"anyOf": [{"not": condition}, then(path)]}]}

    return rule


def holds(condition: Schema) -> Rule:
    return lambda path: {"allOf": [condition]}


def _together(*rules: Rule) -> Rule:
    def rule(path: str) -> Schema:
        return {"allOf": [part for r in rules for part in _parts(r(path))]}

    return rule


def _parts(schema: Schema) -> list[Schema]:
    rest = {k: v for k, v in schema.items() if k != "allOf"}
    return [*schema.get("allOf", []), *([rest] if rest else [])]


def has(name: str, *values: Any) -> Schema:
    """The code ``name`` is one of the values."""
    return {"required": [name], "properties": {name: {"enum": list(values)}}}


def _lacks(name: str, *values: Any) -> Schema:
    return {"not": has(name, *values)}


def _coded(name: str, system: str, *codes: str) -> Schema:
    """The CodeableConcept ``name`` has a coding of the system with one of the codes."""
    member = {"allOf": [has("system", system), has("code", *codes)]}
    some = {"not": {"items": {"not": member}}}
    concept = {"required": ["coding"], "properties": {"coding": some}}
    return {"required": [name], "properties": {name: concept}}


def _each(name: str, condition: Schema) -> Rule:
    return lambda path: {"allOf": [{"properties": {name: {"items": condition}}}]}


def _bounded(name: str, **limits: Any) -> Rule:
    return lambda path: {"allOf": [{"properties": {name: limits}}]}


def _ucum_if_system(path: str) -> Schema:
    return {"allOf": [{"properties": {"system": {"enum": [_UCUM]}}}]}


_QUESTION = ("choice", "open-choice", "decimal", "integer", "date", "dateTime", "time", "string")
_LENGTH = ("boolean", "decimal", "integer", "string", "text", "url", "open-choice")

RULES: Sequence[tuple[str, str, Rule]] = (
    # Closed and with a url, an Extension of two properties (three with an id) has a value or
    # extensions: cheaper than naming fifty alternatives.
    ("ext-1", "Extension", holds({"minProperties": 2})),
    ("ext-1", "Extension", only_if("id", {"minProperties": 3})),
    ("ext-1", "Extension", not_both("extension", "value")),
    ("qty-3", "Quantity", implies("code", "system")),
    ("qty-3", "Age", implies("code", "system")),
    ("qty-3", "Count", implies("code", "system")),
    ("qty-3", "Distance", implies("code", "system")),
    ("qty-3", "Duration", implies("code", "system")),
    ("age-1", "Age", implies("value", "code")),
    ("age-1", "Age", _ucum_if_system),
    ("age-1", "Age", _bounded("value", minimum=0, exclusiveMinimum=True)),
    ("cnt-3", "Count", implies("value", "code")),
    ("cnt-3", "Count", _ucum_if_system),
    ("cnt-3", "Count", _bounded("code", enum=["1"])),
    ("cnt-3", "Count", _bounded("value", type="integer")),
    ("dis-1", "Distance", implies("value", "code")),
    ("dis-1", "Distance", _ucum_if_system),
    ("drt-1", "Duration", only_if("code", has("system", _UCUM))),
    ("drt-1", "Duration", implies("code", "value")),
    ("rat-1", "Ratio", same("numerator", "denominator")),
    ("rat-1", "Ratio", either("numerator", "extension")),
    ("cpt-2", "ContactPoint", implies("value", "system")),
    ("att-1", "Attachment", implies("data", "contentType")),
    ("exp-1", "Expression", either("expression", "reference")),
    ("trd-1", "TriggerDefinition", not_both("data", "timing")),
    ("trd-2", "TriggerDefinition", implies("condition", "data")),
    ("trd-3", "TriggerDefinition", when(has("type", "named-event"), either("name"))),
    ("trd-3", "TriggerDefinition", when(has("type", "periodic"), either("timing"))),
    ("tim-1", "Timing.repeat", implies("duration", "durationUnit")),
    ("tim-2", "Timing.repeat", implies("period", "periodUnit")),
    ("tim-4", "Timing.repeat", _bounded("duration", minimum=0)),
    ("tim-5", "Timing.repeat", _bounded("period", minimum=0)),
    ("tim-6", "Timing.repeat", implies("periodMax", "period")),
    ("tim-7", "Timing.repeat", implies("durationMax", "duration")),
    ("tim-8", "Timing.repeat", implies("countMax", "count")),
    ("tim-9", "Timing.repeat", implies("offset", "when")),
    ("tim-10", "Timing.repeat", not_both("timeOfDay", "when")),
    ("drq-1", "DataRequirement.codeFilter", exactly_one("path", "searchParam")),
    ("drq-2", "DataRequirement.dateFilter", exactly_one("path", "searchParam")),
    ("eld-1", "ElementDefinition.slicing", either("discriminator", "description")),
    ("eld-8", "ElementDefinition", not_both("pattern", "fixed")),
    ("eld-15", "ElementDefinition", not_both("defaultValue", "meaningWhenMissing")),
    ("eld-18", "ElementDefinition", when(has("isModifier", True), either("isModifierReason"))),
    ("eld-22", "ElementDefinition", implies("sliceIsConstraining", "sliceName")),
    (
        "ait-1",
        "AllergyIntolerance",
        when(
            {
                "not": _coded(
                    "verificationStatus",
                    f"{_TERMS}allergyintolerance-verification",
                    "entered-in-error",
                )
            },
            either("clinicalStatus"),
        ),
    ),
    (
        "ait-2",
        "AllergyIntolerance",
        only_if(
            "clinicalStatus",
            {
                "not": _coded(
                    "verificationStatus",
                    f"{_TERMS}allergyintolerance-verification",
                    "entered-in-error",
                )
            },
        ),
    ),
    ("app-1", "Appointment.participant", either("type", "actor")),
    ("app-2", "Appointment", same("start", "end")),
    (
        "app-3",
        "Appointment",
        when(_lacks("status", "proposed", "cancelled", "waitlist"), either("start")),
    ),
    ("app-4", "Appointment", only_if("cancelationReason", has("status", "noshow", "cancelled"))),
    ("apr-1", "AppointmentResponse", either("participantType", "actor")),
    ("sev-1", "AuditEvent.entity", not_both("name", "query")),
    ("bdl-5", "Bundle.entry", either("resource", "request", "response")),
    ("cpb-1", "CapabilityStatement", either("rest", "messaging", "document")),
    ("cpb-2", "CapabilityStatement", either("description", "software", "implementation")),
    ("cpb-14", "CapabilityStatement", when(has("kind", "instance"), either("implementation"))),
    ("cpl-3", "CarePlan.activity", not_both("detail", "reference")),
    ("cmp-1", "Composition.section", either("text", "entry", "section")),
    ("cmp-2", "Composition.section", not_both("emptyReason", "entry")),
    ("cmd-2", "ConceptMap.group.unmapped", when(has("mode", "fixed"), either("code"))),
    ("cmd-3", "ConceptMap.group.unmapped", when(has("mode", "other-map"), either("url"))),
    ("con-1", "Condition.stage", either("summary", "assessment")),
    ("con-2", "Condition.evidence", either("code", "detail")),
    (
        "con-4",
        "Condition",
        only_if(
            "abatement",
            _coded(
                "clinicalStatus",
                f"{_TERMS}condition-clinical",
                "resolved",
                "remission",
                "inactive",
            ),
        ),
    ),
    (
        "con-5",
        "Condition",
        only_if(
            "clinicalStatus",
            {
                "not": _coded(
                    "verificationStatus", f"{_TERMS}condition-ver-status", "entered-in-error"
                )
            },
        ),
    ),
    ("ppc-1", "Consent", either("policy", "policyRule")),
    (
        "ces-1",
        "CoverageEligibilityResponse.insurance.item",
        exactly_one("category", "productOrService"),
    ),
    ("fhs-1", "FamilyMemberHistory", not_both("age", "born")),
    ("fhs-2", "FamilyMemberHistory", implies("estimatedAge", "age")),
    ("gol-1", "Goal.target", implies("detail", "measure")),
    ("grp-1", "Group", only_if("member", has("actual", True))),
    ("imm-1", "Immunization.education", either("documentType", "reference")),
    (
        "imr-1",
        "ImmunizationRecommendation.recommendation",
        either("vaccineCode", "targetDisease"),
    ),
    ("ipn-1", "InsurancePlan", either("identifier", "name")),
    ("lnk-1", "Linkage", _bounded("item", minItems=2)),
    ("lst-1", "List", not_both("emptyReason", "entry")),
    (
        "lst-2",
        "List",
        when(
            _lacks("mode", "changes"),
            _each(
                "entry", {"not": {"anyOf": [{"required": ["deleted"]}, {"required": ["_deleted"]}]}}
            ),
        ),
    ),
    (
        "lst-3",
        "List",
        when(
            _lacks("mode", "working"),
            _each("entry", {"not": {"anyOf": [{"required": ["date"]}, {"required": ["_date"]}]}}),
        ),
    ),
    (
        "mrp-1",
        "MeasureReport",
        when(has("type", "data-collection"), holds({"properties": {"group": _NEVER}})),
    ),
    ("mad-1", "MedicationAdministration.dosage", either("dose", "rate")),
    ("msq-3", "MolecularSequence", _bounded("coordinateSystem", enum=[0, 1])),
    ("msq-5", "MolecularSequence.referenceSeq", same("chromosome", "genomeBuild")),
    (
        "msq-6",
        "MolecularSequence.referenceSeq",
        exactly_one("genomeBuild", "referenceSeqId", "referenceSeqPointer", "referenceSeqString"),
    ),
    ("obs-3", "Observation.referenceRange", either("low", "high", "text")),
    ("obs-6", "Observation", not_both("dataAbsentReason", "value")),
    ("opd-1", "OperationDefinition.parameter", either("type", "part")),
    ("opd-2", "OperationDefinition.parameter", only_if("searchType", has("type", "string"))),
    (
        "opd-3",
        "OperationDefinition.parameter",
        only_if("targetProfile", has("type", "Reference", "canonical")),
    ),
    ("org-1", "Organization", either("identifier", "name")),
    ("org-2", "Organization", _each("address", _lacks("use", "home"))),
    ("org-3", "Organization", _each("telecom", _lacks("use", "home"))),
    ("inv-1", "Parameters.parameter", exactly_one("part", "value", "resource")),
    ("pat-1", "Patient.contact", either("name", "telecom", "address", "organization")),
    ("que-1", "Questionnaire.item", when(has("type", "group"), either("item"))),
    ("que-1", "Questionnaire.item", only_if("item", _lacks("type", "display"))),
    ("que-3", "Questionnaire.item", only_if("code", _lacks("type", "display"))),
    ("que-4", "Questionnaire.item", not_both("answerOption", "answerValueSet")),
    ("que-5", "Questionnaire.item", only_if("answerOption", has("type", *_QUESTION, "quantity"))),
    ("que-5", "Questionnaire.item", only_if("answerValueSet", has("type", *_QUESTION, "quantity"))),
    ("que-6", "Questionnaire.item", only_if("required", _lacks("type", "display"))),
    ("que-6", "Questionnaire.item", only_if("repeats", _lacks("type", "display"))),
    (
        "que-7",
        "Questionnaire.item.enableWhen",
        when(has("operator", "exists"), holds({"required": ["answerBoolean"]})),
    ),
    ("que-8", "Questionnaire.item", only_if("initial", _lacks("type", "group", "display"))),
    ("que-9", "Questionnaire.item", only_if("readOnly", _lacks("type", "display"))),
    ("que-10", "Questionnaire.item", only_if("maxLength", has("type", *_LENGTH))),
    ("que-11", "Questionnaire.item", not_both("answerOption", "initial")),
    ("qrs-1", "QuestionnaireResponse.item", not_both("answer", "item")),
    ("rqg-1", "RequestGroup.action", exactly_one("resource", "action")),
    ("ras-2", "RiskAssessment.prediction", _bounded("probabilityDecimal", maximum=100)),
    ("spd-1", "SearchParameter", implies("xpath", "xpathUsage")),
    ("spd-2", "SearchParameter", only_if("chain", has("type", "reference"))),
    ("prr-1", "ServiceRequest", implies("orderDetail", "code")),
    ("sdf-4", "StructureDefinition", when(_lacks("abstract", True), either("baseDefinition"))),
    ("sdf-6", "StructureDefinition", either("snapshot", "differential")),
    ("sdf-2", "StructureDefinition.mapping", either("name", "uri")),
    ("smp-1", "StructureMap.group.rule.target", implies("element", "context")),
    ("smp-2", "StructureMap.group.rule.target", implies("context", "contextType")),
    ("tcp-2", "TerminologyCapabilities", either("description", "software", "implementation")),
    ("tcp-3", "TerminologyCapabilities", when(has("kind", "instance"), either("implementation"))),
    ("inv-2", "TestReport.test.action", exactly_one("operation", "assert")),
    ("tst-1", "TestScript.setup.action", exactly_one("operation", "assert")),
    ("tst-2", "TestScript.test.action", exactly_one("operation", "assert")),
    ("vsd-1", "ValueSet.compose.include", either("valueSet", "system")),
    ("vsd-2", "ValueSet.compose.include", implies("concept", "system")),
    ("vsd-2", "ValueSet.compose.include", implies("filter", "system")),
    ("vsd-3", "ValueSet.compose.include", not_both("concept", "filter")),
    ("vsd-6", "ValueSet.expansion.contains", either("code", "display")),
    ("vsd-9", "ValueSet.expansion.contains", when(_lacks("abstract", True), either("code"))),
    ("vsd-10", "ValueSet.expansion.contains", implies("code", "system")),
)


def rules_of(path: str) -> list[Schema]:
    """The schema parts of the invariants of one type."""
    return [rule(path) for _, where, rule in RULES if where == path]


@cache
def _judge(position: int) -> Any:
    _, where, rule = RULES[position]
    return jsonschema_rs.Draft4Validator(rule(where))


def broken_rules(path: str, node: Any) -> list[str]:
    """The official keys of the rules that an object of type ``path`` breaks."""
    found = {
        key: None
        for position, (key, where, _) in enumerate(RULES)
        if where == path and not _judge(position).is_valid(node)
    }
    return list(found)
