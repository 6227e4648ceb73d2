"""Every R4 expression is read and typed; what is outside of the subset is refused."""

from __future__ import annotations

import pytest

from fhir_bridge.errors import Fault
from fhir_bridge.search.catalogue import ALL, WRITTEN, parameters, targets_of
from fhir_bridge.search.definitions import definitions, elements, resource_types
from fhir_bridge.search.expression import parse_expression
from fhir_bridge.search.extract import Extractor
from fhir_bridge.search.trails import Guard, Step, Trail, trails


def of(text: str, base: str) -> list[Trail]:
    return list(trails(parse_expression(text), base, elements()))


def test_every_pair_of_base_and_parameter_of_r4_compiles() -> None:
    pairs = 0
    for definition in definitions():
        node = parse_expression(definition.expression)
        for base in definition.bases:
            assert trails(node, base, elements()), (base, definition.code)
            pairs += 1
    assert pairs == 1703


def test_every_type_can_be_extracted_with_all_plain_parameters_on() -> None:
    for type_ in resource_types():
        Extractor(type_, ALL)


def test_parameter_ids_are_small_distinct_and_stable() -> None:
    ids = [p.id for t in resource_types() for p in parameters(t, ALL).values()]
    assert len(set(ids)) == len(ids)
    assert max(ids) < 4096
    assert parameters("Account")["identifier"].id < parameters("VisionPrescription")["patient"].id


def test_the_written_table_holds_the_named_codes_and_every_reference() -> None:
    assert set(parameters("Patient", WRITTEN)) == {
        "birthdate",
        "family",
        "general-practitioner",
        "given",
        "identifier",
        "link",
        "name",
        "organization",
    }
    assert {"subject", "patient", "code", "category", "date", "status", "encounter"} <= set(
        parameters("Observation", WRITTEN)
    )
    assert "value-quantity" not in parameters("Observation", WRITTEN)


def test_as_binds_tighter_than_union() -> None:
    found = of("(Observation.value as string) | Observation.value as Quantity", "Observation")
    assert [t.type for t in found] == ["string", "Quantity"]


def test_a_choice_becomes_one_trail_per_type() -> None:
    found = of("Observation.effective", "Observation")
    assert {t.steps[0].key for t in found} == {
        "effectiveDateTime",
        "effectivePeriod",
        "effectiveTiming",
        "effectiveInstant",
    }


def test_parts_for_other_types_drop_out() -> None:
    assert of("Patient.name | Person.name", "Patient") == [Trail("HumanName", (Step("name"),))]


def test_where_resolve_is_becomes_a_guard_and_narrows_the_targets() -> None:
    (found,) = of("Observation.subject.where(resolve() is Patient)", "Observation")
    assert found.steps == (Step("subject", guards=(Guard("", "Patient"),)),)
    assert targets_of(parameters("Observation")["patient"]) == ("Patient",)
    assert set(targets_of(parameters("Observation")["subject"])) == {
        "Device",
        "Group",
        "Location",
        "Patient",
    }


def test_a_code_knows_what_it_is_bound_to() -> None:
    (found,) = of("Observation.status", "Observation")
    assert (found.type, found.value_set) == ("code", "observation-status")


@pytest.mark.parametrize(
    "text",
    [
        "Patient.colour",
        "Patient.name.where(colour = 'x')",
        "Patient.name.first()",
        "Patient.name = 'x'",
        "%resource",
    ],
)
def test_an_expression_r4_does_not_bear_out_is_a_fault(text: str) -> None:
    with pytest.raises(Fault):
        of(text, "Patient")


@pytest.mark.parametrize(
    "text", ["Patient.", "Patient.name)", "(Patient.name", "Patient..name", ""]
)
def test_broken_syntax_is_a_fault(text: str) -> None:
    with pytest.raises(Fault):
        parse_expression(text)
