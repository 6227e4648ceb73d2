"""Made-up values, and the data types they stand in (R4 datatypes.html)."""

from __future__ import annotations

import random
import uuid
from typing import Any

__all__ = [
    "CORE_CODES",
    "HL7",
    "LOINC",
    "NUCC",
    "SNOMED",
    "SYNTHEA",
    "TERMINOLOGY",
    "UCUM",
    "US_CORE",
    "Invention",
    "Tree",
    "coding",
    "concept",
    "concepts",
    "extension",
    "head",
]

Tree = dict[str, Any]

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
NUCC = "http://nucc.org/provider-taxonomy"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"
HL7 = "http://hl7.org/fhir/StructureDefinition/"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
CORE_CODES = "http://hl7.org/fhir/us/core/CodeSystem/"
SYNTHEA = "https://github.com/synthetichealth/synthea"
_EXTENSIONS = "http://synthetichealth.github.io/synthea/"
_NPI = "http://hl7.org/fhir/sid/us-npi"
_SYLLABLES = "ba ke li mo nu ra se ti vo zu dal fen gor hul jin kos lem mar nev pol"


class Invention:
    """A source of made-up values; one patient, one encounter and one site for a record."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.patient = self.uuid()
        self.encounter = self.uuid()
        self.site = self.words().upper()
        self.offset = self.random.choice(["-05:00", "-04:00", "+01:00", "+02:00", "Z"])

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def pick(self, *values: Any) -> Any:
        return self.random.choice(values)

    def uuid(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def name(self) -> str:
        drawn = "".join(self.random.choices(_SYLLABLES.split(), k=self.random.randint(2, 3)))
        return f"{drawn.capitalize()}{self.pick('', self.digits(3))}"

    def words(self, count: int = 2) -> str:
        return " ".join(self.name() for _ in range(count))

    def doctor(self) -> str:
        return f"Dr. {self.words()}"

    def digits(self, count: int) -> str:
        return "".join(self.random.choices("0123456789", k=count))

    def decimal(self, low: float, high: float) -> float:
        return round(self.random.uniform(low, high), self.random.randint(0, 4))

    def date(self) -> str:
        r = self.random
        return f"{r.randint(1930, 2026)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}"

    def seconds(self) -> str:
        r = self.random
        return f"{self.date()}T{r.randint(0, 23):02d}:{r.randint(0, 59):02d}:{r.randint(0, 59):02d}"

    def date_time(self) -> str:
        return self.seconds() + self.offset

    def instant(self) -> str:
        return f"{self.seconds()}.{self.digits(3)}{self.offset}"

    def period(self) -> Tree:
        start, end = sorted((self.seconds(), self.seconds()))
        return {"start": start + self.offset, "end": end + self.offset}

    def reference(self, type_: str, display: str | None = None) -> Tree:
        known = {"Patient": self.patient, "Encounter": self.encounter}
        id_ = known.get(type_) or self.uuid()
        found: Tree = {"reference": f"{type_}/{id_}"}
        if self.chance(0.05):
            found = {"reference": f"urn:uuid:{id_}"}
        return found | ({"display": display} if display else {})

    def subject(self) -> Tree:
        return self.reference("Patient")

    def at_encounter(self) -> Tree:
        return self.reference("Encounter")

    def by_identifier(self, system: str, display: str) -> Tree:
        return {"identifier": {"system": system, "value": self.uuid()}, "display": display}

    def npi(self) -> Tree:
        return {"system": _NPI, "value": self.digits(10)}

    def phone(self) -> Tree:
        return {"system": "phone", "value": self.pick(self.digits(10), f"555-{self.digits(4)}")}

    def address(self) -> Tree:
        return {
            "line": [f"{self.digits(3)} {self.words()}"],
            "city": self.name(),
            "state": "MA",
            "postalCode": self.digits(5),
            "country": "US",
        }

    def quantity(self, unit: str) -> Tree:
        return {"value": self.decimal(1, 300), "unit": unit, "system": UCUM, "code": unit}

    def money(self) -> Tree:
        return {"value": round(self.random.uniform(0, 2000), 2), "currency": "USD"}

    def snomed(self, kind: str = "disorder") -> Tree:
        """A concept of no edition: neither the code nor the words are SNOMED International's."""
        return concept(SNOMED, self.digits(9), f"{self.words(1)} of {self.name()} ({kind})")


def coding(system: str, code: str, display: str | None = None) -> Tree:
    return {"system": system, "code": code} | ({"display": display} if display else {})


def concept(system: str, code: str, display: str) -> Tree:
    return {"coding": [coding(system, code, display)], "text": display}


def concepts(system: str, code: str, display: str | None = None) -> Tree:
    """A concept without a text."""
    return {"coding": [coding(TERMINOLOGY + system, code, display)]}


def extension(name: str, **value: Any) -> Tree:
    return {"url": _EXTENSIONS + name} | value


def head(v: Invention, type_: str, *profiles: str) -> Tree:
    """The first elements of a stored resource: id and meta are part of the stored bytes."""
    meta: Tree = {"versionId": v.uuid(), "lastUpdated": f"{v.seconds()}.{v.digits(3)}Z"}
    if profiles and v.chance(0.7):
        meta["profile"] = list(profiles)
    if v.chance(0.05):
        meta["security"] = [coding(TERMINOLOGY + "v3-Confidentiality", v.pick("R", "N", "V"))]
    return {"resourceType": type_, "id": v.uuid(), "meta": meta}
