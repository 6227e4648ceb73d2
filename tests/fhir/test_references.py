"""References, patients, codes: what the other rooms ask of a tree."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_bridge.fhir import (
    RESOURCE_TYPES,
    codings,
    is_shared_type,
    patient_compartment,
    patient_elements,
    patients,
    references,
    target_of,
)


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("Patient/1", ("Patient", "1")),
        ("Patient/1/_history/2", ("Patient", "1")),
        ("Patient/1#part", ("Patient", "1")),
        ("http://x/fhir/Patient/1", ("Patient", "1")),
        ("Patient?identifier=x|1", None),
        ("urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7", None),
        ("#p1", None),
        ("Chicken/1", None),
        ("Patient/", None),
        ("", None),
    ],
)
def test_a_target_is_read_from_the_text(text: str, target: tuple[str, str] | None) -> None:
    assert target_of(text) == target


def test_references_come_in_document_order_with_places_and_types() -> None:
    tree = {
        "resourceType": "Encounter",
        "subject": {"reference": "Patient/1"},
        "participant": [
            {"individual": {"display": "nobody"}},
            {"individual": {"reference": "urn:uuid:x", "type": "Practitioner"}},
        ],
        "contained": [{"resourceType": "Basic", "author": {"reference": "#"}}],
    }
    found = [(r.path, r.reference, r.type) for r in references(tree)]
    assert found == [
        ("subject", "Patient/1", "Patient"),
        ("participant[1].individual", "urn:uuid:x", "Practitioner"),
        ("contained[0].author", "#", ""),
    ]


def about(type_: str, *, base: str = "", **elements: Any) -> tuple[str, ...]:
    return patients({"resourceType": type_, **elements}, base)


def ref(text: str, **more: str) -> dict[str, str]:
    return {"reference": text, **more}


def test_a_patient_is_about_itself_and_not_about_its_links() -> None:
    link = [{"other": ref("Patient/2"), "type": "seealso"}]
    assert about("Patient", id="1", link=link) == ("1",)
    assert about("Patient") == ()


def test_compartment_elements_name_patients() -> None:
    assert about("Observation", subject=ref("Patient/1"), performer=[ref("Patient/2")]) == (
        "1",
        "2",
    ) or about("Observation", subject=ref("Patient/1"), performer=[ref("Patient/2")]) == ("2", "1")
    assert about("Observation", subject=ref("Group/1")) == ()
    assert about("Appointment", participant=[{"actor": ref("Patient/1")}]) == ("1",)
    assert about("Group", member=[{"entity": ref("Patient/1")}, {"entity": ref("Patient/2")}]) == (
        "1",
        "2",
    )


def test_subject_like_elements_outside_the_compartment_name_patients() -> None:
    for_patient: Any = {"for": ref("Patient/1")}
    assert about("Task", **for_patient) == ("1",)
    assert about("Device", patient=ref("Patient/1")) == ("1",)
    assert about("GuidanceResponse", subject=ref("Patient/1")) == ("1",)


def test_a_patient_of_another_server_is_not_taken_for_ours() -> None:
    there = ref("https://other.example/fhir/Patient/1/_history/3")
    assert about("Condition", subject=there) == ("https://other.example/fhir/Patient/1",)
    here = ref("https://here.example/fhir/Patient/1")
    assert about("Condition", base="https://here.example/fhir", subject=here) == ("1",)


def test_a_reference_of_no_visible_type_counts_where_only_a_subject_can_stand() -> None:
    assert about("Condition", subject=ref("urn:uuid:x")) == ("urn:uuid:x",)
    assert about("Condition", asserter=ref("urn:uuid:x")) == ()
    assert about("Condition", asserter=ref("urn:uuid:x", type="Patient")) == ("urn:uuid:x",)
    assert about("Condition", subject=ref("urn:uuid:x", type="Group")) == ()


def test_contained_resources_and_bundles_are_looked_into() -> None:
    inner = {"resourceType": "Observation", "subject": ref("Patient/3")}
    contained = [inner, {"resourceType": "Patient", "id": "local"}]
    assert about("Condition", subject=ref("#local"), contained=contained) == ("3",)
    assert about("Bundle", entry=[{"resource": inner}]) == ("3",)
    assert about("Parameters", parameter=[{"part": [{"resource": inner}]}]) == ("3",)


def test_shared_types_never_name_a_patient() -> None:
    for type_ in ("Organization", "Practitioner", "Location", "Medication", "Questionnaire"):
        assert is_shared_type(type_), type_
    for type_ in ("Patient", "Observation", "Task", "Device", "Bundle", "Binary", "Consent"):
        assert not is_shared_type(type_), type_
    shared = {t for t in RESOURCE_TYPES if is_shared_type(t)}
    assert not shared & (patient_elements().keys() | patient_compartment().keys())
    assert not is_shared_type("Chicken")


def test_codings_are_found_anywhere() -> None:
    tree = {
        "resourceType": "Observation",
        "meta": {"security": [{"system": "s", "code": "R"}]},
        "code": {"coding": [{"system": "l", "code": "1"}, {"display": "no code"}]},
        "valueQuantity": {"system": "u", "code": "mg"},
        "component": [{"code": {"coding": [{"code": "2"}]}}],
    }
    assert sorted(codings(tree), key=str) == [
        ("l", "1"),
        ("s", "R"),
        ("u", "mg"),
        (None, "2"),
    ] or set(codings(tree)) == {("s", "R"), ("l", "1"), ("u", "mg"), (None, "2")}
