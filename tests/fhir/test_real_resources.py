"""Real resources are accepted as they are, and come back as they were."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fhir_bridge.errors import Incorrect
from fhir_bridge.fhir import admit, patients, reference_texts, references, split_bundle, stamp
from tests.fhir.sources import examples, members, synthea, synthea_bundles

EXCEPTIONS = {
    "DeviceMetric-example.json": "parent names a DeviceDefinition; R4 allows Device only",
    "MedicationRequest-medrx0301.json": "the performer is not an Organization",
    "Observation-clinical-gender.json": "a performer is an Encounter",
    "Questionnaire-qs1.json": "items without the required linkId",
}


def _refused(paths: list[Path]) -> dict[str, str]:
    found = {}
    for path in paths:
        try:
            admit(path.read_bytes())
        except Incorrect as refusal:
            found[path.name] = refusal.message
    return found


def test_every_official_example_is_accepted_but_those_that_break_r4(testdata: Path) -> None:
    paths = examples(testdata)
    assert len(paths) == 421
    assert _refused(paths).keys() == EXCEPTIONS.keys()


def test_every_official_example_is_judged_the_same_with_the_careful_walk(testdata: Path) -> None:
    # The careful walk keeps places and looks for twins everywhere; the quick one may not differ.
    from fhir_bridge.fhir import check, parse

    for path in examples(testdata):
        tree = parse(path.read_bytes())
        assert bool(check(tree)) == (path.name in EXCEPTIONS), path.name


def test_admission_gathers_every_object_of_every_official_example(testdata: Path) -> None:
    for path in examples(testdata):
        if path.name in EXCEPTIONS:
            continue
        resource = admit(path.read_bytes())
        gathered = sorted(map(id, resource.objects))
        assert gathered == sorted(map(id, _objects(resource.tree))), path.name
        texts = {reference.reference for reference in references(resource.tree)}
        assert reference_texts(resource.objects).keys() == texts, path.name


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _objects(inner)


def test_the_us_core_examples_are_accepted(testdata: Path) -> None:
    paths = [
        p
        for p in sorted((testdata / "fhir" / "us-core").glob("*.json"))
        if b'"resourceType"' in p.read_bytes()
    ]
    assert len(paths) > 20
    assert len(_refused(paths)) <= 1


def test_every_synthea_resource_is_accepted(testdata: Path) -> None:
    resources = synthea(testdata)
    assert len(resources) == 2666
    for raw in resources:
        assert admit(raw).raw == raw


def test_a_synthea_resource_is_stamped_back_equal_apart_from_id_and_meta(testdata: Path) -> None:
    for raw in synthea(testdata):
        stamped = stamp(raw, id="new-id", version_id="v1", last_updated="2026-01-02T03:04:05.678Z")
        resource = admit(stamped)
        assert (resource.id, resource.version_id) == ("new-id", "v1")
        assert resource.last_updated == "2026-01-02T03:04:05.678Z"
        assert next(name for name, _ in members(stamped)) == "resourceType"
        assert _rest(stamped) == _rest(raw)
        assert _other_meta(stamped) == _other_meta(raw)


def _rest(raw: bytes) -> list[tuple[str, bytes]]:
    return [(name, value) for name, value in members(raw) if name not in ("id", "meta")]


def _other_meta(raw: bytes) -> list[tuple[str, bytes]]:
    meta = dict(members(raw)).get("meta", b"{}")
    return [(n, v) for n, v in members(meta) if n not in ("versionId", "lastUpdated")]


def _numbers(raw: bytes) -> list[str]:
    found: list[str] = []

    def note(text: str) -> str:
        found.append(text)
        return text

    json.loads(raw, parse_float=note, parse_int=note)
    return found


def test_links_of_a_synthea_bundle_are_replaced_and_numbers_are_not(testdata: Path) -> None:
    bundle = min(
        (b for b in synthea_bundles(testdata) if b'"reference":"urn:uuid:' in b.replace(b" ", b"")),
        key=len,
    )
    entries = split_bundle(bundle).entries
    links = {
        e.full_url: f"{e.tree['resourceType']}/{i}"
        for i, e in enumerate(entries)
        if e.full_url and e.full_url.startswith("urn:uuid:")
    }
    moved = 0
    for entry in entries:
        assert entry.resource_raw is not None
        stamped = stamp(
            entry.resource_raw,
            id="x",
            version_id="1",
            last_updated="2026-01-02T03:04:05.678Z",
            references=links,
        )
        before, after = references(entry.tree), references(admit(stamped).tree)
        assert [r.path for r in before] == [r.path for r in after]
        assert [links.get(r.reference, r.reference) for r in before] == [r.reference for r in after]
        assert _numbers(stamped) == _numbers(entry.resource_raw)
        moved += sum(r.reference in links for r in before)
    assert moved > 50


def test_a_synthea_record_is_about_its_one_patient(testdata: Path) -> None:
    for raw in synthea_bundles(testdata):
        entries = split_bundle(raw).entries
        own = [e.full_url for e in entries if e.tree["resourceType"] == "Patient"]
        about = {p for e in entries if e.tree["resourceType"] != "Patient" for p in _about(e.tree)}
        assert about <= set(own)


def _about(tree: dict[str, Any]) -> Iterator[str]:
    yield from patients(tree)
