"""Who there is: patients, practitioners, organisations, places."""

from __future__ import annotations

from collections.abc import Callable

from tools.invented.values import (
    HL7,
    NUCC,
    SYNTHEA,
    TERMINOLOGY,
    US_CORE,
    Invention,
    Tree,
    coding,
    concept,
    extension,
    head,
)

__all__ = ["PEOPLE"]

_CDC = "urn:oid:2.16.840.1.113883.6.238"
_USES = ("encounters", "procedures", "labs", "prescriptions")


def _omb(name: str, code: str, display: str) -> Tree:
    return {
        "url": US_CORE + name,
        "extension": [
            {"url": "ombCategory", "valueCoding": coding(_CDC, code, display)},
            {"url": "text", "valueString": display},
        ],
    }


def _identifier(code: str, display: str, system: str, value: str) -> Tree:
    type_ = concept(TERMINOLOGY + "v2-0203", code, display)
    return {"type": type_, "system": system, "value": value}


def _patient(v: Invention) -> Tree:
    family, given = v.name(), v.name()
    place = {"city": v.name(), "state": "Massachusetts", "country": "US"}
    where = [
        {"url": "latitude", "valueDecimal": v.decimal(40, 43)},
        {"url": "longitude", "valueDecimal": v.decimal(-73, -70)},
    ]
    return head(v, "Patient", US_CORE + "patient") | {
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{given} {family}</div>',
        },
        "extension": [
            _omb("race", "2106-3", "White"),
            _omb("ethnicity", "2186-5", "Non Hispanic or Latino"),
            {"url": HL7 + "patient-mothersMaidenName", "valueString": v.words()},
            {"url": US_CORE + "birthsex", "valueCode": v.pick("M", "F")},
            {"url": HL7 + "patient-birthPlace", "valueAddress": place},
            extension("disability-adjusted-life-years", valueDecimal=v.random.random()),
            extension("quality-adjusted-life-years", valueDecimal=v.random.uniform(1, 80)),
        ],
        "identifier": [
            {"system": SYNTHEA, "value": v.uuid()},
            _identifier("MR", "Medical Record Number", "http://hospital.example.org", v.uuid()),
            _identifier(
                "SS",
                "Social Security Number",
                "http://hl7.org/fhir/sid/us-ssn",
                f"999-{v.digits(2)}-{v.digits(4)}",
            ),
            _identifier(
                "DL", "Driver's License", "urn:oid:2.16.840.1.113883.4.3.25", f"S{v.digits(8)}"
            ),
        ],
        "active": True,
        "name": [{"use": "official", "family": family, "given": [given], "prefix": ["Mr."]}],
        "telecom": [v.phone() | {"use": v.pick("home", "mobile")}],
        "gender": v.pick("male", "female"),
        "birthDate": v.date(),
        "address": [
            {"extension": [{"url": HL7 + "geolocation", "extension": where}]} | v.address()
        ],
        "maritalStatus": concept(TERMINOLOGY + "v3-MaritalStatus", "M", "Married"),
        "multipleBirthBoolean": False,
        "communication": [{"language": concept("urn:ietf:bcp:47", "en-US", "English")}],
    }


def _email(v: Invention) -> Tree:
    direct = {"url": US_CORE + "direct", "valueBoolean": True}
    return {
        "extension": [direct],
        "system": "email",
        "value": f"{v.name()}.{v.name()}@example.com",
        "use": "work",
    }


def _practitioner(v: Invention) -> Tree:
    return head(v, "Practitioner", US_CORE + "practitioner") | {
        "extension": [extension("utilization-encounters-extension", valueInteger=v.pick(1, 311))],
        "identifier": [v.npi()],
        "active": True,
        "name": [{"family": v.name(), "given": [v.name()], "prefix": ["Dr."]}],
        "telecom": [_email(v)],
        "address": [v.address()],
        "gender": v.pick("male", "female"),
    }


def _practitioner_role(v: Invention) -> Tree:
    work = concept(NUCC, v.digits(3) + "D00000X", v.words())
    return head(v, "PractitionerRole", US_CORE + "practitionerrole") | {
        "practitioner": {"identifier": v.npi(), "display": v.doctor()},
        "organization": v.by_identifier(SYNTHEA, v.site),
        "code": [work],
        "specialty": [work],
        "location": [v.by_identifier(SYNTHEA, v.site)],
        "telecom": [v.phone(), _email(v)],
    }


def _organization(v: Invention) -> Tree:
    body = head(v, "Organization", US_CORE + "organization")
    if v.chance(0.5):
        body["extension"] = [
            extension(f"utilization-{use}-extension", valueInteger=v.pick(0, 311)) for use in _USES
        ]
    return body | {
        "identifier": [v.pick({"system": SYNTHEA, "value": v.uuid()}, v.npi())],
        "active": True,
        "type": [concept(TERMINOLOGY + "organization-type", "prov", "Healthcare Provider")],
        "name": v.site,
        "telecom": [v.phone()],
        "address": [v.address()],
    }


def _location(v: Invention) -> Tree:
    return head(v, "Location", US_CORE + "location") | {
        "identifier": [{"system": SYNTHEA, "value": v.uuid()}],
        "status": "active",
        "name": v.site,
        "telecom": [v.phone()],
        "address": v.address(),
        "position": {
            "longitude": v.random.uniform(-73, -70),
            "latitude": v.random.uniform(41, 43),
        },
        "managingOrganization": v.by_identifier(SYNTHEA, v.site),
    }


def _related_person(v: Invention) -> Tree:
    return head(v, "RelatedPerson", US_CORE + "relatedperson") | {
        "active": True,
        "patient": v.subject(),
        "relationship": [concept(TERMINOLOGY + "v3-RoleCode", "MTH", "mother")],
        "name": [{"family": v.name(), "given": [v.name()]}],
        "telecom": [v.phone()],
        "address": [v.address()],
    }


PEOPLE: dict[Callable[[Invention], Tree], int] = {
    _patient: 5,
    _practitioner: 4,
    _practitioner_role: 4,
    _organization: 4,
    _location: 4,
    _related_person: 1,
}
