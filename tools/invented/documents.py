"""Reports, documents, consents, and who vouches for what."""

from __future__ import annotations

import base64
from collections.abc import Callable

from tools.invented.values import (
    CORE_CODES,
    LOINC,
    TERMINOLOGY,
    US_CORE,
    Invention,
    Tree,
    coding,
    concept,
    concepts,
    head,
)

__all__ = ["DOCUMENTS"]

_NOTES = [("34117-2", "History and physical note"), ("51847-2", "Evaluation+Plan note")]


def _notes() -> Tree:
    return {"coding": [coding(LOINC, *note) for note in _NOTES]}


def _attachment(v: Invention) -> Tree:
    text = f"\n{v.date()}\n\n# {v.words()}\n{v.words(5)}\n\n# {v.words()}\n{v.words(9)}\n"
    data = base64.b64encode(text.encode()).decode()
    return {"contentType": v.pick("text/plain", "text/plain; charset=utf-8"), "data": data}


def _lab_report(v: Invention) -> Tree:
    return head(v, "DiagnosticReport", US_CORE + "diagnosticreport-lab") | {
        "status": "final",
        "category": [concepts("v2-0074", "LAB", "Laboratory")],
        "code": concept(LOINC, f"{v.digits(5)}-{v.digits(1)}", v.words(3)),
        "subject": v.subject(),
        "encounter": v.at_encounter(),
        "effectiveDateTime": v.date_time(),
        "issued": v.instant(),
        "performer": [v.reference("Organization", v.site)],
        "result": [v.reference("Observation", v.words(3)) for _ in range(4)],
    }


def _note_report(v: Invention) -> Tree:
    return head(v, "DiagnosticReport", US_CORE + "diagnosticreport-note") | {
        "status": "final",
        "category": [_notes()],
        "code": _notes(),
        "subject": v.subject(),
        "encounter": v.at_encounter(),
        "effectiveDateTime": v.date_time(),
        "issued": v.instant(),
        "performer": [v.reference("Practitioner", v.doctor())],
        "presentedForm": [_attachment(v)],
    }


def _document(v: Invention) -> Tree:
    kind = CORE_CODES + "us-core-documentreference-category"
    return head(v, "DocumentReference", US_CORE + "documentreference") | {
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{v.uuid()}"}],
        "status": v.pick("current", "superseded"),
        "type": _notes(),
        "category": [{"coding": [coding(kind, "clinical-note", "Clinical Note")]}],
        "subject": v.subject(),
        "date": v.instant(),
        "author": [v.reference("Practitioner", v.doctor())],
        "custodian": v.reference("Organization", v.site),
        "content": [
            {
                "attachment": _attachment(v),
                "format": coding(
                    "http://ihe.net/fhir/ValueSet/IHE.FormatCode.codesystem",
                    "urn:ihe:iti:xds:2017:mimeTypeSufficient",
                    "mimeType Sufficient",
                ),
            }
        ],
        "context": {"encounter": [v.at_encounter()], "period": v.period()},
    }


def _consent(v: Invention) -> Tree:
    role = concept(TERMINOLOGY + "v3-ParticipationType", "IRCP", "information recipient")
    return head(v, "Consent") | {
        "status": "active",
        "scope": concept(TERMINOLOGY + "consentscope", "patient-privacy", "Privacy Consent"),
        "category": [concept(LOINC, "59284-0", "Consent Document")],
        "patient": v.subject(),
        "dateTime": v.date_time(),
        "performer": [v.subject()],
        "policyRule": concept(TERMINOLOGY + "v3-ActCode", "OPTIN", "opt-in"),
        "provision": {
            "type": v.pick("permit", "deny"),
            "period": v.period(),
            "actor": [{"role": role, "reference": v.reference("Organization")}],
            "purpose": [coding(TERMINOLOGY + "v3-ActReason", "TREAT")],
        },
    }


def _provenance(v: Invention) -> Tree:
    kinds = [
        (TERMINOLOGY + "provenance-participant-type", "author", "Author"),
        (CORE_CODES + "us-core-provenance-participant-type", "transmitter", "Transmitter"),
    ]
    types = ("Observation", "Encounter", "Condition", "Claim", "Procedure", "DiagnosticReport")
    return head(v, "Provenance", US_CORE + "provenance") | {
        "target": [v.reference(v.pick(*types)) for _ in range(v.random.randint(1, 12))],
        "recorded": v.instant(),
        "agent": [
            {
                "type": concept(*kind),
                "who": v.reference("Practitioner", v.doctor()),
                "onBehalfOf": v.reference("Organization", v.site),
            }
            for kind in kinds
        ],
    }


def _questionnaire_response(v: Invention) -> Tree:
    return head(v, "QuestionnaireResponse", US_CORE + "questionnaireresponse") | {
        "questionnaire": f"http://example.org/Questionnaire/{v.name()}",
        "status": "completed",
        "subject": v.subject(),
        "encounter": v.at_encounter(),
        "authored": v.date_time(),
        "author": v.reference("Practitioner"),
        "item": [
            {
                "linkId": f"/{v.digits(5)}-{v.digits(1)}",
                "text": v.words(4),
                "answer": [{"valueCoding": coding(LOINC, f"LA{v.digits(4)}-{n}", v.words())}],
            }
            for n in range(3)
        ],
    }


DOCUMENTS: dict[Callable[[Invention], Tree], int] = {
    _lab_report: 4,
    _note_report: 4,
    _document: 5,
    _consent: 3,
    _provenance: 2,
    _questionnaire_response: 1,
}
