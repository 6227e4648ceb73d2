"""Reading Consents: shapes that must not be read, names, dates, and what the writer is told."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from fhir_bridge.consent import (
    Policy,
    RelationTable,
    ancestors,
    ask,
    author_of,
    findings,
    has_authority,
    normalise,
    purpose_key,
    refused_elements,
)
from fhir_bridge.consent.period import FOREVER, span
from fhir_bridge.errors import Incorrect
from fhir_bridge.terms import Requester
from tests.consent.world import actor, at, consent, provision, requester


@pytest.mark.parametrize(
    ("tree", "element"),
    [
        (consent(provision("permit"), modifierExtension=[{}]), "Consent.modifierExtension"),
        (consent(provision("permit"), implicitRules="urn:x"), "Consent.implicitRules"),
        (consent(provision("permit"), decision="permit"), "Consent.decision"),
        (
            consent(provision("permit", modifierExtension=[{}])),
            "Consent.provision.modifierExtension",
        ),
        (consent(provision("permit", expression="x")), "Consent.provision.expression"),
        (consent(provision("allow")), "Consent.provision.type"),
        (consent(None, provision=[provision("permit")]), "Consent.provision"),
        (consent(provision("permit", provision={})), "Consent.provision.provision"),
        (consent(provision("permit", provision=[1])), "Consent.provision.provision[0]"),
        (consent(provision("permit", purpose=[])), "Consent.provision.purpose"),
        (consent(provision("permit", purpose="TREAT")), "Consent.provision.purpose"),
        (consent(provision("permit", action=[{"coding": "x"}])), "Consent.provision.action"),
        (consent(provision("permit") | {"period": "2024"}), "Consent.provision.period"),
        (consent(provision("permit", period={"start": "soon"})), "Consent.provision.period"),
        (consent(provision("permit") | {"period": {"end": 2024}}), "Consent.provision.period"),
        (
            consent(
                provision("permit", actor=[{**actor("Organization/b"), "modifierExtension": [{}]}])
            ),
            "Consent.provision.actor[0].modifierExtension",
        ),
        (
            consent(provision(None, period={"end": "2030"}), policyRule="OPTIN"),
            "Consent.provision.period",
        ),
        (consent(provision(None, nested=(provision("deny"),))), "Consent.provision.type"),
    ],
)
def test_what_has_no_one_to_one_reading_is_named(tree: dict[str, Any], element: str) -> None:
    found = normalise(tree)
    assert (found.standing, found.element) == ("indeterminate", element)
    assert found.directive is not None
    assert found.directive.problem == element
    told = findings(found)
    assert [(issue.where, issue.severity) for issue in told] == [(element, "warning")]


@pytest.mark.parametrize(
    "more",
    [
        {"purpose": [{"system": "x"}]},
        {"purpose": [{"code": {"a": 1}}]},
        {"securityLabel": [{"system": ["x"], "code": "N"}]},
        {"securityLabel": [{"system": "urn:mine", "code": "N"}]},
        {"class": [{"system": "urn:ietf:bcp:13", "code": "application/hl7-cda+xml"}]},
        {"action": [{"text": "look at"}]},
        {"actor": [{"role": {"text": "x"}, "reference": {"reference": "Organization/b"}}]},
        {"actor": [{"reference": {"reference": "Organization/b"}}]},
        {"actor": [{"role": actor("x")["role"], "reference": {"display": "b"}}]},
        {"actor": [{"role": actor("x")["role"], "reference": "Organization/b"}]},
        {"actor": [{"role": actor("x")["role"], "reference": {"reference": "Organization/"}}]},
        {"actor": [{"role": actor("x")["role"], "reference": {"identifier": {"system": "u"}}}]},
    ],
)
def test_a_value_that_is_not_understood_narrows_a_permit_and_widens_a_deny(
    more: dict[str, Any],
) -> None:
    name = next(iter(more))
    field = {"purpose": "purposes", "securityLabel": "labels", "class": "types"}.get(name)
    field = field or {"action": "actions", "actor": "actors"}[name]
    permit = normalise(consent(provision("permit", **more))).directive
    deny = normalise(consent(provision("deny", **more))).directive
    assert permit is not None
    assert deny is not None
    assert getattr(permit.base, field) == frozenset()
    assert getattr(deny.base, field) is None


def test_ids_and_extensions_of_a_provision_are_no_elements() -> None:
    root = provision("permit", id="x", extension=[{"url": "urn:x", "valueBoolean": True}])
    assert normalise(consent({**root, "_type": {"id": "y"}})).standing == "in-force"


def test_the_patient_is_taken_from_a_literal_reference_only() -> None:
    def patient(reference: Any) -> str | None:
        return normalise(consent(provision("permit"), patient=reference)).patient

    assert patient({"reference": "Patient/p/_history/3"}) == "p"
    assert patient({"reference": "https://x.example/fhir/Patient/p"}) is None
    assert patient({"reference": "Group/p"}) is None
    assert patient({"identifier": {"value": "1"}}) is None
    assert patient("Patient/p") is None


def test_the_version_reference_is_the_callers_or_the_resources_own() -> None:
    tree = consent(provision("permit"))
    assert normalise(tree).consent == "Consent/c1/_history/1"
    assert normalise(tree, consent="Consent/x/_history/9").consent == "Consent/x/_history/9"
    assert normalise({**tree, "meta": {}}).consent == "Consent/c1"
    assert normalise({**tree, "meta": 1}).consent == "Consent/c1"


def test_a_scope_without_a_known_code_is_another_scope() -> None:
    for scope in (
        {"text": "privacy"},
        {"coding": [{"system": "urn:x", "code": "patient-privacy"}]},
    ):
        found = normalise(consent(provision("permit")) | {"scope": scope})
        assert (found.standing, found.directive) == ("other-scope", None)
        assert findings(found)[0].severity == "information"
    bare = {"coding": [7, {"code": 1}, {"code": "patient-privacy"}]}
    assert normalise(consent(provision("permit")) | {"scope": bare}).standing == "in-force"


def test_a_consent_not_in_force_says_so_and_draws_no_finding() -> None:
    found = normalise(consent(provision("permit"), status="draft"))
    assert (found.standing, found.element) == ("not-in-force", "Consent.status")
    assert findings(found) == []


def test_the_writer_is_told_what_is_not_evaluated_in_which_rule() -> None:
    tree = consent(
        provision("permit", nested=(provision("deny", code=[{"text": "x"}], data=[{}]),))
    )
    assert [issue.where for issue in findings(normalise(tree))] == [
        "Consent.provision.provision[0].code",
        "Consent.provision.provision[0].data",
    ]
    assert findings(normalise(consent(provision("permit")))) == []


def test_an_r5_consent_is_refused_by_the_names_of_its_elements() -> None:
    r5 = {
        "resourceType": "Consent",
        "status": "active",
        "subject": {"reference": "Patient/p"},
        "decision": "permit",
        "provision": [
            {"resourceType": [], "provision": [{"documentType": []}]},
            {"expression": {}},
        ],
    }
    assert sorted(issue.where for issue in refused_elements(r5)) == [
        "Consent.decision",
        "Consent.provision",
        "Consent.provision[0].provision[0].documentType",
        "Consent.provision[0].resourceType",
        "Consent.provision[1].expression",
        "Consent.subject",
    ]
    assert refused_elements(consent(provision("permit", nested=(provision("deny"),)))) == []
    assert refused_elements(consent()) == []
    assert normalise(r5).standing != "in-force"


@pytest.mark.parametrize(
    ("text", "first", "after"),
    [
        ("2024", "2024-01-01", "2025-01-01"),
        ("2024-12", "2024-12-01", "2025-01-01"),
        ("2024-02", "2024-02-01", "2024-03-01"),
        ("2024-02-29", "2024-02-29", "2024-03-01"),
        ("2024-01-15T10:00:00-05:00", "2024-01-15T15:00:00+00:00", "2024-01-15T15:00:01+00:00"),
        ("2024-01-15T10:00:00.5Z", "2024-01-15T10:00:00.500+00:00", "2024-01-15T10:00:00.6+00:00"),
        ("2024-01-15T23:59:60Z", "2024-01-15T23:59:59+00:00", "2024-01-16T00:00:00+00:00"),
    ],
)
def test_a_date_stands_for_the_whole_of_its_precision(text: str, first: str, after: str) -> None:
    assert span(text) == (at(first), at(after))


def test_the_year_9999_means_no_end() -> None:
    assert span("9999-12-31")[1] == FOREVER
    assert span("9999")[1] == FOREVER


@pytest.mark.parametrize("text", ["", "24", "2024-13", "2024-02-30", "2024-01-15T10:00", "x2024"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a dateTime|month|day"):
        span(text)


def test_purposes_know_what_they_are_a_kind_of() -> None:
    assert ancestors("BTG") == {"BTG", "ETREAT", "TREAT"}
    assert ancestors("CLINTRCHNPC") == {"CLINTRCHNPC", "CLINTRCH", "HRESCH"}
    assert ancestors("urn:x|FooBar") == {"urn:x|FooBar"}
    assert purpose_key(None, "TREAT") == "TREAT"
    assert purpose_key("urn:x", "TREAT") == "urn:x|TREAT"


def test_a_requester_has_all_its_names() -> None:
    asked = ask(requester("urn:x|77", user="dr-7", patient="p"), aliases=("Organization/b",))
    assert asked.identities == {"urn:x|77", "dr-7", "Patient/p", "Organization/b"}
    assert asked.loose == asked.identities | {"77"}
    assert asked.kinds == {"Organization|", "Organization", "Practitioner|", "Patient"}
    assert ask(requester("")).identities == frozenset()


def test_an_alias_makes_an_identifier_comparable() -> None:
    by_number = normalise(consent(provision("deny", actors=("identifier:urn:x#77",)))).directive
    assert by_number is not None
    assert by_number.base is not None
    assert by_number.base.actor_kinds == frozenset({"Organization|"})


@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"relations": {"guest": "permit"}}, "consent.relations.guest"),
        ({"relations": {"own": 1}}, "consent.relations.own"),
        ({"relations": {"own": "maybe"}}, "consent.relations.own"),
        ({"relations": {"own": {}}}, "consent.relations.own"),
        (
            {"relations": {"own": {"effect": "permit", "purpose": []}}},
            "consent.relations.own.purpose",
        ),
        ({"emergency": "always"}, "consent.emergency"),
        ({"other": 1}, "consent.other"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], where: str) -> None:
    with pytest.raises(Incorrect) as caught:
        Policy.from_dict(settings)
    assert caught.value.where == where


def test_a_stated_cell_replaces_the_shipped_one_and_leaves_the_others() -> None:
    table = RelationTable.from_dict({"other": {"effect": "permit", "purposes": ["PUBHLTH"]}})
    assert table.other.purposes == frozenset({"PUBHLTH"})
    assert table.own == RelationTable.from_dict().own
    assert Policy.from_dict({"self_purposes": ["TREAT"]}).self_purposes == {"TREAT"}


def test_only_the_patient_and_a_custodian_have_authority() -> None:
    custodians, policy = {"Organization/a"}, Policy.from_dict()

    def may(who: Requester, patient: str, of: Collection[str] = custodians) -> bool:
        return has_authority(author_of(who, policy), patient, of)

    assert may(requester("Organization/a"), "p")
    assert not may(requester("Organization/b"), "p")
    assert not may(requester("Organization/b"), "p", ())
    mine = requester("Organization/b", "PATRQT", patient="p")
    assert may(mine, "p")
    assert not may(mine, "q", {"Organization/b"})
    assert may(requester("Organization/b", "FAMRQT", patient="p"), "p")
    confined = requester("Organization/b", "TREAT", patient="p")
    assert not may(confined, "p")
    assert may(confined, "p", {"Organization/b"})
    treating = Policy.from_dict({"self_purposes": ["TREAT"]})
    assert author_of(confined, treating) == "Patient/p"
