"""The R4B models are a second opinion that can neither crash nor tell values."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge.errors import Unsupported
from fhir_bridge.fhir import model, parse, second_opinion


def test_a_model_is_the_r4b_class_of_its_type() -> None:
    assert model("Patient").__module__ == "fhir.resources.R4B.patient"
    assert second_opinion({"resourceType": "Patient", "gender": "male"}) == []


def test_types_without_a_model_say_so() -> None:
    with pytest.raises(Unsupported, match="MedicinalProduct"):
        model("MedicinalProduct")
    with pytest.raises(Unsupported):
        model("Chicken")
    assert second_opinion({"resourceType": "MedicinalProduct"})[0].code == "not-supported"


def nested(depth: int) -> dict[str, Any]:
    inner: dict[str, Any] = {"url": "http://x", "valueString": "a"}
    for _ in range(depth):
        inner = {"url": "http://x", "extension": [inner]}
    return {"resourceType": "Patient", "extension": [inner]}


@pytest.mark.parametrize(
    "tree",
    [
        {"resourceType": "Patient", "contained": [{"resourceType": "Foo"}]},
        {"resourceType": "Patient", "birthDate": "Zebulon"},
        {"resourceType": "Patient", "Zebulon": "Zebulon!"},
        {"resourceType": "Patient", "name": "Zebulon"},
        {},
    ],
)
def test_whatever_the_library_does_becomes_a_finding_without_a_value(tree: dict[str, Any]) -> None:
    issues = second_opinion(tree)
    assert issues
    assert "Zebulon!" not in repr(issues)
    assert "birthDate: Zebulon" not in repr(issues)


def test_deep_nesting_is_answered() -> None:
    second_opinion(nested(90))
    second_opinion(json.loads(json.dumps(nested(150))))


def test_most_official_patients_pass_the_second_opinion(testdata: Path) -> None:
    for path in sorted((testdata / "fhir" / "r4-examples").glob("Patient-*.json"))[:5]:
        assert second_opinion(parse(path.read_bytes())) == []
