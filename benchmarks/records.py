"""Invented records of everyday shape and size: nothing in them was ever a person's.

One seed gives the same bytes on every machine. Every record carries an identifier of its own,
by which the checker knows what was sent.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

__all__ = ["IDENTIFIERS", "Maker", "Tree", "text", "transaction"]

Tree = dict[str, Any]

IDENTIFIERS = "http://example.org/fhir-bridge-bench/records"
ORGANIZATIONS = "http://example.org/fhir-bridge-bench/organizations"
_TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
_UCUM = "http://unitsofmeasure.org"
_MEASURES = (
    ("8867-4", "Heart rate", "/min", 60, 110, 0, "vital-signs"),
    ("8310-5", "Body temperature", "Cel", 36, 39, 1, "vital-signs"),
    ("29463-7", "Body weight", "kg", 45, 120, 2, "vital-signs"),
    ("2160-0", "Creatinine", "mg/dL", 0, 2, 2, "laboratory"),
    ("2823-3", "Potassium", "mmol/L", 3, 6, 2, "laboratory"),
    ("4548-4", "Hemoglobin A1c", "%", 4, 10, 2, "laboratory"),
)
_FAMILIES = ("Alder", "Birch", "Cedar", "Elm", "Fir", "Hazel", "Juniper", "Larch", "Maple", "Oak")
_GIVEN = ("Ana", "Bo", "Cy", "Dee", "Eli", "Fay", "Gil", "Hana", "Ivo", "Jun", "Kim", "Lio")


def text(tree: Tree) -> str:
    """One line of JSON; decimals keep their written digits."""
    marked = json.dumps(tree, separators=(",", ":"), default=lambda d: f"\x00{d}\x00")
    return marked.replace('"\\u0000', "").replace('\\u0000"', "")


def transaction(entries: list[tuple[str, Tree]]) -> Tree:
    """A transaction Bundle of creates from (fullUrl, resource) pairs."""
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": url,
                "resource": tree,
                "request": {"method": "POST", "url": tree["resourceType"]},
            }
            for url, tree in entries
        ],
    }


@dataclass(slots=True)
class Maker:
    """Makes records one after the other; ``sent`` remembers each by its identifier."""

    seed: int = 1
    sent: dict[str, Tree] = field(default_factory=dict)
    _random: random.Random = field(init=False)
    _serial: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def urn(self) -> str:
        """A fresh urn:uuid for a fullUrl."""
        return f"urn:uuid:{uuid.UUID(int=self._random.getrandbits(128), version=4)}"

    def _remember(self, tree: Tree) -> Tree:
        self._serial += 1
        value = f"{self.seed}-{self._serial}"
        tree["identifier"] = [{"system": IDENTIFIERS, "value": value}]
        self.sent[value] = tree
        return tree

    def organization(self, name: str) -> Tree:
        """An organisation known by ``ORGANIZATIONS|name``."""
        tree = self._remember({"resourceType": "Organization", "active": True, "name": name})
        tree["identifier"].append({"system": ORGANIZATIONS, "value": name})
        return tree

    def patient(self) -> Tree:
        """A patient with name, birth date, address and telecom."""
        pick = self._random
        return self._remember(
            {
                "resourceType": "Patient",
                "active": True,
                "name": [
                    {
                        "use": "official",
                        "family": f"{pick.choice(_FAMILIES)}{pick.randrange(1000)}",
                        "given": [pick.choice(_GIVEN), pick.choice(_GIVEN)],
                    }
                ],
                "telecom": [{"system": "phone", "value": f"555-{pick.randrange(10000):04d}"}],
                "gender": pick.choice(("female", "male")),
                "birthDate": f"{pick.randrange(1930, 2020)}-{pick.randrange(1, 13):02d}-11",
                "address": [{"line": ["1 Invented Row"], "city": "Springfield", "country": "US"}],
            }
        )

    def consent(self, patient: str, organization: str) -> Tree:
        """The patient permits ``organization`` everything for treatment."""
        return self._remember(
            {
                "resourceType": "Consent",
                "status": "active",
                "scope": _concept(f"{_TERMINOLOGY}/consentscope", "patient-privacy"),
                "category": [_concept("http://loinc.org", "59284-0")],
                "patient": {"reference": patient},
                "dateTime": "2026-01-05T09:00:00Z",
                "performer": [{"reference": patient}],
                "policy": [{"uri": "http://example.org/fhir-bridge-bench/policies/treatment"}],
                "provision": {
                    "type": "permit",
                    "actor": [
                        {
                            "role": _concept(f"{_TERMINOLOGY}/v3-ParticipationType", "IRCP"),
                            "reference": {"reference": organization},
                        }
                    ],
                    "purpose": [{"system": f"{_TERMINOLOGY}/v3-ActReason", "code": "TREAT"}],
                },
            }
        )

    def encounter(self, patient: str) -> Tree:
        """A finished ambulatory visit."""
        return self._remember(
            {
                "resourceType": "Encounter",
                "status": "finished",
                "class": {"system": f"{_TERMINOLOGY}/v3-ActCode", "code": "AMB"},
                "subject": {"reference": patient},
                "period": {"start": self._moment(), "end": "2026-01-01T00:00:00Z"},
            }
        )

    def observation(self, patient: str, encounter: str | None = None) -> Tree:
        """A vital sign or a laboratory value, about a kilobyte."""
        code, name, unit, low, high, digits, category = self._random.choice(_MEASURES)
        value = Decimal(self._random.randrange(low * 10**digits, high * 10**digits))
        where = {"encounter": {"reference": encounter}} if encounter else {}
        quantity = {"unit": unit, "system": _UCUM, "code": unit}
        return self._remember(
            {
                "resourceType": "Observation",
                "status": "final",
                "category": [_concept(f"{_TERMINOLOGY}/observation-category", category)],
                "code": {"coding": [{"system": "http://loinc.org", "code": code}], "text": name},
                "subject": {"reference": patient},
                **where,
                "effectiveDateTime": self._moment(),
                "issued": "2026-01-01T00:00:00.000Z",
                "valueQuantity": {"value": value.scaleb(-digits), **quantity},
                "referenceRange": [
                    {
                        "low": {"value": Decimal(low), **quantity},
                        "high": {"value": Decimal(high), **quantity},
                        "text": f"{low} to {high} {unit}",
                    }
                ],
            }
        )

    def visit(self, patient: str) -> Tree:
        """A transaction of four: one encounter and three observations of it."""
        encounter = self.urn()
        entries = [(encounter, self.encounter(patient))]
        entries += [(self.urn(), self.observation(patient, encounter)) for _ in range(3)]
        return transaction(entries)

    def household(self, organization: str, patients: int, observations: int) -> Tree:
        """A transaction of whole small charts, each with its consent for ``organization``."""
        entries: list[tuple[str, Tree]] = []
        for _ in range(patients):
            patient = self.urn()
            entries.append((patient, self.patient()))
            entries.append((self.urn(), self.consent(patient, organization)))
            entries += [(self.urn(), self.observation(patient)) for _ in range(observations)]
        return transaction(entries)

    def observations(self, patient: str, count: int) -> Iterator[Tree]:
        """``count`` observations of one patient."""
        return (self.observation(patient) for _ in range(count))

    def _moment(self) -> str:
        pick = self._random
        return (
            f"{pick.randrange(2015, 2026)}-{pick.randrange(1, 13):02d}-{pick.randrange(1, 29):02d}"
            f"T{pick.randrange(24):02d}:{pick.randrange(60):02d}:00Z"
        )


def _concept(system: str, code: str) -> Tree:
    return {"coding": [{"system": system, "code": code}]}
