"""Medicines and vaccines."""

from __future__ import annotations

from collections.abc import Callable

from tools.invented.values import SNOMED, US_CORE, Invention, Tree, concept, concepts, head

__all__ = ["DRUGS"]

_RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"


def _drug(v: Invention) -> Tree:
    form = v.pick("Oral Tablet", "Oral Capsule", "Injection", "Extended Release Oral Tablet")
    words = f"{v.name().lower()} {v.random.randint(1, 500)} MG {form}"
    return concept(_RXNORM, v.digits(6), words)


def _request(v: Invention) -> Tree:
    body = head(v, "MedicationRequest", US_CORE + "medicationrequest") | {
        "status": v.pick("active", "stopped", "completed"),
        "intent": "order",
    }
    if v.chance(0.5):
        body["category"] = [concepts("medicationrequest-category", "community", "Community")]
    body |= {
        "medicationCodeableConcept": _drug(v),
        "subject": v.subject(),
        "encounter": v.at_encounter(),
        "authoredOn": v.date_time(),
        "requester": v.reference("Practitioner", v.doctor()),
    }
    if v.chance(0.5):
        body["reasonReference"] = [v.reference("Condition")]
    if v.chance(0.6):
        body["dosageInstruction"] = [_dosage(v)]
    return body


def _dosage(v: Invention) -> Tree:
    kind = concepts("dose-rate-type", "ordered", "Ordered")
    return {
        "sequence": 1,
        "text": "Take as needed.",
        "timing": {"repeat": {"frequency": v.pick(1, 2), "period": 1.0, "periodUnit": "d"}},
        "asNeededBoolean": v.pick(True, False),
        "route": concept(SNOMED, v.digits(8), "Oral"),
        "doseAndRate": [{"type": kind, "doseQuantity": {"value": 1.0}}],
    }


def _administration(v: Invention) -> Tree:
    return head(v, "MedicationAdministration") | {
        "status": "completed",
        "medicationCodeableConcept": _drug(v),
        "subject": v.subject(),
        "context": v.at_encounter(),
        "effectiveDateTime": v.date_time(),
        "reasonReference": [v.reference("Condition")],
        "dosage": {"dose": v.quantity("mg")},
    }


def _medication(v: Invention) -> Tree:
    return head(v, "Medication", US_CORE + "medication") | {"code": _drug(v), "status": "active"}


def _dispense(v: Invention) -> Tree:
    return head(v, "MedicationDispense", US_CORE + "medicationdispense") | {
        "status": "completed",
        "medicationCodeableConcept": _drug(v),
        "subject": v.subject(),
        "context": v.at_encounter(),
        "performer": [{"actor": v.reference("Practitioner", v.doctor())}],
        "authorizingPrescription": [v.reference("MedicationRequest")],
        "quantity": v.quantity("{tablet}"),
        "daysSupply": v.quantity("d"),
        "whenHandedOver": v.date_time(),
        "dosageInstruction": [_dosage(v)],
    }


def _immunization(v: Invention) -> Tree:
    return head(v, "Immunization", US_CORE + "immunization") | {
        "status": "completed",
        "vaccineCode": concept("http://hl7.org/fhir/sid/cvx", v.digits(3), v.words(4)),
        "patient": v.subject(),
        "encounter": v.at_encounter(),
        "occurrenceDateTime": v.date_time(),
        "primarySource": True,
        "location": v.reference("Location", v.site),
    }


DRUGS: dict[Callable[[Invention], Tree], int] = {
    _request: 5,
    _administration: 1,
    _medication: 1,
    _dispense: 1,
    _immunization: 4,
}
