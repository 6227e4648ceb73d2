"""What was seen and done: the clinical resources."""

from __future__ import annotations

from collections.abc import Callable

from tools.invented.values import (
    CORE_CODES,
    HL7,
    LOINC,
    SNOMED,
    SYNTHEA,
    TERMINOLOGY,
    US_CORE,
    Invention,
    Tree,
    coding,
    concept,
    concepts,
    head,
)

__all__ = ["CARE"]

_MEASURES = [
    ("8302-2", "Body Height", "cm", "vital-signs", "bodyheight"),
    ("29463-7", "Body Weight", "kg", "vital-signs", "bodyweight"),
    ("39156-5", "Body mass index (BMI) [Ratio]", "kg/m2", "vital-signs", "bmi"),
    ("8867-4", "Heart rate", "/min", "vital-signs", "heartrate"),
    ("9279-1", "Respiratory rate", "/min", "vital-signs", "resprate"),
    ("8310-5", "Body temperature", "Cel", "vital-signs", "bodytemp"),
    ("2708-6", "Oxygen saturation in Arterial blood", "%", "vital-signs", "oxygensat"),
    ("2339-0", "Glucose [Mass/volume] in Blood", "mg/dL", "laboratory", ""),
    ("4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", "laboratory", ""),
    ("2093-3", "Cholesterol [Mass/volume] in Serum or Plasma", "mg/dL", "laboratory", ""),
    ("38483-4", "Creatinine [Mass/volume] in Blood", "mg/dL", "laboratory", ""),
    ("2947-0", "Sodium [Moles/volume] in Blood", "mmol/L", "laboratory", ""),
    ("6298-4", "Potassium [Moles/volume] in Blood", "mmol/L", "laboratory", ""),
    ("718-7", "Hemoglobin [Mass/volume] in Blood", "g/dL", "laboratory", ""),
    ("6690-2", "Leukocytes [#/volume] in Blood by Automated count", "10*3/uL", "laboratory", ""),
]
_PANEL = [("8480-6", "Systolic Blood Pressure"), ("8462-4", "Diastolic Blood Pressure")]


def _category(v: Invention, kind: str) -> list[Tree]:
    display = v.pick(kind, kind.replace("-", " ").title())
    return [concepts("observation-category", kind, display)]


def _observed(v: Invention, kind: str, code: Tree, *profiles: str) -> Tree:
    return head(v, "Observation", *profiles) | {
        "status": v.pick("final", "final", "amended", "preliminary"),
        "category": _category(v, kind),
        "code": code,
        "subject": v.subject(),
        "encounter": v.at_encounter(),
        "effectiveDateTime": v.date_time(),
        "issued": v.instant(),
    }


def _measured(v: Invention) -> Tree:
    code, display, unit, kind, profile = v.pick(*_MEASURES)
    profiles = [HL7 + profile, HL7 + "vitalsigns"] if profile else [US_CORE + "observation-lab"]
    body = _observed(v, kind, concept(LOINC, code, display), *profiles)
    body["valueQuantity"] = v.quantity(unit)
    if kind == "laboratory" and v.chance(0.3):
        body["interpretation"] = [concepts("v3-ObservationInterpretation", "N", "Normal")]
        body["referenceRange"] = [{"low": v.quantity(unit), "high": v.quantity(unit)}]
        body["performer"] = [v.reference("Practitioner", v.doctor())]
    return body


def _pressure(v: Invention) -> Tree:
    code = concept(LOINC, "85354-9", "Blood pressure panel with all children optional")
    return _observed(v, "vital-signs", code, HL7 + "bp", HL7 + "vitalsigns") | {
        "component": [
            {"code": concept(LOINC, *one), "valueQuantity": v.quantity("mm[Hg]")} for one in _PANEL
        ]
    }


def _answered(v: Invention) -> Tree:
    code = concept(LOINC, f"{v.digits(5)}-{v.digits(1)}", v.words(4))
    body = _observed(v, v.pick("survey", "social-history"), code)
    if v.chance(0.5):
        return body | {"valueCodeableConcept": v.snomed("finding")}
    return body | {"valueQuantity": v.quantity("{score}")}


def _condition(v: Invention) -> Tree:
    status = v.pick("active", "resolved")
    ended = {"abatementDateTime": v.date_time()} if status == "resolved" else {}
    return head(v, "Condition", US_CORE + v.pick("condition", "condition-encounter-diagnosis")) | {
        "clinicalStatus": concepts("condition-clinical", status),
        "verificationStatus": concepts("condition-ver-status", "confirmed"),
        "category": [concepts("condition-category", "encounter-diagnosis", "Encounter Diagnosis")],
        "code": v.snomed(v.pick("disorder", "finding", "situation")),
        "subject": v.subject(),
        "encounter": v.at_encounter(),
        "onsetDateTime": v.date_time(),
        **ended,
        "recordedDate": v.date_time(),
    }


def _encounter(v: Invention) -> Tree:
    period = v.period()
    return head(v, "Encounter", US_CORE + "encounter") | {
        "identifier": [{"use": "official", "system": SYNTHEA, "value": v.uuid()}],
        "status": "finished",
        "class": coding(TERMINOLOGY + "v3-ActCode", v.pick("AMB", "EMER", "IMP", "HH", "VR")),
        "type": [v.snomed("procedure")],
        "subject": v.reference("Patient", f"Mr. {v.words()}"),
        "participant": [
            {
                "type": [
                    concept(TERMINOLOGY + "v3-ParticipationType", "PPRF", "primary performer")
                ],
                "period": period,
                "individual": v.reference("Practitioner", v.doctor()),
            }
        ],
        "period": period,
        "reasonCode": [v.snomed()],
        "location": [{"location": v.reference("Location", v.site)}],
        "serviceProvider": v.reference("Organization", v.site),
    }


def _procedure(v: Invention) -> Tree:
    body = head(v, "Procedure", US_CORE + "procedure") | {
        "status": "completed",
        "code": v.snomed("procedure"),
        "subject": v.subject(),
        "encounter": v.at_encounter(),
        "performedPeriod": v.period(),
        "location": v.reference("Location", v.site),
    }
    if v.chance(0.3):
        body["reasonReference"] = [v.reference("Condition", v.words())]
    return body


def _allergy(v: Invention) -> Tree:
    return head(v, "AllergyIntolerance", US_CORE + "allergyintolerance") | {
        "clinicalStatus": concepts("allergyintolerance-clinical", "active"),
        "verificationStatus": concepts("allergyintolerance-verification", "confirmed"),
        "type": v.pick("allergy", "intolerance"),
        "category": [v.pick("food", "medication", "environment")],
        "criticality": v.pick("low", "high"),
        "code": v.snomed("substance"),
        "patient": v.subject(),
        "recordedDate": v.date_time(),
        "reaction": [
            {"manifestation": [v.snomed("finding")], "severity": v.pick("mild", "severe")}
        ],
    }


def _care_team(v: Invention) -> Tree:
    members = [
        v.reference("Patient", f"Mr. {v.words()}"),
        v.reference("Practitioner", v.doctor()),
        v.reference("Organization", v.site),
    ]
    return head(v, "CareTeam", US_CORE + "careteam") | {
        "status": v.pick("active", "inactive"),
        "subject": v.subject(),
        "encounter": v.at_encounter(),
        "period": v.period(),
        "participant": [
            {"role": [v.snomed(v.pick("occupation", "qualifier value"))], "member": member}
            for member in members
        ],
        "reasonCode": [v.snomed()],
        "managingOrganization": [v.reference("Organization", v.site)],
    }


def _care_plan(v: Invention) -> Tree:
    topic = v.snomed("record artifact")
    status, done = v.pick(("active", "in-progress"), ("completed", "completed"))
    return head(v, "CarePlan", US_CORE + "careplan") | {
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">Care Plan for {v.name()}.<br/>'
            f"Activities: <ul><li>{v.words(3)}</li><li>{v.words(3)}</li></ul><br/></div>",
        },
        "status": status,
        "intent": "order",
        "category": [
            {"coding": [coding(CORE_CODES + "careplan-category", "assess-plan")]},
            topic,
        ],
        "subject": v.subject(),
        "encounter": v.at_encounter(),
        "period": v.period(),
        "careTeam": [v.reference("CareTeam")],
        "addresses": [v.reference("Condition")],
        "activity": [
            {
                "detail": {
                    "code": v.snomed("procedure"),
                    "status": done,
                    "location": {"display": v.site},
                }
            }
            for _ in range(2)
        ],
    }


def _service_request(v: Invention) -> Tree:
    return head(v, "ServiceRequest", US_CORE + "servicerequest") | {
        "status": v.pick("active", "completed"),
        "intent": "order",
        "priority": "routine",
        "code": v.snomed("procedure"),
        "subject": v.subject(),
        "encounter": v.at_encounter(),
        "authoredOn": v.date_time(),
        "requester": v.reference("Practitioner", v.doctor()),
        "performer": [v.reference("Organization", v.site)],
        "reasonCode": [v.snomed()],
    }


def _specimen(v: Invention) -> Tree:
    return head(v, "Specimen", US_CORE + "specimen") | {
        "status": "available",
        "type": v.snomed("specimen"),
        "subject": v.subject(),
        "receivedTime": v.date_time(),
        "collection": {"collectedDateTime": v.date_time(), "bodySite": v.snomed("body structure")},
    }


def _device(v: Invention) -> Tree:
    return head(v, "Device", US_CORE + "implantable-device") | {
        "udiCarrier": [{"deviceIdentifier": v.digits(14), "carrierHRF": v.digits(30)}],
        "status": "active",
        "distinctIdentifier": v.digits(14),
        "manufactureDate": v.date_time(),
        "expirationDate": v.date_time(),
        "lotNumber": v.digits(10),
        "serialNumber": v.digits(12),
        "deviceName": [{"name": v.words(), "type": "user-friendly-name"}],
        "type": v.snomed("physical object"),
        "patient": v.subject(),
    }


def _goal(v: Invention) -> Tree:
    return head(v, "Goal", US_CORE + "goal") | {
        "lifecycleStatus": v.pick("active", "completed"),
        "achievementStatus": concepts("goal-achievement", "in-progress", "In Progress"),
        "description": {"text": v.words(4)},
        "subject": v.subject(),
        "target": [{"measure": concept(LOINC, "4548-4", v.words(3)), "dueDate": v.date()}],
    }


def _imaging_study(v: Invention) -> Tree:
    uid, started = f"1.2.840.{v.digits(8)}.{v.digits(8)}.{v.digits(13)}", v.date_time()
    dicom = "http://dicom.nema.org/medical/dicom/current/output/chtml/part16/sect_CID_29.html"
    return head(v, "ImagingStudy") | {
        "identifier": [
            {"use": "official", "system": "urn:ietf:rfc:3986", "value": f"urn:oid:{uid}"}
        ],
        "status": "available",
        "subject": v.subject(),
        "encounter": v.at_encounter(),
        "started": started,
        "numberOfSeries": 1,
        "numberOfInstances": 1,
        "procedureCode": [v.snomed("procedure")],
        "location": v.reference("Location", v.site),
        "series": [
            {
                "uid": f"{uid}.1",
                "number": 1,
                "modality": coding(dicom, "DX", "Digital Radiography"),
                "numberOfInstances": 1,
                "bodySite": coding(SNOMED, v.digits(8), v.name()),
                "started": started,
                "instance": [
                    {
                        "uid": f"{uid}.1.1",
                        "sopClass": coding("urn:ietf:rfc:3986", "1.2.840.10008.5.1.4.1.1.1.1"),
                        "number": 1,
                        "title": v.words(),
                    }
                ],
            }
        ],
    }


CARE: dict[Callable[[Invention], Tree], int] = {
    _measured: 14,
    _pressure: 3,
    _answered: 3,
    _condition: 6,
    _encounter: 8,
    _procedure: 6,
    _allergy: 2,
    _care_team: 3,
    _care_plan: 3,
    _service_request: 2,
    _specimen: 1,
    _device: 1,
    _goal: 1,
    _imaging_study: 1,
}
