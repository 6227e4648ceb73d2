"""Trains the zstd dictionary of fbe1 bodies on invented records, and on nothing else.

    python tools/train_dictionary.py            writes fhir_bridge/keys/data/
    python tools/train_dictionary.py --check    trains again and compares

A dictionary holds pieces of what it was trained on, and it is shipped to everybody: so every
record here is made up by this file from a fixed seed. The shapes (element names, code systems,
profiles, order of elements) are those of common FHIR R4 resources; names, numbers, dates and
texts are drawn at random and stand for nobody.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import zstandard

DICTIONARY_ID = 100_001
SIZE_BYTES = 48 * 1024
SAMPLES = 6000
SEED = 20261
DATA = Path(__file__).resolve().parents[1] / "fhir_bridge" / "keys" / "data"

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
UCUM = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
PROFILE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
SYLLABLES = [
    "ba",
    "ke",
    "li",
    "mo",
    "nu",
    "ra",
    "se",
    "ti",
    "vo",
    "zu",
    "dal",
    "fen",
    "gor",
    "hul",
    "jin",
    "kos",
    "lem",
    "mar",
    "nev",
    "pol",
]

OBSERVATIONS = [
    ("8302-2", "Body Height", "cm", "vital-signs"),
    ("29463-7", "Body Weight", "kg", "vital-signs"),
    ("39156-5", "Body mass index (BMI) [Ratio]", "kg/m2", "vital-signs"),
    ("8867-4", "Heart rate", "/min", "vital-signs"),
    ("9279-1", "Respiratory rate", "/min", "vital-signs"),
    ("8310-5", "Body temperature", "Cel", "vital-signs"),
    ("2339-0", "Glucose [Mass/volume] in Blood", "mg/dL", "laboratory"),
    ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", "laboratory"),
    ("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL", "laboratory"),
    ("38483-4", "Creatinine [Mass/volume] in Blood", "mg/dL", "laboratory"),
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", "laboratory"),
    ("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10*3/uL", "laboratory"),
]
CONDITIONS = [
    ("59621000", "Essential hypertension (disorder)"),
    ("44054006", "Diabetes mellitus type 2 (disorder)"),
    ("195662009", "Acute viral pharyngitis (disorder)"),
    ("444814009", "Viral sinusitis (disorder)"),
    ("195967001", "Asthma (disorder)"),
]
PROCEDURES = [
    ("430193006", "Medication Reconciliation (procedure)"),
    ("710824005", "Assessment of health and social care needs (procedure)"),
    ("76601001", "Intramuscular injection (procedure)"),
]
DRUGS = [
    ("314076", "lisinopril 10 MG Oral Tablet"),
    ("860975", "24 HR Metformin hydrochloride 500 MG Extended Release Oral Tablet"),
    ("313782", "Acetaminophen 325 MG Oral Tablet"),
]
VACCINES = [("140", "Influenza, seasonal, injectable, preservative free"), ("113", "Td (adult)")]

Maker = Callable[["Invention"], dict[str, Any]]


class Invention:
    """A source of made-up values."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.patient = self.uuid()
        self.encounter = self.uuid()

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def name(self) -> str:
        return "".join(self.random.choices(SYLLABLES, k=self.random.randint(2, 3))).capitalize()

    def digits(self, count: int) -> str:
        return "".join(self.random.choices("0123456789", k=count))

    def date(self) -> str:
        r = self.random
        return f"{r.randint(1930, 2026)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}"

    def instant(self) -> str:
        r = self.random
        return f"{self.date()}T{r.randint(0, 23):02d}:{r.randint(0, 59):02d}:{r.randint(0, 59):02d}"

    def date_time(self) -> str:
        return self.instant() + self.random.choice(["-05:00", "-04:00", "+00:00", "Z"])

    def reference(self, type_: str) -> str:
        known = {"Patient": self.patient, "Encounter": self.encounter}
        return f"{type_}/{known.get(type_) or self.uuid()}"


def head(v: Invention, type_: str, profile: str | None = None) -> dict[str, Any]:
    """The first elements of a stored resource: id and meta are part of the stored bytes."""
    meta: dict[str, Any] = {
        "versionId": v.uuid(),
        "lastUpdated": v.instant() + f".{v.digits(3)}Z",
    }
    if profile and v.random.random() < 0.6:
        meta["profile"] = [PROFILE + profile]
    if v.random.random() < 0.1:
        meta["security"] = [{"system": TERMINOLOGY + "v3-Confidentiality", "code": "R"}]
    return {"resourceType": type_, "id": v.uuid(), "meta": meta}


def concept(system: str, code: str, display: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def category(code: str, system: str, display: str | None = None) -> list[dict[str, Any]]:
    coding = {"system": TERMINOLOGY + system, "code": code}
    if display:
        coding["display"] = display
    return [{"coding": [coding]}]


def patient(v: Invention) -> dict[str, Any]:
    family, given = v.name() + v.digits(3), v.name() + v.digits(3)
    return head(v, "Patient", "patient") | {
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{given} {family}</div>',
        },
        "extension": [
            {
                "url": PROFILE + "race",
                "extension": [
                    {
                        "url": "ombCategory",
                        "valueCoding": {
                            "system": "urn:oid:2.16.840.1.113883.6.238",
                            "code": "2106-3",
                            "display": "White",
                        },
                    },
                    {"url": "text", "valueString": "White"},
                ],
            },
            {"url": PROFILE + "birthsex", "valueCode": v.random.choice("MF")},
        ],
        "identifier": [
            {
                "use": "usual",
                "type": concept(TERMINOLOGY + "v2-0203", "MR", "Medical Record Number"),
                "system": f"http://hospital.example.org/{v.digits(4)}",
                "value": v.uuid(),
            },
            {
                "type": concept(TERMINOLOGY + "v2-0203", "SS", "Social Security Number"),
                "system": "http://hl7.org/fhir/sid/us-ssn",
                "value": f"999-{v.digits(2)}-{v.digits(4)}",
            },
        ],
        "active": True,
        "name": [{"use": "official", "family": family, "given": [given], "prefix": ["Mr."]}],
        "telecom": [
            {"system": "phone", "value": f"555-{v.digits(3)}-{v.digits(4)}", "use": "home"}
        ],
        "gender": v.random.choice(["male", "female"]),
        "birthDate": v.date(),
        "address": [
            {
                "line": [f"{v.digits(3)} {v.name()} Street"],
                "city": v.name(),
                "state": "MA",
                "postalCode": v.digits(5),
                "country": "US",
            }
        ],
        "maritalStatus": concept(TERMINOLOGY + "v3-MaritalStatus", "M", "Married"),
        "multipleBirthBoolean": False,
        "communication": [{"language": concept("urn:ietf:bcp:47", "en-US", "English")}],
    }


def observation(v: Invention) -> dict[str, Any]:
    code, display, unit, kind = v.random.choice(OBSERVATIONS)
    title = "Vital Signs" if kind == "vital-signs" else "Laboratory"
    body = head(v, "Observation", "observation-lab" if kind == "laboratory" else "vital-signs") | {
        "status": "final",
        "category": category(kind, "observation-category", title),
        "code": concept(LOINC, code, display),
        "subject": {"reference": v.reference("Patient")},
        "encounter": {"reference": v.reference("Encounter")},
        "effectiveDateTime": v.date_time(),
        "issued": v.instant() + f".{v.digits(3)}-05:00",
    }
    if v.random.random() < 0.15:
        return body | {
            "code": concept(LOINC, "85354-9", "Blood pressure panel with all children optional"),
            "component": [
                {"code": concept(LOINC, c, d), "valueQuantity": quantity(v, "mm[Hg]")}
                for c, d in (
                    ("8480-6", "Systolic Blood Pressure"),
                    ("8462-4", "Diastolic Blood Pressure"),
                )
            ],
        }
    body["valueQuantity"] = quantity(v, unit)
    if kind == "laboratory" and v.random.random() < 0.5:
        body["interpretation"] = category("N", "v3-ObservationInterpretation", "Normal")
        body["referenceRange"] = [{"low": quantity(v, unit), "high": quantity(v, unit)}]
        body["performer"] = [{"reference": v.reference("Practitioner"), "display": v.name()}]
    return body


def quantity(v: Invention, unit: str) -> dict[str, Any]:
    value = round(v.random.uniform(1, 300), v.random.randint(0, 4))
    return {"value": value, "unit": unit, "system": UCUM, "code": unit}


def condition(v: Invention) -> dict[str, Any]:
    return head(v, "Condition", "condition-encounter-diagnosis") | {
        "clinicalStatus": category("active", "condition-clinical")[0],
        "verificationStatus": category("confirmed", "condition-ver-status")[0],
        "category": category("encounter-diagnosis", "condition-category", "Encounter Diagnosis"),
        "code": concept(SNOMED, *v.random.choice(CONDITIONS)),
        "subject": {"reference": v.reference("Patient")},
        "encounter": {"reference": v.reference("Encounter")},
        "onsetDateTime": v.date_time(),
        "recordedDate": v.date_time(),
    }


def encounter(v: Invention) -> dict[str, Any]:
    kind = concept(SNOMED, "162673000", "General examination of patient (procedure)")
    role = concept(TERMINOLOGY + "v3-ParticipationType", "PPRF", "primary performer")
    period = {"start": v.date_time(), "end": v.date_time()}
    return head(v, "Encounter", "encounter") | {
        "identifier": [
            {"use": "official", "system": "http://hospital.example.org/visit", "value": v.uuid()}
        ],
        "status": "finished",
        "class": {"system": TERMINOLOGY + "v3-ActCode", "code": "AMB"},
        "type": [kind],
        "subject": {"reference": v.reference("Patient"), "display": f"{v.name()} {v.name()}"},
        "participant": [
            {
                "type": [role],
                "period": period,
                "individual": {"reference": v.reference("Practitioner"), "display": v.name()},
            }
        ],
        "period": period,
        "reasonCode": [concept(SNOMED, *v.random.choice(CONDITIONS))],
        "location": [{"location": {"reference": v.reference("Location"), "display": v.name()}}],
        "serviceProvider": {"reference": v.reference("Organization"), "display": v.name()},
    }


def procedure(v: Invention) -> dict[str, Any]:
    return head(v, "Procedure", "procedure") | {
        "status": "completed",
        "code": concept(SNOMED, *v.random.choice(PROCEDURES)),
        "subject": {"reference": v.reference("Patient")},
        "encounter": {"reference": v.reference("Encounter")},
        "performedPeriod": {"start": v.date_time(), "end": v.date_time()},
        "location": {"reference": v.reference("Location"), "display": v.name()},
    }


def medication_request(v: Invention) -> dict[str, Any]:
    return head(v, "MedicationRequest", "medicationrequest") | {
        "status": v.random.choice(["active", "stopped", "completed"]),
        "intent": "order",
        "category": category("community", "medicationrequest-category", "Community"),
        "medicationCodeableConcept": concept(RXNORM, *v.random.choice(DRUGS)),
        "subject": {"reference": v.reference("Patient")},
        "encounter": {"reference": v.reference("Encounter")},
        "authoredOn": v.date_time(),
        "requester": {"reference": v.reference("Practitioner"), "display": v.name()},
        "dosageInstruction": [
            {
                "sequence": 1,
                "text": "Take as needed.",
                "timing": {"repeat": {"frequency": 1, "period": 1.0, "periodUnit": "d"}},
                "asNeededBoolean": False,
                "route": concept(SNOMED, "26643006", "Oral route"),
                "doseAndRate": [{"doseQuantity": {"value": 1.0}}],
            }
        ],
    }


def immunization(v: Invention) -> dict[str, Any]:
    return head(v, "Immunization", "immunization") | {
        "status": "completed",
        "vaccineCode": concept("http://hl7.org/fhir/sid/cvx", *v.random.choice(VACCINES)),
        "patient": {"reference": v.reference("Patient")},
        "encounter": {"reference": v.reference("Encounter")},
        "occurrenceDateTime": v.date_time(),
        "primarySource": True,
    }


def diagnostic_report(v: Invention) -> dict[str, Any]:
    return head(v, "DiagnosticReport", "diagnosticreport-lab") | {
        "status": "final",
        "category": category("LAB", "v2-0074", "Laboratory"),
        "code": concept(LOINC, "51990-0", "Basic Metabolic Panel"),
        "subject": {"reference": v.reference("Patient")},
        "encounter": {"reference": v.reference("Encounter")},
        "effectiveDateTime": v.date_time(),
        "issued": v.instant() + f".{v.digits(3)}-05:00",
        "performer": [{"reference": v.reference("Organization"), "display": v.name()}],
        "result": [
            {"reference": v.reference("Observation"), "display": o[1]}
            for o in v.random.sample(OBSERVATIONS, 4)
        ],
    }


def allergy(v: Invention) -> dict[str, Any]:
    return head(v, "AllergyIntolerance", "allergyintolerance") | {
        "clinicalStatus": category("active", "allergyintolerance-clinical")[0],
        "verificationStatus": category("confirmed", "allergyintolerance-verification")[0],
        "type": "allergy",
        "category": [v.random.choice(["food", "medication", "environment"])],
        "criticality": "low",
        "code": concept(SNOMED, "260147004", "House dust mite (organism)"),
        "patient": {"reference": v.reference("Patient")},
        "recordedDate": v.date_time(),
    }


def claim(v: Invention) -> dict[str, Any]:
    return head(v, "Claim") | {
        "status": "active",
        "type": category("institutional", "claim-type")[0],
        "use": "claim",
        "patient": {"reference": v.reference("Patient"), "display": v.name()},
        "billablePeriod": {"start": v.date_time(), "end": v.date_time()},
        "created": v.date_time(),
        "provider": {"reference": v.reference("Organization"), "display": v.name()},
        "priority": category("normal", "processpriority")[0],
        "insurance": [{"sequence": 1, "focal": True, "coverage": {"display": v.name()}}],
        "item": [
            {
                "sequence": 1,
                "productOrService": concept(SNOMED, *v.random.choice(CONDITIONS)),
                "encounter": [{"reference": v.reference("Encounter")}],
            }
        ],
        "total": {"value": round(v.random.uniform(20, 2000), 2), "currency": "USD"},
    }


def document(v: Invention) -> dict[str, Any]:
    period = {"start": v.date_time(), "end": v.date_time()}
    return head(v, "DocumentReference", "documentreference") | {
        "identifier": [{"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{v.uuid()}"}],
        "status": "current",
        "type": concept(LOINC, "34117-2", "History and physical note"),
        "category": category("clinical-note", "documentreference-category", "Clinical Note"),
        "subject": {"reference": v.reference("Patient")},
        "date": v.date_time(),
        "author": [{"reference": v.reference("Practitioner"), "display": v.name()}],
        "custodian": {"reference": v.reference("Organization"), "display": v.name()},
        "content": [{"attachment": {"contentType": "text/plain", "data": v.uuid()}}],
        "context": {"encounter": [{"reference": v.reference("Encounter")}], "period": period},
    }


def consent(v: Invention) -> dict[str, Any]:
    purpose = {"system": TERMINOLOGY + "v3-ActReason", "code": "TREAT"}
    role = concept(TERMINOLOGY + "v3-ParticipationType", "IRCP", "information recipient")
    actor = {"role": role, "reference": {"reference": v.reference("Organization")}}
    return head(v, "Consent") | {
        "status": "active",
        "scope": concept(TERMINOLOGY + "consentscope", "patient-privacy", "Privacy Consent"),
        "category": [concept(LOINC, "59284-0", "Consent Document")],
        "patient": {"reference": v.reference("Patient")},
        "dateTime": v.date_time(),
        "policyRule": concept(TERMINOLOGY + "v3-ActCode", "OPTIN", "opt-in"),
        "provision": {
            "type": v.random.choice(["permit", "deny"]),
            "period": {"start": v.date_time(), "end": v.date_time()},
            "actor": [actor],
            "purpose": [purpose],
        },
    }


def organization(v: Invention) -> dict[str, Any]:
    kind = concept(TERMINOLOGY + "organization-type", "prov", "Healthcare Provider")
    return head(v, "Organization", "organization") | {
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": v.digits(10)}],
        "active": True,
        "type": [kind],
        "name": f"{v.name()} {v.name()} Hospital",
        "telecom": [{"system": "phone", "value": v.digits(10)}],
        "address": [{"line": [v.name()], "city": v.name(), "state": "MA", "country": "US"}],
    }


def practitioner(v: Invention) -> dict[str, Any]:
    return head(v, "Practitioner", "practitioner") | {
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": v.digits(10)}],
        "active": True,
        "name": [{"family": v.name(), "given": [v.name()], "prefix": ["Dr."]}],
        "telecom": [{"system": "email", "value": f"{v.name()}@example.com", "use": "work"}],
        "gender": v.random.choice(["male", "female"]),
    }


MAKERS: list[tuple[Maker, int]] = [
    (observation, 10),
    (condition, 4),
    (encounter, 4),
    (procedure, 3),
    (medication_request, 4),
    (immunization, 2),
    (diagnostic_report, 3),
    (allergy, 2),
    (claim, 3),
    (document, 2),
    (consent, 2),
    (patient, 4),
    (organization, 1),
    (practitioner, 1),
]


def records(count: int, seed: int = SEED) -> list[bytes]:
    """``count`` invented records as compact JSON; the same for the same seed."""
    chooser = random.Random(seed)
    makers, weights = zip(*MAKERS, strict=True)
    out = []
    for _ in range(count):
        (maker,) = chooser.choices(makers, weights)
        tree = maker(Invention(chooser.getrandbits(64)))
        out.append(json.dumps(tree, separators=(",", ":"), ensure_ascii=False).encode())
    return out


def train() -> bytes:
    """The dictionary; the same bytes with the same version of zstd."""
    return zstandard.train_dictionary(
        SIZE_BYTES, cast(Any, records(SAMPLES)), dict_id=DICTIONARY_ID, level=3, k=1024, d=8
    ).as_bytes()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="train again and compare")
    arguments = parser.parse_args()
    content, name = train(), f"fbe1-{DICTIONARY_ID}.zdict"
    if arguments.check:
        same = (DATA / name).read_bytes() == content
        print("same" if same else "different (another version of zstd trains differently)")
        return int(not same)
    DATA.mkdir(parents=True, exist_ok=True)
    (DATA / name).write_bytes(content)
    catalogue = {
        "current": DICTIONARY_ID,
        "files": {str(DICTIONARY_ID): name},
        "sha256": {name: hashlib.sha256(content).hexdigest()},
    } | {"source": "tools/train_dictionary.py, invented records only"}
    (DATA / "dictionaries.json").write_text(json.dumps(catalogue, indent=2) + "\n", "ascii")
    print(f"{name}: {len(content)} bytes from {SAMPLES} invented records")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
