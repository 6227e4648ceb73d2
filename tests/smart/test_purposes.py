"""Purpose and person: the hl7-b2b extension narrows the registration, never widens it."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_bridge import smart
from fhir_bridge.smart.acting import Acting, acting
from tests.smart.world import ORGANIZATION, client

BASE = "https://node.example/fhir"
OID = "urn:oid:2.16.840.1.113883.5.8"
URL = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


def extension(**members: Any) -> dict[str, Any]:
    return {"hl7-b2b": {"version": "1", "organization_id": ORGANIZATION, **members}}


@pytest.mark.parametrize("text", ["TREAT", f"{OID}#TREAT", f"{OID}|TREAT", f"{URL}#TREAT"])
def test_a_purpose_may_carry_its_code_system(text: str) -> None:
    assert smart.purpose_code(text) == "TREAT"


@pytest.mark.parametrize(
    "text", ["", "treat", "T-TRTMNT", "urn:oid:1.2.3#TREAT", f"{OID}#", "#TREAT"]
)
def test_an_unknown_purpose_is_no_purpose(text: str) -> None:
    assert smart.purpose_code(text) is None


# registered            named                       purpose, or the OAuth error
PURPOSES: list[tuple[str, list[str] | str | None, str]] = [
    ("TREAT", None, "TREAT"),
    ("TREAT", [], "TREAT"),
    ("TREAT", ["TREAT"], "TREAT"),
    ("TREAT", "TREAT", "TREAT"),
    ("TREAT", [f"{OID}#TREAT"], "TREAT"),
    ("TREAT", ["TREAT", f"{OID}#TREAT"], "TREAT"),
    ("TREAT", ["TREAT", "HPAYMT"], "TREAT"),
    ("TREAT", ["HPAYMT"], "invalid_grant"),
    ("TREAT", ["BTG"], "invalid_grant"),
    ("TREAT", ["CLINTRL"], "invalid_grant"),
    ("BTG", ["TREAT"], "invalid_grant"),
    ("TREAT", ["nonsense"], "invalid_grant"),
    ("TREAT HPAYMT", None, "invalid_request"),
    ("TREAT HPAYMT", [], "invalid_request"),
    ("TREAT HPAYMT", ["HPAYMT"], "HPAYMT"),
    ("TREAT HPAYMT", ["TREAT", "HPAYMT"], "invalid_request"),
    ("TREAT HPAYMT", ["HPAYMT", "HMARKT"], "HPAYMT"),
    ("TREAT", [1], "invalid_request"),  # type: ignore[list-item]
    ("TREAT", {"code": "TREAT"}, "invalid_request"),  # type: ignore[list-item]
    ("TREAT", ["TREAT"] * 21, "invalid_request"),
]


@pytest.mark.parametrize(("registered", "named", "outcome"), PURPOSES)
def test_exactly_one_purpose_results(registered: str, named: Any, outcome: str) -> None:
    who = client(purposes=tuple(registered.split()))
    said = extension() if named is None else extension(purpose_of_use=named)
    if outcome.isupper():
        assert acting(who, said, BASE).purpose == outcome
        return
    with pytest.raises(smart.OAuthError) as refused:
        acting(who, said, BASE)
    assert refused.value.error == outcome


def test_without_the_extension_several_purposes_are_explained() -> None:
    with pytest.raises(smart.OAuthError, match=r"HPAYMT, TREAT.*purpose_of_use"):
        acting(client(purposes=("TREAT", "HPAYMT")), {}, BASE)


def test_without_the_extension_the_client_acts_for_itself() -> None:
    assert acting(client(roles=("doctor",)), {}, BASE) == Acting("TREAT", ("doctor",), None)


def test_a_named_person_has_the_named_role_only() -> None:
    who = client(roles=("doctor", "nurse"))
    said = extension(subject_id="dr-a", subject_name="A", subject_role="nurse")
    assert acting(who, said, BASE) == Acting("TREAT", ("nurse",), "dr-a")
    assert acting(who, extension(subject_id="dr-a"), BASE).roles == ()


@pytest.mark.parametrize(
    ("members", "error"),
    [
        ({"version": "2"}, "invalid_request"),
        ({"version": 1}, "invalid_request"),
        ({"version": None}, "invalid_request"),
        ({"organization_id": "Organization/other"}, "invalid_grant"),
        ({"organization_id": "organization/hospital"}, "invalid_grant"),
        ({"organization_id": "hospital"}, "invalid_grant"),
        ({"organization_id": ""}, "invalid_request"),
        ({"organization_id": [ORGANIZATION]}, "invalid_request"),
        ({"subject_id": "dr-a", "subject_role": "admin"}, "invalid_grant"),
        ({"subject_role": "doctor"}, "invalid_request"),
        ({"subject_name": "A"}, "invalid_request"),
        ({"subject_id": ""}, "invalid_request"),
        ({"subject_id": "a\nb"}, "invalid_request"),
        ({"subject_id": "a" * 257}, "invalid_request"),
        ({"subject_id": {"id": 1}}, "invalid_request"),
    ],
)
def test_an_extension_that_does_not_fit_is_refused(members: dict[str, Any], error: str) -> None:
    with pytest.raises(smart.OAuthError) as refused:
        acting(client(roles=("doctor",)), extension(**members), BASE)
    assert refused.value.error == error


@pytest.mark.parametrize("said", [[], "1", None, {}, {"version": "1"}])
def test_an_extension_that_is_no_such_object_is_refused(said: object) -> None:
    with pytest.raises(smart.OAuthError) as refused:
        acting(client(), {"hl7-b2b": said}, BASE)
    assert refused.value.error == "invalid_request"


@pytest.mark.parametrize(
    ("registered", "named"),
    [
        ("Organization/hospital", "Organization/hospital"),
        ("Organization/hospital", f"{BASE}/Organization/hospital"),
        ("urn:ietf:rfc:3986|urn:oid:1.2.3", "urn:oid:1.2.3"),
        ("http://hl7.org/fhir/sid/us-npi|1234567893", "http://hl7.org/fhir/sid/us-npi|1234567893"),
    ],
)
def test_the_organisation_may_be_named_as_registered_or_as_a_uri(
    registered: str, named: str
) -> None:
    who = client(organization=registered)
    assert acting(who, extension(organization_id=named), BASE).purpose == "TREAT"


def test_our_own_helper_makes_an_extension_that_fits() -> None:
    made = smart.b2b(ORGANIZATION, purpose="TREAT", user="dr-a", name="A", role="doctor")
    assert acting(client(roles=("doctor",)), made, BASE) == Acting("TREAT", ("doctor",), "dr-a")
