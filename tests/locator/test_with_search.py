"""The two rooms together: what goes in by ``extract`` is found by ``parse``."""

from __future__ import annotations

import bz2
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge.locator import Facts, Hit, Locator, LocatorWriter, Row
from fhir_bridge.search import Query, extract, fingerprint, parse, plan
from tests.locator.made import KEY


def yes(group: int) -> bool:
    return True


class View:
    """One synthetic patient's resources in a locator."""

    def __init__(self, folder: Path, testdata: Path) -> None:
        bundle = json.loads(
            bz2.decompress(min((testdata / "fhir/synthea").glob("[1-9]*.bz2")).read_bytes())
        )
        self.trees: list[dict[str, Any]] = []
        text = json.dumps(bundle)
        for entry in bundle["entry"]:
            resource = entry["resource"]
            text = text.replace(entry["fullUrl"], f"{resource['resourceType']}/{resource['id']}")
        self.trees = [entry["resource"] for entry in json.loads(text)["entry"]]
        writer = LocatorWriter(folder / "l.db", KEY, fingerprint())
        writer.index([self._row(i, tree) for i, tree in enumerate(self.trees)], upto=1)
        writer.close()
        self.locator = Locator(folder / "l.db", KEY, fingerprint())

    @staticmethod
    def _row(i: int, tree: dict[str, Any]) -> Row:
        return Row(
            i,
            tree["resourceType"],
            tree["id"],
            f"v{i}",
            1,
            i,
            False,
            Facts(tree["resourceType"]),
            extract(tree),
        )

    def query(self, type_: str, **pairs: str) -> Query:
        return parse(type_, [(name.replace("__", ":"), value) for name, value in pairs.items()])

    def ids(self, type_: str, **pairs: str) -> list[str]:
        found = self.locator.search(plan(self.query(type_, **pairs)), yes).hits
        return [hit.id for hit in found]

    def of(self, type_: str) -> list[dict[str, Any]]:
        return [t for t in reversed(self.trees) if t["resourceType"] == type_]


@pytest.fixture
def view(tmp_path: Path, testdata: Path) -> View:
    return View(tmp_path, testdata)


def test_a_patient_is_found_by_each_of_its_names_and_numbers(view: View) -> None:
    (patient,) = view.of("Patient")
    name = patient["name"][0]
    assert view.ids("Patient", family=name["family"][:3].upper()) == [patient["id"]]
    assert view.ids("Patient", name__exact=name["given"][0]) == [patient["id"]]
    assert view.ids("Patient", name__exact=name["given"][0].upper()) == []
    assert view.ids("Patient", birthdate=patient["birthDate"]) == [patient["id"]]
    assert view.ids("Patient", birthdate=patient["birthDate"][:4]) == [patient["id"]]
    for identifier in patient["identifier"]:
        wanted = f"{identifier['system']}|{identifier['value']}"
        assert view.ids("Patient", identifier=wanted) == [patient["id"]]


def test_observations_are_found_by_subject_code_status_and_date(view: View) -> None:
    (patient,) = view.of("Patient")
    observations = view.of("Observation")
    everything = [o["id"] for o in observations]
    count = str(len(everything))
    assert view.ids("Observation", patient=patient["id"], _count=count) == everything
    assert view.ids("Observation", subject=f"Patient/{patient['id']}", _count=count) == everything
    assert view.ids("Observation", subject__missing="true") == []
    assert view.ids("Observation", status__not="final") == []
    wanted = observations[0]["code"]["coding"][0]
    same = [
        o["id"]
        for o in observations
        if any(c["code"] == wanted["code"] for c in o["code"]["coding"])
    ]
    asked = f"{wanted['system']}|{wanted['code']}"
    status = "http://hl7.org/fhir/observation-status|final"
    assert view.ids("Observation", code=asked, status=status, _count=count) == same
    when = {o["id"]: datetime.fromisoformat(o["effectiveDateTime"]) for o in observations}
    # a date without a zone is a day in UTC
    day = when[everything[0]].astimezone(UTC).date()
    on_day = [id_ for id_ in everything if when[id_].astimezone(UTC).date() == day]
    assert view.ids("Observation", date=str(day), _count=count) == on_day
    sorted_ids = view.ids("Observation", _sort="-date", _count=count)
    assert sorted(sorted_ids) == sorted(everything)
    times = [when[id_] for id_ in sorted_ids]
    assert times == sorted(times, reverse=True)


def test_includes_bring_the_patient_and_what_points_back(view: View) -> None:
    (patient,) = view.of("Patient")
    query = view.query("Observation", _include="Observation:subject", _count="5")
    hits = view.locator.search(plan(query), yes).hits
    found = view.locator.includes(hits, query.includes, query.revincludes, yes)
    assert [(h.type, h.id) for h in found.hits] == [("Patient", patient["id"])]
    query = view.query("Patient", _revinclude="Condition:subject")
    hits = view.locator.search(plan(query), yes).hits
    back: tuple[Hit, ...] = view.locator.includes(hits, (), query.revincludes, yes).hits
    assert [h.id for h in back] == [c["id"] for c in view.of("Condition")]
