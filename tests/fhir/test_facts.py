"""The fact tables are what the R4 core package says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fhir_bridge.fhir import (
    RESOURCE_TYPES,
    codes_of,
    element_tables,
    json_names,
    search_parameters,
    system_of,
    type_at,
)
from tools import generate_r4


def test_the_tables_know_r4() -> None:
    assert len(RESOURCE_TYPES) == 146
    table = element_tables()
    assert table.keys() >= RESOURCE_TYPES
    assert table["Patient"]["name"].many
    assert table["Observation"]["status"].value_set == "observation-status"
    assert table["Observation"]["subject"].types["Reference"] == [
        "Device",
        "Group",
        "Location",
        "Patient",
    ]
    assert "valueQuantity" in json_names("Observation")


def test_types_are_followed_along_json_names() -> None:
    assert type_at("Patient", ["contact", "name", "family"]) == "string"
    assert type_at("Questionnaire", ["item", "item", "item", "linkId"]) == "string"
    assert type_at("Observation", ["valueQuantity", "value"]) == "decimal"
    assert type_at("Patient", ["nothing"]) == ""


def test_required_codes_have_their_systems() -> None:
    assert codes_of("administrative-gender") == {
        "http://hl7.org/fhir/administrative-gender": ["female", "male", "other", "unknown"]
    }
    assert system_of("administrative-gender", "male") == (
        "http://hl7.org/fhir/administrative-gender"
    )
    assert system_of("administrative-gender", "x") is None


def test_the_search_parameters_are_the_official_ones(testdata: Path) -> None:
    bundle = json.loads((testdata / "fhir" / "defs" / "search-parameters.json").read_bytes())
    ours = {p["url"]: p for p in search_parameters()}
    for entry in bundle["entry"]:
        official = entry["resource"]
        for key in ("code", "type", "base", "expression", "target"):
            assert ours[official["url"]].get(key) == official.get(key), official["url"]


def test_the_committed_tables_are_what_the_generator_writes(
    testdata: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = generate_r4.DATA
    monkeypatch.setattr(generate_r4, "DATA", tmp_path)
    generate_r4.main(testdata / "fhir" / "defs" / "r4-core-4.0.1.tar.xz")
    assert {p.name for p in tmp_path.iterdir()} == {p.name for p in committed.glob("*.json")}
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (committed / path.name).read_bytes(), path.name
