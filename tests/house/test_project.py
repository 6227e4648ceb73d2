"""The files around the package: the lock, the targets, the records of the demo."""

from __future__ import annotations

import json
import os
import re
import tomllib
from typing import Any

import pytest

from tests.house.tree import PACKAGE, ROOT

TARGETS = {"demo", "serve-demo", "test", "test-deep", "lint", "bench", "clean"}
RECORDS = PACKAGE / "demo_records"


def test_the_usual_files_are_there() -> None:
    usual = [
        *("README.md", "LICENSE", "NOTICE", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile"),
        *("pyproject.toml", "requirements.lock", ".gitignore", ".ci/run", "mappings/README.md"),
        *("deploy/Containerfile", "deploy/fhir-bridge.service", "benchmarks/run.py"),
        "tools/deep.py",
    ]
    assert [name for name in usual if not (ROOT / name).is_file()] == []
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_every_promised_target_is_in_the_makefile() -> None:
    text = (ROOT / "Makefile").read_text()
    assert set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE)) >= TARGETS


def test_the_lock_pins_every_requirement_by_hash() -> None:
    entries = re.split(r"^(?=[A-Za-z0-9])", (ROOT / "requirements.lock").read_text(), flags=re.M)
    loose = [e.splitlines()[0] for e in entries if e and ("==" not in e or "sha256:" not in e)]
    assert loose == []


def test_the_lock_covers_what_pyproject_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    asked = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["test"],
        *project["build-system"]["requires"],
    ]
    names = {_plain(re.split(r"[\[<>=;! ]", one, maxsplit=1)[0]) for one in asked}
    lock = (ROOT / "requirements.lock").read_text()
    locked = {_plain(name) for name in re.findall(r"^([A-Za-z0-9_.-]+)==", lock, re.MULTILINE)}
    assert names - locked == set()


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _record(name: str) -> Any:
    return json.loads((RECORDS / name).read_text())


def _references(node: Any) -> list[str]:
    if isinstance(node, dict):
        here = [node["reference"]] if isinstance(node.get("reference"), str) else []
        return here + [found for value in node.values() for found in _references(value)]
    if isinstance(node, list):
        return [found for value in node for found in _references(value)]
    return []


@pytest.mark.parametrize("name", ["records.json", "consent-withdrawn.json"])
def test_every_reference_of_the_demo_records_names_an_entry(name: str) -> None:
    known = {entry["fullUrl"] for entry in _record("records.json")["entry"]}
    assert set(_references(_record(name))) - known == set()


def test_the_demo_records_hold_what_the_demo_shows() -> None:
    text = (RECORDS / "records.json").read_text()
    kinds = [entry["resource"]["resourceType"] for entry in _record("records.json")["entry"]]
    assert kinds.count("Organization") == 2
    assert kinds.count("Patient") == 1
    assert kinds.count("Consent") == 1
    assert '"value": 1.00,' in text, "a number that only exact handling keeps"
    assert '"F11.20"' in text, "a record under a sensitivity class"


def test_the_withdrawn_consent_is_the_given_one_but_for_status_and_time() -> None:
    [given] = [
        entry["resource"]
        for entry in _record("records.json")["entry"]
        if entry["resource"]["resourceType"] == "Consent"
    ]
    withdrawn = _record("consent-withdrawn.json")
    assert (given["status"], withdrawn["status"]) == ("active", "inactive")
    changed = {name for name in given if given[name] != withdrawn[name]}
    assert changed == {"status", "dateTime"}


def test_the_gate_admits_every_demo_record() -> None:
    from fhir_bridge.fhir import admit

    for entry in _record("records.json")["entry"]:
        admit(json.dumps(entry["resource"]).encode())
    admit((RECORDS / "consent-withdrawn.json").read_bytes())
