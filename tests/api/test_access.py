"""Who may pass: every row of the table against every kind of token."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_bridge.api import ApiLimits, ApiSettings, Door
from fhir_bridge.api.contract import AccessKind, Body, Route
from fhir_bridge.clock import Clock
from tests.api.conftest import SURFACE, Opener, Stand
from tests.api.fake import FakeExchange, requester

TABLE = Door(FakeExchange(), SURFACE, ApiSettings("http://x"), Clock()).table

SAMPLES = {
    "{type}": "Patient",
    "{id}": "p1",
    "{version}": "v1",
    "{entry}": "12",
    "{name}": "ledger-proof",
}

EXPECTED = {
    ("GET", "/fhir/metadata"): "public",
    ("GET", "/fhir/metadata/operations/{name}"): "public",
    ("POST", "/fhir"): "per-entry",
    ("GET", "/fhir"): "per-entry",
    ("GET", "/fhir/{type}"): "s",
    ("POST", "/fhir/{type}/_search"): "s",
    ("POST", "/fhir/{type}"): "c",
    ("GET", "/fhir/{type}/{id}"): "r",
    ("PUT", "/fhir/{type}/{id}"): "u",
    ("DELETE", "/fhir/{type}/{id}"): "d",
    ("GET", "/fhir/{type}/{id}/_history"): "r",
    ("GET", "/fhir/{type}/{id}/_history/{version}"): "r",
    ("GET", "/fhir/Patient/{id}/$everything"): "rs",
    ("GET", "/fhir/Patient/{id}/$disclosures"): "r AuditEvent s",
    ("GET", "/fhir/{type}/{id}/$ledger-proof"): "r",
    ("GET", "/fhir/{type}/{id}/_history/{version}/$ledger-proof"): "r",
    ("GET", "/fhir/.well-known/smart-configuration"): "public",
    ("POST", "/auth/token"): "public",
    ("GET", "/auth/jwks"): "public",
    ("POST", "/auth/introspect"): "public",
    ("POST", "/auth/revoke"): "public",
    ("GET", "/ledger/checkpoint"): "public",
    ("GET", "/ledger/tile/entries/{path*}"): "auditor",
    ("GET", "/ledger/tile/{path*}"): "public",
    ("GET", "/ledger/proof/{entry}"): "auditor",
    ("GET", "/health/live"): "public",
    ("GET", "/health/ready"): "public",
    ("GET", "/metrics"): "local",
}


def name_of(route: Route) -> str:
    return f"{route.method} {route.template}"


def path_of(route: Route) -> str:
    path = route.template.replace("entries/{path*}", "entries/000").replace("{path*}", "0/000")
    if (route.method, path) == ("GET", "/fhir"):
        path += "?_page=abc"
    for sample, text in SAMPLES.items():
        path = path.replace(sample, text)
    return path


def options_of(route: Route) -> dict[str, Any]:
    if route.body is Body.FORM:
        return {"data": {"name": "x"}}
    if route.body is Body.NONE:
        return {}
    body = b'{"resourceType":"Bundle","type":"batch"}'
    return {"data": body, "headers": {"Content-Type": "application/json"}}


def test_every_row_is_expected_and_every_expectation_has_a_row() -> None:
    found = {}
    for route in TABLE:
        access = route.access
        text = " ".join(f"{type_} {letters}".strip() for type_, letters in access.needs)
        found[route.method, route.template] = (
            text if access.kind is AccessKind.SCOPE else str(access.kind)
        )
    assert found == EXPECTED


@pytest.mark.parametrize("route", TABLE, ids=name_of)
async def test_a_full_token_gets_through_every_row(stand: Stand, route: Route) -> None:
    got = await stand.ask(route.method, path_of(route), **options_of(route))
    assert got.status in (200, 201, 204)


@pytest.mark.parametrize("route", TABLE, ids=name_of)
async def test_without_a_token_only_public_rows_answer(stand: Stand, route: Route) -> None:
    for token in (None, "wrong"):
        got = await stand.ask(route.method, path_of(route), token=token, **options_of(route))
        if route.access.kind in (AccessKind.PUBLIC, AccessKind.LOCAL):
            assert got.status == 200
        else:
            assert (got.status, got.issue["code"]) == (401, "login")
            assert got.headers["WWW-Authenticate"].startswith("Bearer")
            assert stand.exchange.calls == []


@pytest.mark.parametrize("route", TABLE, ids=name_of)
async def test_a_token_for_something_else_is_403_before_any_room_is_asked(
    stand: Stand, route: Route
) -> None:
    token = "none" if route.access.kind is AccessKind.PER_ENTRY else "narrow"
    got = await stand.ask(route.method, path_of(route), token=token, **options_of(route))
    if route.access.kind in (AccessKind.PUBLIC, AccessKind.LOCAL):
        assert got.status == 200
        return
    assert (got.status, got.issue["code"]) == (403, "forbidden")
    assert "insufficient_scope" in got.headers["WWW-Authenticate"]
    assert stand.exchange.calls == []


@pytest.mark.parametrize("route", TABLE, ids=name_of)
async def test_each_letter_of_a_row_is_needed(stand: Stand, route: Route) -> None:
    if route.access.kind is not AccessKind.SCOPE:
        return
    needs = {type_ or "Patient": letters for type_, letters in route.access.needs}
    for lacking, letter in [(type_, x) for type_, letters in needs.items() for x in letters]:
        scopes = dict.fromkeys(needs, "cruds")
        scopes[lacking] = "cruds".replace(letter, "")
        almost = requester(*(f"system/{type_}.{letters}" for type_, letters in scopes.items()))
        stand.exchange.tokens["almost"] = almost
        got = await stand.ask(route.method, path_of(route), token="almost", **options_of(route))
        assert got.status == 403
    just = requester(*(f"patient/{type_}.{letters}" for type_, letters in needs.items()))
    stand.exchange.tokens["just"] = just
    got = await stand.ask(route.method, path_of(route), token="just", **options_of(route))
    assert got.status < 300


async def test_the_auditor_needs_both_role_and_system_scope(stand: Stand) -> None:
    tokens = {
        "no-role": requester("system/*.rs"),
        "patient": requester("patient/*.rs", roles=("auditor",)),
        "one-type": requester("system/Patient.rs", roles=("auditor",)),
        "read-only": requester("system/*.r", roles=("auditor",)),
    }
    stand.exchange.tokens |= tokens
    for token in tokens:
        for path in ("/ledger/proof/1", "/ledger/tile/entries/000"):
            assert (await stand.ask("GET", path, token=token)).status == 403


async def test_two_authorization_headers_are_refused(stand: Stand) -> None:
    for second in ("all", "wrong"):
        out = await stand.send(
            b"GET /fhir/Patient/p1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer all\r\n"
            b"authorization: Bearer %s\r\nConnection: close\r\n\r\n" % second.encode()
        )
        # The library may refuse the duplicate before us; either way nothing is served.
        assert out.split()[1] in (b"400", b"401")
        assert b"OperationOutcome" in out
    out = await stand.send(
        b"GET /fhir/Patient/p1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert out.split()[1] == b"401"
    assert stand.exchange.calls == []


async def test_a_token_in_the_address_or_a_form_is_refused(stand: Stand) -> None:
    for path in ("/fhir/Patient?access_token=all", "/fhir/Patient?%61ccess_token=all"):
        got = await stand.ask("GET", path)
        assert got.status == 400
    got = await stand.ask("POST", "/fhir/Patient/_search", data={"access_token": "all"})
    assert got.status == 400
    assert stand.exchange.calls == []


async def test_refused_and_absent_are_the_same_answer(stand: Stand) -> None:
    stand.exchange.hidden.add(("Patient", "p1"))
    same = {"X-Request-Id": "same"}
    for tail in ("", "/_history", "/_history/v1", "/$ledger-proof", "/$everything"):
        hidden = await stand.ask("GET", f"/fhir/Patient/p1{tail}", headers=same)
        absent = await stand.ask("GET", f"/fhir/Patient/p2{tail}", headers=same)
        invalid = await stand.ask("GET", f"/fhir/Patient/p_2{tail}", headers=same)
        assert hidden.status == 404
        assert hidden.raw == absent.raw == invalid.raw
        drop = {"Date"}
        assert [h for h in hidden.headers.items() if h[0] not in drop] == [
            h for h in absent.headers.items() if h[0] not in drop
        ]


async def test_metrics_are_for_this_machine_or_the_metrics_token(open_door: Opener) -> None:
    stand = await open_door(metrics_token="secret", behind_proxy=True)
    assert (await stand.ask("GET", "/metrics", token=None)).status == 200
    proxied = {"X-Forwarded-For": "203.0.113.9"}
    assert (await stand.ask("GET", "/metrics", token=None, headers=proxied)).status == 401
    assert (await stand.ask("GET", "/metrics", token="wrong", headers=proxied)).status == 401
    assert (await stand.ask("GET", "/metrics", token="secret", headers=proxied)).status == 200


async def test_the_client_address_is_the_proxys_word_only_behind_a_proxy(
    open_door: Opener,
) -> None:
    headers = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
    for behind_proxy, address in ((False, "127.0.0.1"), (True, "203.0.113.9")):
        stand = await open_door(behind_proxy=behind_proxy)
        stand.exchange.put("Patient", "p1")
        await stand.ask("GET", "/fhir/Patient/p1?_format=json", headers=headers)
        info = stand.exchange.calls[-1][1][1]
        assert info.address == address
        assert info.query == "/fhir/Patient/p1?_format=json"
        assert info.route == "/fhir/{type}/{id}"


async def test_a_client_beyond_its_rate_is_429_and_others_are_not(open_door: Opener) -> None:
    stand = await open_door(ApiLimits(max_requests_per_second=2))
    stand.exchange.put("Patient", "p1")
    stand.exchange.tokens["other"] = requester("system/*.r", client_id="other")
    statuses = [(await stand.ask("GET", "/fhir/Patient/p1")).status for _ in range(4)]
    assert statuses == [200, 200, 429, 429]
    got = await stand.ask("GET", "/fhir/Patient/p1")
    assert (got.issue["code"], got.headers["Retry-After"]) == ("throttled", "1")
    assert (await stand.ask("GET", "/fhir/Patient/p1", token="other")).status == 200
