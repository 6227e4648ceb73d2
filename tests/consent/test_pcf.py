"""The IHE PCF examples: every decided row, as far as the elements of this version reach."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge.consent import Decider, Facts, Policy, ask, decide, findings, normalise
from fhir_bridge.labels import label
from fhir_bridge.terms import Action
from tests.consent.world import at, requester

NOT_COVERED = {
    "ex-consent-intermediate-timeframe": "dataPeriod",
    "ex-consent-intermediate-not-timeframe": "dataPeriod",
    "ex-consent-intermediate-data": "data",
    "ex-consent-intermediate-not-data": "data",
    "ex-consent-intermediate-authoredby": "data",
    "ex-consent-intermediate-not-authoredby": "data",
    "ex-consent-intermediate-encounter": "data",
    "ex-consent-intermediate-not-encounter": "data",
    "ex-consent-advanced-normal-break-glass-restricted": "actor",
    "ex-dissent-intermediate-break-glass": "actor",
}
"""Consents with an element that is not evaluated yet (an actor that is a Group): their denials
are checked like the others, their permits may come out as a denial and never the other way."""
POLICY = Policy.from_dict()


def rows(folder: Path) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    for name in ("expected.tsv", "expected-added.tsv"):
        with (folder / name).open(encoding="utf-8", newline="") as lines:
            found += csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    return [row for row in found if row["expected"] != "open"]


class Examples:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.trees: dict[str, dict[str, Any]] = {}

    def tree(self, name: str) -> dict[str, Any]:
        if name not in self.trees:
            self.trees[name] = json.loads((self.folder / name).read_text("utf-8"))
        return self.trees[name]

    def answer(self, row: dict[str, str], relabel: bool = False) -> str:
        directive = normalise(self.tree(row["consent"])).directive
        assert directive is not None
        data = self.tree(row["resource"])
        stated = frozenset(c["code"] for c in data.get("meta", {}).get("security", ()))
        facts = Facts(
            data["resourceType"],
            ("ex-patient",),
            label(data).security if relabel else stated,
            "Organization/the-keeper",
        )
        user = row["user"]
        organization = user if user.startswith("Organization/") else "Organization/ex-organization"
        asked = ask(
            requester(
                organization,
                row["purpose"],
                user=user if user.startswith("Practitioner/") else None,
            ),
            Action.DISCLOSE,
        )
        deciders = {"ex-patient": Decider([directive])}
        return (
            "permit"
            if decide(facts, asked, deciders, POLICY, at(row["instant"])).permit
            else "deny"
        )


@pytest.fixture
def pcf(testdata: Path) -> Examples:
    return Examples(testdata / "consent" / "pcf")


def name(row: dict[str, str]) -> str:
    return Path(row["consent"]).stem.removeprefix("Consent-")


def test_every_decided_row_of_the_covered_consents_is_answered_as_expected(pcf: Examples) -> None:
    checked: Counter[str] = Counter()
    for row in rows(pcf.folder):
        if name(row) not in NOT_COVERED:
            assert pcf.answer(row) == row["expected"], row
            checked[row["expected"]] += 1
    assert checked == {"permit": 882, "deny": 841}


def test_the_labels_of_this_server_give_the_same_answers(pcf: Examples) -> None:
    for row in rows(pcf.folder):
        if name(row) not in NOT_COVERED:
            assert pcf.answer(row, relabel=True) == row["expected"], row


def test_consents_not_covered_never_permit_what_is_denied(pcf: Examples) -> None:
    refused_too_much: Counter[str] = Counter()
    for row in rows(pcf.folder):
        if name(row) in NOT_COVERED:
            got = pcf.answer(row)
            assert row["expected"] == "permit" or got == "deny", row
            refused_too_much[name(row)] += got != row["expected"]
    assert set(refused_too_much) == set(NOT_COVERED)
    assert sum(refused_too_much.values()) > 0


def test_the_writer_is_told_which_element_is_not_evaluated(pcf: Examples) -> None:
    for example, element in NOT_COVERED.items():
        if element != "actor":
            told = findings(normalise(pcf.tree(f"consents/Consent-{example}.json")))
            assert any(issue.where.endswith("." + element) for issue in told)


def test_the_official_r4_examples_have_the_reading_the_room_documents(testdata: Path) -> None:
    expected = {
        "consent-example-Out": "Consent.provision.actor",
        "consent-example-notAuthor": "Consent.provision.actor",
        "consent-example-notOrg": "Consent.policyRule",
        "consent-example-notThis": "Consent.provision.data",
        "consent-example-pkb": "Consent.provision.actor",
        "consent-example-signature": "Consent.provision.actor",
    }
    for example, element in expected.items():
        path = testdata / "fhir" / "r4-examples" / f"Consent-{example}.json"
        found = normalise(json.loads(path.read_text("utf-8")))
        assert (found.standing, found.element) == ("indeterminate", element)
