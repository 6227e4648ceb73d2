"""From resources to terms: known answers, and values that cannot be normalised."""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import Any

import pytest

from fhir_bridge.search import ALL, WRITTEN, extract, failures, fingerprint, parameters
from fhir_bridge.search.amounts import HIGHEST, LOWEST, sortable
from fhir_bridge.search.moments import EARLIEST, LATEST, range_of


def terms(tree: dict[str, Any], code: str, **more: Any) -> set[tuple[Any, ...]]:
    """The terms of one parameter, without its id."""
    number = parameters(tree["resourceType"], ALL)[code].id
    return {(t[0], *t[2:]) for t in extract(tree, ALL, **more) if t[1] == number}


def test_a_patient_gives_names_identifiers_and_birthdate() -> None:
    tree = {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:a", "value": "1"}, {"value": "2"}, {"system": "urn:b"}],
        "name": [{"family": "Müller  Ångström", "given": ["Zoë", None], "_given": [None, {}]}],
        "birthDate": "1970-01",
        "generalPractitioner": [{"reference": "Practitioner/p1/_history/3"}],
    }
    assert terms(tree, "identifier") == {
        ("token", "urn:a", "1"),
        ("token", "", "2"),
        ("token", "urn:b", ""),
    }
    assert terms(tree, "family") == {("string", "muller angstrom", "Müller  Ångström")}
    assert terms(tree, "name") == {
        ("string", "muller angstrom", "Müller  Ångström"),
        ("string", "zoe", "Zoë"),
    }
    assert terms(tree, "birthdate") == {("date", *range_of("1970-01"))}
    assert terms(tree, "general-practitioner") == {("ref", "Practitioner", "p1", "")}


def test_deceased_is_true_for_a_time_of_death_and_false_for_none() -> None:
    for value, expected in (
        ({"deceasedDateTime": "2020"}, "true"),
        ({"deceasedBoolean": True}, "true"),
        ({"deceasedBoolean": False}, "false"),
        ({}, "false"),
    ):
        tree = {"resourceType": "Patient", **value}
        assert terms(tree, "deceased") == {("token", None, expected)}


def test_the_system_of_a_plain_code_comes_from_its_binding() -> None:
    tree = {"resourceType": "Observation", "status": "final"}
    assert terms(tree, "status") == {("token", "http://hl7.org/fhir/observation-status", "final")}


def test_references_are_local_foreign_canonical_or_contained() -> None:
    def subject(text: str, **more: Any) -> set[tuple[Any, ...]]:
        tree = {"resourceType": "Observation", "subject": {"reference": text}}
        return terms(tree, "subject", **more)

    assert subject("Patient/1") == {("ref", "Patient", "1", "")}
    assert subject("https://a.example/fhir/Patient/1") == {
        ("ref", "", "", "https://a.example/fhir/Patient/1")
    }
    assert subject("https://a.example/fhir/Patient/1", bases=("https://a.example/fhir",)) == {
        ("ref", "Patient", "1", "")
    }
    assert subject("urn:uuid:c757873d-ec9a-4326-a141-556f43239520") == {
        ("ref", "", "", "urn:uuid:c757873d-ec9a-4326-a141-556f43239520")
    }
    assert subject("#p1") == set()
    assert subject("Patient?identifier=x") == set()


def test_patient_takes_only_references_to_patients() -> None:
    tree: dict[str, Any] = {"resourceType": "Observation", "subject": {"reference": "Group/g"}}
    assert terms(tree, "patient") == set()
    tree["subject"] = {"reference": "urn:uuid:x", "type": "Patient"}
    assert terms(tree, "patient") == {("ref", "", "", "urn:uuid:x")}


def test_a_versioned_canonical_is_found_with_and_without_its_version() -> None:
    tree = {"resourceType": "CarePlan", "instantiatesCanonical": ["http://a.example/p|2"]}
    assert terms(tree, "instantiates-canonical") == {
        ("ref", "", "", "http://a.example/p|2"),
        ("ref", "", "", "http://a.example/p"),
    }


def test_the_first_resource_of_a_document_is_a_reference() -> None:
    tree = {
        "resourceType": "Bundle",
        "entry": [
            {"resource": {"resourceType": "Composition", "id": "c"}},
            {"resource": {"resourceType": "Patient", "id": "p"}},
        ],
    }
    assert terms(tree, "composition") == {("ref", "Composition", "c", "")}


def test_periods_and_timings_keep_their_outer_limits() -> None:
    tree: dict[str, Any] = {"resourceType": "Observation", "effectivePeriod": {"start": "2020"}}
    assert terms(tree, "date") == {("date", range_of("2020")[0], LATEST)}
    tree = {"resourceType": "Observation", "effectivePeriod": {"end": "2020-05"}}
    assert terms(tree, "date") == {("date", EARLIEST, range_of("2020-05")[1])}
    tree = {"resourceType": "Observation", "effectiveTiming": {"event": ["2020", "2018"]}}
    assert terms(tree, "date") == {("date", range_of("2018")[0], range_of("2020")[1])}


def test_amounts_are_exact_whatever_their_spelling() -> None:
    def value(number: object) -> set[tuple[Any, ...]]:
        quantity = {"value": number, "system": "http://unitsofmeasure.org", "code": "mg"}
        return terms({"resourceType": "Observation", "valueQuantity": quantity}, "value-quantity")

    assert value(Decimal("5.40")) == value(Decimal("5.4"))
    assert value(Decimal("0.1")) != value(Decimal("0.10000000000000000001"))


@pytest.mark.parametrize(
    ("tree", "code", "expected"),
    [
        ({"resourceType": "Patient", "active": True}, "active", {("token", None, "true")}),
        (
            {"resourceType": "Patient", "telecom": [{"system": "phone", "value": "1"}, {}]},
            "phone",
            {("token", None, "1")},
        ),
        (
            {"resourceType": "Patient", "telecom": [{"system": "email", "value": "1"}]},
            "phone",
            set(),
        ),
        (
            {"resourceType": "Patient", "address": [{"line": ["A St"], "city": "B"}]},
            "address",
            {("string", "a st", "A St"), ("string", "b", "B")},
        ),
        (
            {"resourceType": "ValueSet", "url": "http://a.example/v", "version": "2"},
            "url",
            {("uri", "http://a.example/v")},
        ),
        ({"resourceType": "ValueSet", "version": "2"}, "version", {("token", "", "2")}),
        (
            {
                "resourceType": "Consent",
                "sourceAttachment": {"url": "http://a.example/c"},
            },
            "source-reference",
            {("ref", "", "", "http://a.example/c")},
        ),
        ({"resourceType": "Observation", "valueQuantity": {"unit": "mg"}}, "value-quantity", set()),
        ({"resourceType": "Observation", "code": {"coding": [{"display": "x"}]}}, "code", set()),
        ({"resourceType": "CarePlan", "instantiatesCanonical": ["#x"]}, "subject", set()),
        ({"resourceType": "Patient", "link": [{"other": {"display": "x"}}]}, "link", set()),
    ],
)
def test_data_types(tree: dict[str, Any], code: str, expected: set[tuple[Any, ...]]) -> None:
    assert terms(tree, code) == expected


def test_money_ranges_and_numbers_are_amounts() -> None:
    def at(text: str) -> bytes:
        return sortable(Decimal(text))

    invoice = {"resourceType": "Invoice", "totalNet": {"value": 9, "currency": "EUR"}}
    euro = ("urn:iso:std:iso:4217", "EUR", "")
    assert terms(invoice, "totalnet") == {("quantity", at("9"), at("9.0"), *euro)}
    condition: dict[str, Any] = {"resourceType": "Condition", "onsetRange": {}}
    assert terms(condition, "onset-age") == set()
    condition["onsetRange"] = {"low": {"value": 3, "unit": "years"}}
    assert terms(condition, "onset-age") == {("quantity", at("3"), HIGHEST, "", "", "years")}
    condition["onsetRange"] = {"high": {"value": 3, "code": "a"}}
    assert terms(condition, "onset-age") == {("quantity", LOWEST, at("3"), "", "a", "")}
    risk = {
        "resourceType": "RiskAssessment",
        "prediction": [{"probabilityDecimal": Decimal("0.2")}],
    }
    assert terms(risk, "probability") == {("quantity", at("0.2"), at("0.2"), "", "", "")}


def test_the_fingerprint_follows_what_is_written() -> None:
    assert fingerprint() == fingerprint(WRITTEN) != fingerprint(ALL)


def test_an_element_of_the_wrong_shape_is_counted_and_never_stops_the_rest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = failures["Observation", "date"]
    tree = {
        "resourceType": "Observation",
        "effectiveDateTime": "SECRET-31-02",
        "status": "final",
        "code": "SECRET",
    }
    with caplog.at_level(logging.WARNING):
        found = extract(tree)
    assert [t[-1] for t in found] == ["final"]
    assert failures["Observation", "date"] == before + 1
    assert "Observation?date" in caplog.text
    assert "SECRET" not in caplog.text


def test_a_term_appears_once() -> None:
    coding = {"system": "urn:a", "code": "1"}
    tree = {"resourceType": "Observation", "code": {"coding": [coding, coding]}}
    assert len(extract(tree)) == 1
