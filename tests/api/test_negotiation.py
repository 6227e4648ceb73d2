"""Formats: JSON in and out, XML refused cleanly, unknown parameters not ignored in silence."""

from __future__ import annotations

import pytest

from tests.api.conftest import Stand

BODY = b'{"resourceType":"Patient"}'


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "application/fhir+json",
        "application/json",
        "application/fhir+json; fhirVersion=4.0",
        "application/fhir+xml, application/fhir+json;q=0.1",
        "text/html, application/*;q=0.8",
        "APPLICATION/FHIR+JSON;charset=UTF-8",
    ],
)
async def test_json_is_served_to_whoever_takes_it(stand: Stand, accept: str) -> None:
    got = await stand.ask("GET", "/fhir/Patient/p1", headers={"Accept": accept})
    assert got.status == 200


@pytest.mark.parametrize(
    "accept",
    [
        "application/fhir+xml",
        "text/xml",
        "application/fhir+json;q=0",
        "application/fhir+json;q=x",
        "application/fhir+json; fhirVersion=5.0",
        "text/html",
        "," * 5000,
    ],
)
async def test_whoever_takes_no_json_gets_406(stand: Stand, accept: str) -> None:
    got = await stand.ask("GET", "/fhir/Patient/p1", headers={"Accept": accept})
    assert (got.status, got.issue["code"]) == (406, "not-supported")
    assert stand.exchange.calls == []


async def test_the_format_parameter_wins_over_accept(stand: Stand) -> None:
    xml, json = {"Accept": "application/fhir+xml"}, {"Accept": "application/fhir+json"}
    for value in ("json", "application/fhir+json", "application/fhir%2Bjson", "application/json"):
        got = await stand.ask("GET", f"/fhir/Patient/p1?_format={value}", headers=xml)
        assert got.status == 200
    for value in ("xml", "application/fhir+xml", "text/html", "ttl", ""):
        got = await stand.ask("GET", f"/fhir/Patient/p1?_format={value}", headers=json)
        assert got.status == 406


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/fhir+json", 201),
        ("application/fhir+json; charset=utf-8", 201),
        ("application/json;charset=UTF-8", 201),
        ('application/fhir+json; fhirVersion="4.0"', 201),
        ("application/fhir+json; charset=utf-16", 415),
        ("application/fhir+json; fhirVersion=5.0", 415),
        ("application/fhir+xml", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("", 415),
    ],
)
async def test_bodies_are_declared_as_json_or_refused(
    stand: Stand, content_type: str, status: int
) -> None:
    headers = {"Content-Type": content_type}
    got = await stand.ask("POST", "/fhir/Patient", data=BODY, headers=headers)
    assert got.status == status
    if status == 415:
        assert got.issue["code"] == "not-supported"
        assert stand.exchange.calls == []


@pytest.mark.parametrize("query", ["_summary=true", "_elements=id", "x=1", "_pretty=true&name=a"])
async def test_a_read_takes_no_parameter_it_does_not_honour(stand: Stand, query: str) -> None:
    got = await stand.ask("GET", f"/fhir/Patient/p1?{query}")
    assert (got.status, got.issue["code"]) == (400, "invalid")
    lenient = {"Prefer": "handling=lenient"}
    assert (await stand.ask("GET", f"/fhir/Patient/p1?{query}", headers=lenient)).status == 200


async def test_discovery_is_json_whatever_accept_says(stand: Stand) -> None:
    for path in ("/fhir/.well-known/smart-configuration", "/auth/jwks"):
        headers = {"Accept": "text/html"}
        got = await stand.ask("GET", path, token=None, headers=headers)
        assert (got.status, got.headers["Content-Type"]) == (200, "application/json")
        assert got.headers["Access-Control-Allow-Origin"] == "*"
    got = await stand.ask("GET", "/fhir/Patient/p1", headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in got.headers
