"""The CapabilityStatement promises what the table serves, and nothing else."""

from __future__ import annotations

from typing import Any

from tests.api.conftest import SURFACE, Stand

ADDRESSES = {
    "read": ("GET", "/fhir/{type}/p1"),
    "vread": ("GET", "/fhir/{type}/p1/_history/v1"),
    "history-instance": ("GET", "/fhir/{type}/p1/_history"),
    "update": ("PUT", "/fhir/{type}/p1"),
    "delete": ("DELETE", "/fhir/{type}/p1"),
    "create": ("POST", "/fhir/{type}"),
    "search-type": ("GET", "/fhir/{type}"),
    "transaction": ("POST", "/fhir"),
    "batch": ("POST", "/fhir"),
}


async def statement(stand: Stand) -> dict[str, Any]:
    got = await stand.ask("GET", "/fhir/metadata", token=None)
    assert got.status == 200
    tree: dict[str, Any] = got.tree
    return tree


async def test_every_listed_interaction_and_operation_works(stand: Stand) -> None:
    rest = (await statement(stand))["rest"][0]
    assert [row["type"] for row in rest["resource"]] == list(SURFACE.types)
    for row in rest["resource"]:
        type_ = row["type"]
        for code in [i["code"] for i in row["interaction"]]:
            stand.exchange.put(type_, "p1")
            stand.exchange.deleted.clear()
            method, path = ADDRESSES[code]
            body = b"{}" if method in ("PUT", "POST") else None
            headers = {"Content-Type": "application/json"}
            path = path.replace("{type}", type_)
            got = await stand.ask(method, path, headers=headers, data=body)
            assert got.status < 300, (code, got.raw)
        stand.exchange.deleted.clear()
        for operation in row["operation"]:
            got = await stand.ask("GET", f"/fhir/{type_}/p1/${operation['name']}")
            assert got.status == 200
    for code in [i["code"] for i in rest["interaction"]]:
        bundle = {"resourceType": "Bundle", "type": code}
        assert (await stand.ask(*ADDRESSES[code], json=bundle)).status == 200


async def test_every_served_interaction_is_listed(stand: Stand) -> None:
    rest = (await statement(stand))["rest"][0]
    system = {"transaction", "batch"}
    assert {i["code"] for i in rest["interaction"]} == system
    for row in rest["resource"]:
        assert {i["code"] for i in row["interaction"]} == set(ADDRESSES) - system
    patient = next(row for row in rest["resource"] if row["type"] == "Patient")
    basic = next(row for row in rest["resource"] if row["type"] == "Basic")
    names = {row["name"] for row in patient["operation"]}
    assert names == {"everything", "disclosures", "ledger-proof"}
    assert {row["name"] for row in basic["operation"]} == {"ledger-proof"}


async def test_search_parameters_come_from_the_given_table(stand: Stand) -> None:
    rest = (await statement(stand))["rest"][0]
    rows = {row["type"]: row for row in rest["resource"]}
    assert [p["name"] for p in rows["Patient"]["searchParam"]] == ["identifier", "name"]
    assert "definition" not in rows["Patient"]["searchParam"][1]
    assert rows["Observation"]["searchInclude"] == ["Observation:subject"]
    assert rows["Patient"]["searchRevInclude"] == ["Observation:subject"]
    assert "searchParam" not in rows["Basic"]


async def test_the_security_part_points_at_the_token_endpoint(stand: Stand) -> None:
    security = (await statement(stand))["rest"][0]["security"]
    uris = {e["url"]: e["valueUri"] for e in security["extension"][0]["extension"]}
    assert uris["token"] == "https://bridge.example/auth/token"
    for uri in uris.values():
        path = uri.removeprefix("https://bridge.example")
        assert (await stand.ask("POST", path, token=None, data={"a": "b"})).status == 200


async def test_our_own_operations_are_defined_where_the_statement_says(stand: Stand) -> None:
    rest = (await statement(stand))["rest"][0]
    cited = {o["definition"] for row in rest["resource"] for o in row["operation"]}
    ours = {url for url in cited if url.startswith("https://bridge.example")}
    assert len(ours) == 2
    for url in ours:
        got = await stand.ask("GET", url.removeprefix("https://bridge.example"), token=None)
        assert got.tree["resourceType"] == "OperationDefinition"
        assert got.tree["url"] == url
    assert (await stand.ask("GET", "/fhir/metadata/operations/x", token=None)).status == 404
