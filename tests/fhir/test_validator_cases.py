"""The HL7 validator's cases: what needs no terminology, profile or such is decided as there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.validator_table import BASE, PAGE, Case, cases, kind_of, page


@pytest.fixture
def found(testdata: Path) -> list[Case]:
    return list(cases(testdata))


def test_cases_of_base_structure_are_refused(found: list[Case]) -> None:
    base = [c for c in found if BASE in c.kinds]
    assert len(base) >= 20
    refused = [c for c in base if not c.accepted]
    assert len(refused) >= 0.9 * len(base), [c.name for c in base if c.accepted]


def test_clean_cases_are_accepted(found: list[Case]) -> None:
    clean = [c for c in found if not c.errors]
    assert len(clean) >= 80
    assert sum(c.accepted for c in clean) >= 0.98 * len(clean)
    assert all(c.accepted for c in clean if not c.option)


def test_the_kinds_are_told_by_the_words_of_the_error() -> None:
    assert kind_of("Wrong Display Name 'x' for http://loinc.org#1. Valid display is 'y'") == (
        "terminology"
    )
    assert kind_of("The extension http://x could not be found so is not allowed") == "extension"
    assert kind_of("Unrecognized property 'unknownElement'") == BASE
    assert kind_of("Invalid Resource id: Too long (65 chars)") == BASE


def test_the_evidence_page_is_current(found: list[Case]) -> None:
    assert PAGE.read_text("utf-8") == page(found)
