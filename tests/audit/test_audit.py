"""Audit records: small, versioned, and rendered as BALP says."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge.audit import (
    DENIED,
    FAILED,
    SHAPES,
    Disclosure,
    Entity,
    Record,
    Server,
    accounting,
    disclosures_bundle,
    hipaa_accountable,
    parse,
    record,
    render,
)
from fhir_bridge.errors import Corrupt
from fhir_bridge.fhir import check
from fhir_bridge.terms import Requester
from tests.audit.balp import Profile

UUID = "0b1d7a9e-6f0c-4c1e-9a51-0d8a3c2b1f00"
ASKER = Requester(
    "client-1",
    f"Organization/{UUID}",
    "TREAT",
    roles=("physician",),
    user=f"Practitioner/{UUID}",
    token_id=UUID,
)
NOBODY = Requester("client-2", "urn:oid:1.2.3|77", "urn:x|FooBar", token_id="jti-2")
SERVER = Server("fhir_bridge", "https://bridge.example/fhir")
DATA = Entity("Observation", UUID, UUID, 123_456, ("N",))
CONSENT = f"Consent/{UUID}/_history/{UUID}"
COMMON: dict[str, Any] = {
    "at_us": 1_705_320_000_123_456,
    "requester": ASKER,
    "network": "192.0.2.7",
    "request_id": UUID,
}
QUERY = "GET /fhir/Observation?patient=p&_count=20"


def events() -> dict[str, bytes]:
    """One record of every kind, and the refusals."""
    read: dict[str, Any] = COMMON | {"patient": "p", "relation": "other", "consents": (CONSENT,)}
    refused: dict[str, Any] = COMMON | {
        "outcome": DENIED,
        "patient": "p",
        "reasons": ("directive-deny",),
        "basis": "45 CFR 171.202(e)",
        "consents": (CONSENT,),
    }
    written = [Entity("Patient", "p", "1", 5, (), "create"), Entity("Device", "d", action="delete")]
    return {
        "read": record("read", entities=[DATA], **read),
        "vread": record("vread", entities=[DATA], **read),
        "proof": record("proof", entities=[DATA], **read),
        "search": record("search", query=QUERY, entities=[DATA, DATA], **read),
        "history": record("history", query=QUERY, entities=[DATA], **read),
        "everything": record("everything", query=QUERY, entities=[DATA], **read),
        "disclosures": record("disclosures", query=QUERY, entities=[], **read),
        "operation": record("operation", query=QUERY, entities=[], **(read | {"patient": None})),
        "create": record("create", entities=[DATA], **COMMON, patient="p"),
        "update": record("update", entities=[DATA], **COMMON, patient="p"),
        "delete": record("delete", entities=[DATA], **COMMON, patient="p"),
        "transaction": record("transaction", entities=written, **COMMON, patient="p"),
        "batch": record("batch", entities=written, **COMMON),
        "token": record("token", **COMMON, query="grant_type=client_credentials"),
        "read refused": record("read", entities=[Entity("Observation", UUID)], **refused),
        "create refused": record("create", entities=[Entity("Observation", "")], **refused),
        "search refused": record("search", query=QUERY, **refused),
        "token refused": record(
            "token", outcome=DENIED, **COMMON, query="grant_type=x", reasons=["invalid_client"]
        ),
        "search failed": record(
            "search", outcome=FAILED, reasons=("unavailable",), query=QUERY, **COMMON
        ),
    }


def test_every_kind_has_an_event() -> None:
    assert set(SHAPES) <= set(events())


@pytest.mark.parametrize("name", events())
def test_what_is_rendered_is_valid_r4(name: str) -> None:
    tree = render(events()[name], server=SERVER, event_id="a-1")
    assert [issue for issue in check(tree) if issue.severity == "error"] == []
    assert json.loads(json.dumps(tree)) == tree


@pytest.mark.parametrize("who", [ASKER, NOBODY])
@pytest.mark.parametrize("patient", ["p", None])
@pytest.mark.parametrize(
    ("kind", "file", "stem"),
    [
        ("read", "PatientRead.fsh", "Read"),
        ("vread", "PatientRead.fsh", "Read"),
        ("search", "PatientQuery.fsh", "Query"),
        ("create", "PatientCreate.fsh", "Create"),
        ("update", "PatientUpdate.fsh", "Update"),
        ("delete", "PatientDelete.fsh", "Delete"),
    ],
)
def test_a_successful_event_conforms_to_the_profile_it_names(
    testdata: Path, kind: str, file: str, stem: str, patient: str | None, who: Requester
) -> None:
    name = f"Patient{stem}" if patient else stem
    tree = render(
        record(
            kind,
            **(COMMON | {"requester": who}),
            patient=patient,
            entities=[DATA],
            consents=[CONSENT],
            query=QUERY if kind == "search" else "",
        ),
        server=SERVER,
    )
    profile = Profile(testdata / "consent" / "ihe-balp" / file, name)
    assert {("agent", "client"), ("agent", "server")} <= set(profile.counts)
    assert profile.faults(tree) == []
    assert tree["meta"]["profile"][0].endswith(f"/IHE.BasicAudit.{name}")


def test_the_profile_reader_sees_what_is_wrong(testdata: Path) -> None:
    path = testdata / "consent" / "ihe-balp" / "PatientRead.fsh"
    profile = Profile(path, "PatientRead")
    good = render(events()["read"], server=SERVER)
    assert profile.faults(good) == []
    for broken in (
        {**good, "action": "E"},
        {**good, "agent": good["agent"][1:]},
        {**good, "entity": good["entity"][:2]},
        {**good, "entity": [e for e in good["entity"] if e.get("role", {}).get("code") != "1"]},
        {**good, "agent": [{k: v for k, v in a.items() if k != "network"} for a in good["agent"]]},
        {**good, "type": {"system": "x", "code": "rest"}},
    ):
        assert profile.faults(broken)


def test_a_typical_record_is_small() -> None:
    found = events()
    for name in ("read", "vread", "create", "update", "delete", "read refused"):
        assert len(found[name]) <= 700, name


def test_a_record_says_who_what_when_why_and_under_which_consent() -> None:
    found = parse(events()["read"])
    assert (found.v, found.kind, found.at) == (1, "read", COMMON["at_us"])
    assert (found.client, found.org, found.user) == ("client-1", ASKER.organization, ASKER.user)
    assert (found.roles, found.purpose, found.jti) == (("physician",), "TREAT", UUID)
    assert (found.net, found.req, found.patient, found.rel) == ("192.0.2.7", UUID, "p", "other")
    assert (found.ents, found.consents, found.out) == ((DATA,), (CONSENT,), 0)


def test_bytes_that_are_no_record_are_corrupt() -> None:
    for data in (b"", b"{}", b"[]", b'{"v":1,"kind":2,"at":0,"client":""}'):
        with pytest.raises(Corrupt) as caught:
            parse(data)
        assert caught.value.code == "audit-record"
    with pytest.raises(Corrupt) as caught:
        parse(events()["read"].replace(b'"v":1', b'"v":2'))
    assert caught.value.code == "audit-version"


def test_a_refusal_fails_with_its_reason_and_its_legal_basis() -> None:
    tree = render(events()["read refused"], server=SERVER)
    assert tree["outcome"] == str(DENIED)
    assert tree["outcomeDesc"] == "directive-deny; 45 CFR 171.202(e)"
    assert "profile" not in tree.get("meta", {})
    consents = [e["what"]["reference"] for e in tree["entity"] if e["type"]["code"] == "Consent"]
    assert consents == [CONSENT]
    failed = render(events()["search failed"], server=SERVER)
    assert (failed["outcome"], failed["outcomeDesc"]) == (str(FAILED), "unavailable")


def test_the_query_is_base64_of_what_came() -> None:
    tree = render(events()["search"], server=SERVER)
    (query,) = (e for e in tree["entity"] if "query" in e)
    assert base64.b64decode(query["query"]).decode() == QUERY
    assert QUERY not in json.dumps(tree)


def test_without_a_user_the_client_is_the_one_who_asked() -> None:
    tree = render(record("read", **(COMMON | {"requester": NOBODY})), server=SERVER)
    client, server, organization = tree["agent"]
    assert (client["requestor"], server["requestor"], organization["requestor"]) == (
        True,
        False,
        False,
    )
    assert client["policy"] == ["urn:ietf:params:oauth:jti:jti-2"]
    assert client["purposeOfUse"][0]["coding"][0] == {"system": "urn:x", "code": "FooBar"}
    assert organization["who"] == {"identifier": {"system": "urn:oid:1.2.3", "value": "77"}}


def test_names_and_addresses_take_the_form_they_have() -> None:
    plain = Requester("c", "", "", user="dr-7")
    tree = render(
        record("read", at_us=0, requester=plain, network="host.example", request_id=""),
        server=SERVER,
    )
    client, _, user = tree["agent"]
    assert client["network"] == {"address": "host.example", "type": "1"}
    assert user["who"] == {"identifier": {"value": "dr-7"}}
    assert "entity" not in tree
    assert "purposeOfEvent" not in tree
    assert tree["recorded"] == "1970-01-01T00:00:00.000Z"
    nowhere = record("read", at_us=0, requester=plain, network="", request_id="")
    tree = render(nowhere, server=SERVER)
    assert "network" not in tree["agent"][0]
    assert "meta" not in tree


def test_labels_of_the_data_are_the_labels_of_the_event() -> None:
    entity = Entity("Observation", "o", "1", 0, ("R", "SUD"))
    tree = render(record("create", entities=[entity], **COMMON, patient="p"), server=SERVER)
    assert [label["code"] for label in tree["meta"]["security"]] == ["R", "SUD"]
    (data,) = (e for e in tree["entity"] if "securityLabel" in e)
    assert data["detail"] == [{"type": "ledger-index", "valueString": "0"}]


def test_the_accounting_lists_releases_oldest_first_and_nothing_else() -> None:
    found = accounting([*events().values(), parse(events()["read"])])
    kinds = ["everything", "history", "proof", "read", "read", "search", "vread"]
    assert sorted(d.interaction for d in found) == kinds
    later = record("read", entities=[DATA], **(COMMON | {"at_us": 1}), patient="p", relation="self")
    assert accounting([events()["read"], later])[0] == Disclosure(
        1,
        "client-1",
        ASKER.organization,
        str(ASKER.user),
        "self",
        "TREAT",
        (f"Observation/{UUID}/_history/{UUID}",),
        (),
        "read",
        "",
    )


def test_the_accounting_of_the_law_is_a_part() -> None:
    def one(relation: str, purpose: str, consents: tuple[str, ...] = ()) -> bytes:
        asker = Requester("c", "Organization/b", purpose)
        entity = Entity("Observation", "o")
        common = COMMON | {"requester": asker, "patient": "p"}
        return record("read", entities=[entity], relation=relation, consents=consents, **common)

    rows = accounting(
        [
            one("other", "PUBHLTH"),
            one("other", "TREAT"),
            one("self", "PATRQT"),
            one("other", "HRESCH", (CONSENT,)),
        ]
    )
    assert len(rows) == 4
    owed = hipaa_accountable(rows, lambda purpose: purpose == "TREAT")
    assert [d.purpose for d in owed] == ["PUBHLTH"]
    assert owed[0].resources == ("Observation/o",)


def test_the_patient_sees_every_access_newest_first() -> None:
    first = record(
        "read", entities=[DATA], **(COMMON | {"at_us": 1}), patient="p", relation="other"
    )
    rows: list[tuple[str, Record | bytes]] = [
        ("a-1", first),
        ("a-2", events()["read"]),
        ("a-3", parse(events()["read refused"])),
    ]
    bundle = disclosures_bundle(rows, server=SERVER, self_url="https://bridge.example/x")
    assert (bundle["type"], bundle["total"]) == ("searchset", 3)
    assert [e["resource"]["id"] for e in bundle["entry"]] == ["a-2", "a-3", "a-1"]
    assert bundle["entry"][0]["fullUrl"] == "https://bridge.example/fhir/AuditEvent/a-2"
    assert [i for i in check(bundle) if i.severity == "error"] == []
    empty = disclosures_bundle([], server=SERVER)
    assert empty == {"resourceType": "Bundle", "type": "searchset", "total": 0}
