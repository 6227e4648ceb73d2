"""Labels are the server's: what the codes say, wherever they stand; clients may only raise."""

from __future__ import annotations

import bz2
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge.labels import CLASSES, NORMAL, categories, label, label_codings, version
from fhir_bridge.labels.sensitivity import CATEGORIES, CLASS_OF, closure
from fhir_bridge.labels.table import SYSTEMS

ICD = "http://hl7.org/fhir/sid/icd-10-cm"
SCT = "http://snomed.info/sct"
LOINC = "http://loinc.org"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
LEVEL = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"


def condition(*codings: tuple[str | None, str], **more: Any) -> dict[str, Any]:
    listed = [{"code": c, **({"system": s} if s else {})} for s, c in codings]
    return {"resourceType": "Condition", "code": {"coding": listed}, **more}


def security(*labels: tuple[str, str]) -> dict[str, Any]:
    return {"security": [{"system": s, "code": c} for s, c in labels]}


@pytest.mark.parametrize(
    ("system", "code", "class_"),
    [
        (ICD, "F10.20", "sud"),
        (ICD, "F11", "sud"),
        (ICD, "f19.10", "sud"),
        (ICD, "F1120", "sud"),
        (ICD, "Z71.41", "sud"),
        (ICD, "F20.0", "mh"),
        (ICD, "F32.9", "mh"),
        (ICD, "R45.851", "mh"),
        (ICD, "Z21", "hiv"),
        (ICD, "B20", "hiv"),
        (ICD, "O98.711", "hiv"),
        ("http://hl7.org/fhir/sid/icd-10", "B24", "hiv"),
        ("urn:oid:2.16.840.1.113883.6.90", "A53.9", "sex"),
        (ICD, "Z33.2", "sex"),
        (ICD, "Z15.01", "gen"),
        (ICD, "D57.1", "gen"),
        (ICD, "T74.11XA", "vio"),
        ("http://hl7.org/fhir/sid/icd-9-cm", "304.01", "sud"),
        ("http://hl7.org/fhir/sid/icd-9-cm", "042", "hiv"),
        (LOINC, "75622-1", "hiv"),
        (LOINC, "20447-9", "hiv"),
        (LOINC, "44249-1", "mh"),
        (LOINC, "74013-4", "sud"),
        (RXNORM, "1819", "sud"),
        (RXNORM, "6813", "sud"),
        (RXNORM, "7243", "sud"),
        (RXNORM, "276237", "hiv"),
        (SCT, "86406008", "hiv"),
        (SCT, "75544000", "sud"),
        (SCT, "47505003", "mh"),
        ("http://nucc.org/provider-taxonomy", "324500000X", "sud"),
        ("urn:oid:2.16.840.1.113883.6.285", "H0020", "sud"),
    ],
)
def test_a_sensitive_code_gives_its_class_and_restricts(
    system: str, code: str, class_: str
) -> None:
    found = label(condition((system, code)))
    assert found.classes == {class_}
    assert "R" in found.security
    assert "N" not in found.security
    assert label_codings([(system, code)]) == found


@pytest.mark.parametrize(
    ("system", "code"),
    [
        (ICD, "I10"),
        (ICD, "E11.9"),
        (ICD, "F64"[:2]),
        (ICD, "Z23"),
        (ICD, "T40"),
        (ICD, ""),
        (LOINC, "8480-6"),
        (RXNORM, "5640"),
        (SCT, "38341003"),
        ("urn:of:somebody", "F11.20"),
    ],
)
def test_an_ordinary_code_is_normal(system: str, code: str) -> None:
    assert label(condition((system, code))) is NORMAL
    assert label_codings([(system, code)]) is NORMAL


def test_a_code_counts_without_its_system() -> None:
    for code in ("F11.20", "86406008", "75622-1", "H0020"):
        assert label(condition((None, code))).classes <= {"sud", "hiv"}
        assert label(condition((None, code))) is not NORMAL
    assert label(condition((None, "I10"))) is NORMAL


def test_a_code_counts_wherever_it_stands() -> None:
    inner = condition((ICD, "F11.20"))
    assert label({"resourceType": "Encounter", "contained": [inner]}).classes == {"sud"}
    deep = {"resourceType": "Bundle", "entry": [{"resource": {"a": [[{"b": [inner]}]]}}]}
    assert label(deep).classes == {"sud"}


def test_several_sensitivities_add_up() -> None:
    found = label(condition((ICD, "F11.20"), (ICD, "B20"), (ICD, "I10")))
    assert found.classes == {"sud", "hiv"}
    assert {"OPIOIDUD", "SUD", "ETH", "SPI", "HIV", "R"} == found.security


def test_broader_labels_come_with_the_narrow() -> None:
    assert closure(frozenset({"ETHUD"})) == {"ETHUD", "SUD", "ETH", "SPI"}
    assert closure(frozenset({"ETH"})) == {"ETH", "SUD", "SPI"}
    assert closure(frozenset({"COGN"})) == {"COGN", "BH", "SPI"}


def test_a_client_raises_and_never_lowers() -> None:
    plain = condition((ICD, "I10"), meta=security((ACT, "PSY"), (LEVEL, "R")))
    assert label(plain).classes == {"mh"}
    lowered = condition((ICD, "F11.20"), meta=security((LEVEL, "N"), (LEVEL, "U")))
    assert label(lowered) == label(condition((ICD, "F11.20")))
    very = label(condition((ICD, "F11.20"), meta=security((LEVEL, "V"))))
    assert {"V"} == very.security & {"N", "R", "V"}
    assert label(condition(meta=security((LEVEL, "L")))).security == {"N"}
    assert label(condition(meta=security((LEVEL, "R")))).classes == {"normal"}
    assert label(condition(meta=security((LEVEL, "??")))).security == {"N"}


def test_a_client_label_of_another_system_is_ignored() -> None:
    assert label(condition(meta=security(("urn:mine", "SUD")))) is NORMAL
    assert label_codings([], [("urn:mine", "SUD")]) is NORMAL


def test_a_handling_label_is_kept() -> None:
    found = label(condition(meta=security((ACT, "NORDSCLCD"))))
    assert found.security == {"NORDSCLCD", "N"}
    assert label_codings([], [(ACT, "NORDSCLCD")]) == found


def test_labels_of_contained_resources_count() -> None:
    inner = condition(meta=security((ACT, "HIV")))
    assert label({"resourceType": "Encounter", "contained": [inner]}).classes == {"hiv"}


def test_a_resource_that_speaks_of_a_sensitivity_carries_it() -> None:
    consent = {
        "resourceType": "Consent",
        "provision": {"securityLabel": [{"system": ACT, "code": "SUD"}]},
    }
    assert label(consent).classes == {"sud"}
    assert label_codings([(ACT, "SUD")]).classes == {"sud"}


def test_special_information_without_more_is_sealed_as_mental_health() -> None:
    assert label(condition(meta=security((ACT, "SPI")))).classes == {"mh"}


def test_odd_shapes_are_normal() -> None:
    odd: list[dict[str, Any]] = [
        {},
        {"meta": 1},
        {"meta": {"security": "R"}},
        {"meta": {"security": [1, {"code": 1}, {"code": "R"}, {"system": 1, "code": "R"}]}},
        {"code": "F11", "resourceType": "X"},
        {"code": "F11", "a": 1, "b": 2, "c": 3},
        {"code": ["F11"]},
        {"code": {"text": "F11"}},
    ]
    for tree in odd:
        assert label(tree) is NORMAL


def test_the_table_is_well_formed() -> None:
    text = files("fhir_bridge.labels").joinpath("sensitive_codes.tsv").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    rows = [tuple(line.split("\t")) for line in lines[1:]]
    assert lines[0] == "system\tcode\tcategory"
    assert len(rows) == len(set(rows)) > 450
    assert {row[0] for row in rows} == set(SYSTEMS)
    assert {row[2] for row in rows} == set(CATEGORIES)
    assert version() in text
    assert all("." not in row[1] for row in rows)


def test_every_category_leads_to_a_class() -> None:
    for labels in CATEGORIES.values():
        assert {CLASS_OF[code] for code in closure(labels) if code in CLASS_OF} & set(CLASSES)
    assert set(CLASS_OF.values()) < set(CLASSES)


def test_a_coding_tells_its_categories() -> None:
    assert categories(ICD, "F52.0") == ("mental", "reproductive")
    assert categories(ICD, "I10") == ()
    assert categories("urn:x", "F11") == ()


def test_the_second_prefix_length_is_tried() -> None:
    assert categories(ICD, "Z71.41") == ("alcohol",)
    assert categories(ICD, "Z71.51") == ("substance",)
    assert categories(ICD, "Z71.3") == ()


def test_the_pcf_alcohol_example_is_found_by_its_code_alone(testdata: Path) -> None:
    path = testdata / "consent/pcf/resources/Observation-ex-alcoholUse.json"
    tree = json.loads(path.read_text("utf-8"))
    with_labels = label(tree)
    del tree["meta"]
    assert label(tree).classes == with_labels.classes == {"sud"}


def test_recall_on_the_public_list_is_what_the_docs_say(testdata: Path) -> None:
    path = testdata / "consent/asushares/sensitivity-rules.default.json"
    found: dict[str, list[bool]] = {}
    for rule in json.loads(path.read_text("utf-8"))["rules"]:
        for group in rule["codeSets"]:
            for coding in group["codes"]:
                name = rule["labels"][0]["code"]
                hit = bool(categories(coding["system"], coding["code"]))
                found.setdefault(name, []).append(hit)
    recall = {name: (sum(hits), len(hits)) for name, hits in found.items()}
    assert recall["BH"] == (3, 5)
    assert recall["VIO"] == (1, 4)
    assert recall["SUD"] == (11, 2632)


def test_ordinary_synthetic_patients_are_almost_all_normal(testdata: Path) -> None:
    path = next(p for p in sorted((testdata / "fhir/synthea").glob("*.bz2")) if "-" in p.stem[:9])
    bundle = json.loads(bz2.decompress(path.read_bytes()))
    labels = [label(entry["resource"]) for entry in bundle["entry"]]
    assert sum(found is NORMAL for found in labels) > 0.9 * len(labels)
