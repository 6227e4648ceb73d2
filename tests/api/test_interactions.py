"""What each interaction answers, over a real socket."""

from __future__ import annotations

import gzip

import pytest

from tests.api.conftest import Stand

JSON = {"Content-Type": "application/fhir+json"}
PATIENT = b'{"resourceType":"Patient","multipleBirthInteger":1.00}'


async def test_a_read_serves_the_stored_bytes_with_version_date_and_ledger_place(
    stand: Stand,
) -> None:
    stored = stand.exchange.put("Patient", "p1", PATIENT)
    got = await stand.ask("GET", "/fhir/Patient/p1")
    assert (got.status, got.raw) == (200, stored)
    assert got.headers["ETag"] == 'W/"v1"'
    assert got.headers["Last-Modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    assert got.headers["Ledger-Status"] == "committed; index=5"
    assert got.headers["Cache-Control"] == "no-store"
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["Content-Type"] == "application/fhir+json; charset=utf-8"
    assert got.headers["Server"] == "fhir_bridge"
    assert got.headers["Strict-Transport-Security"]


async def test_head_answers_like_get_without_a_body(stand: Stand) -> None:
    full = await stand.ask("GET", "/fhir/Patient/p1")
    head = await stand.ask("HEAD", "/fhir/Patient/p1")
    assert (head.status, head.raw) == (200, b"")
    for name in ("ETag", "Content-Length", "Content-Type", "Ledger-Status"):
        assert head.headers[name] == full.headers[name]


async def test_a_known_version_is_304_but_only_after_the_release(stand: Stand) -> None:
    for value in ('W/"v0", W/"v1"', "*"):
        got = await stand.ask("GET", "/fhir/Patient/p1", headers={"If-None-Match": value})
        assert (got.status, got.raw) == (304, b"")
        assert stand.exchange.calls[-1][0] == "read"
    stand.exchange.hidden.add(("Patient", "p1"))
    for value in ('W/"v1"', "*"):
        got = await stand.ask("GET", "/fhir/Patient/p1", headers={"If-None-Match": value})
        assert got.status == 404


@pytest.mark.parametrize(
    ("since", "status"),
    [
        ("Tue, 14 Nov 2023 22:13:20 GMT", 304),
        ("Tue, 14 Nov 2023 22:13:19 GMT", 200),
        ("not a date", 200),
        ("Tue, 14 Nov 99999 22:13:19 GMT", 200),
    ],
)
async def test_if_modified_since_counts_whole_seconds(
    stand: Stand, since: str, status: int
) -> None:
    got = await stand.ask("GET", "/fhir/Patient/p1", headers={"If-Modified-Since": since})
    assert got.status == status


async def test_a_version_a_history_and_a_proof_are_served(stand: Stand) -> None:
    got = await stand.ask("GET", "/fhir/Patient/p1/_history/v7")
    assert (got.status, got.headers["ETag"]) == (200, 'W/"v7"')
    got = await stand.ask("GET", "/fhir/Patient/p1/_history?_count=2&_pretty=false")
    assert got.tree["type"] == "history"
    assert stand.exchange.calls[-1][1][4] == 2
    for path, version in (("", None), ("/_history/v7", "v7")):
        got = await stand.ask("GET", f"/fhir/Patient/p1{path}/$ledger-proof")
        assert got.raw.startswith(b"c2sp.org/tlog-proof@v1")
        assert got.headers["Content-Type"].startswith("text/plain")
        assert stand.exchange.calls[-1][1][4] == version


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 1000), ("_count=1", 1), ("_count=99999999999999", 1000), ("_count=5&_format=json", 5)],
)
async def test_a_history_counts_within_its_limit(stand: Stand, query: str, count: int) -> None:
    assert (await stand.ask("GET", f"/fhir/Patient/p1/_history?{query}")).status == 200
    assert stand.exchange.calls[-1][1][4] == count


@pytest.mark.parametrize(
    "query", ["_count=0", "_count=x", "_count=-1", "_count=%C2%B2", "_since=1"]
)
async def test_a_history_refuses_what_it_does_not_honour(stand: Stand, query: str) -> None:
    assert (await stand.ask("GET", f"/fhir/Patient/p1/_history?{query}")).status == 400
    assert stand.exchange.calls == []


async def test_everything_and_disclosures_also_answer_to_an_escaped_dollar(stand: Stand) -> None:
    for name in ("$everything", "$disclosures"):
        got = await stand.ask("GET", f"/fhir/Patient/p1/{name}?_format=json")
        assert (got.status, got.headers["Ledger-Status"]) == (200, "committed; index=6")
    out = await stand.send(
        b"GET /fhir/Patient/p1/%24everything HTTP/1.1\r\nHost: x\r\n"
        b"Authorization: Bearer all\r\nConnection: close\r\n\r\n"
    )
    assert out.startswith(b"HTTP/1.1 200")


async def test_a_create_is_201_with_location_and_the_body_that_was_preferred(
    stand: Stand,
) -> None:
    got = await stand.ask("POST", "/fhir/Patient", data=PATIENT, headers=JSON)
    assert (got.status, got.raw) == (201, PATIENT)
    assert got.headers["Location"] == "https://bridge.example/fhir/Patient/new/_history/v1"
    assert got.headers["Ledger-Status"] == "committed; index=7"
    for prefer, body in (("return=minimal", b""), ("return=representation", PATIENT)):
        got = await stand.ask(
            "POST", "/fhir/Patient", data=PATIENT, headers={**JSON, "Prefer": prefer}
        )
        assert (got.status, got.raw) == (201, body)
    got = await stand.ask(
        "POST",
        "/fhir/Patient",
        data=PATIENT,
        headers={**JSON, "Prefer": "respond-async, return=OperationOutcome"},
    )
    assert got.issue["severity"] == "information"


async def test_if_none_exist_reaches_the_exchange(stand: Stand) -> None:
    headers = {**JSON, "If-None-Exist": "identifier=a|b"}
    await stand.ask("POST", "/fhir/Patient", data=PATIENT, headers=headers)
    assert stand.exchange.calls[-1][1][4] == "identifier=a|b"


@pytest.mark.parametrize(
    ("value", "status"),
    [
        ('W/"v1"', 200),
        ('"v1"', 200),
        ('W/"v9"', 412),
        ('W/"v1", W/"v2"', 400),
        ("v1", 400),
        ("*", 400),
        ('W/""', 400),
    ],
)
async def test_if_match_names_one_version_or_is_refused(
    stand: Stand, value: str, status: int
) -> None:
    for method, body in (("PUT", PATIENT), ("DELETE", None)):
        headers = {**JSON, "If-Match": value}
        got = await stand.ask(method, "/fhir/Patient/p1", data=body, headers=headers)
        if method == "PUT":
            assert got.status == status
        elif status == 400:
            assert got.status == 400


async def test_a_deletion_is_204_and_then_the_resource_is_gone(stand: Stand) -> None:
    got = await stand.ask("DELETE", "/fhir/Patient/p1")
    assert (got.status, got.raw, got.headers["Ledger-Status"]) == (204, b"", "committed; index=9")
    assert "Content-Length" not in got.headers
    got = await stand.ask("GET", "/fhir/Patient/p1")
    assert (got.status, got.issue["code"]) == (410, "deleted")


async def test_a_deletion_can_be_told_as_an_outcome(stand: Stand) -> None:
    got = await stand.ask(
        "DELETE", "/fhir/Patient/p1", headers={"Prefer": "return=OperationOutcome"}
    )
    assert (got.status, got.issue["severity"]) == (200, "information")


async def test_search_passes_the_decoded_parameters_in_order(stand: Stand) -> None:
    path = "/fhir/Patient?name=a+b&identifier=http%3A%2F%2Fx%7C1&name=c&_format=json&_pretty=true"
    got = await stand.ask("GET", path)
    assert got.status == 200
    _, args = stand.exchange.calls[-1]
    assert args[3] == [("name", "a b"), ("identifier", "http://x|1"), ("name", "c")]
    assert args[4:] == ("https://bridge.example/fhir", False)
    await stand.ask("GET", "/fhir/Patient?zzz=1", headers={"Prefer": "handling=lenient"})
    assert stand.exchange.calls[-1][1][5] is True


async def test_search_by_post_joins_address_and_form(stand: Stand) -> None:
    got = await stand.ask("POST", "/fhir/Patient/_search?_count=3", data={"name": "ä b"})
    assert got.status == 200
    assert stand.exchange.calls[-1][1][3] == [("_count", "3"), ("name", "ä b")]


async def test_a_page_is_fetched_by_its_cursor_alone(stand: Stand) -> None:
    got = await stand.ask("GET", "/fhir?_page=abc-DEF_123.x&_pretty=true")
    assert got.status == 200
    assert stand.exchange.calls[-1][1][2] == "abc-DEF_123.x"


@pytest.mark.parametrize("query", ["", "?name=x", "?_page=", "?_page=a&_page=b", "?_page=a%2f"])
async def test_the_base_is_not_searched(stand: Stand, query: str) -> None:
    assert (await stand.ask("GET", f"/fhir{query}")).status == 400
    assert stand.exchange.calls == []


@pytest.mark.parametrize("kind", ["transaction", "batch"])
async def test_a_bundle_goes_where_its_type_says(stand: Stand, kind: str) -> None:
    body = b'{"entry":[{"resource":{"type":"x"}}],"type":"%s","resourceType":"Bundle"}'
    for path in ("/fhir", "/fhir/"):
        got = await stand.ask("POST", path, data=body % kind.encode(), headers=JSON)
        assert (got.status, got.tree["type"]) == (200, f"{kind}-response")
        assert stand.exchange.calls[-1][0] == kind


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'{"resourceType":"Bundle","type":"searchset"}',
        b'{"resourceType":"Patient","type":"batch"}',
        b'{"resourceType":"Bundle","type":1}',
        b'{"a":' * 100_000,
        b'\xff\xfe{"a":1}',
    ],
)
async def test_no_other_body_gets_past_the_base(stand: Stand, body: bytes) -> None:
    got = await stand.ask("POST", "/fhir", data=body, headers=JSON)
    assert (got.status, got.issue["code"]) == (400, "invalid")


async def test_gzip_bodies_are_unpacked(stand: Stand) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}
    data = gzip.compress(PATIENT)
    got = await stand.ask("POST", "/fhir/Patient", data=data, headers=headers)
    assert (got.status, got.raw) == (201, PATIENT)


async def test_pretty_changes_white_space_alone(stand: Stand) -> None:
    raw = b'{"a":[],"b":{"c":1.00,"d":"{\\"x\\":[1,2]}"},"e":[1e5,{}]}'
    stand.exchange.put("Patient", "p1", raw)
    got = await stand.ask("GET", "/fhir/Patient/p1?_pretty=true")
    assert b'  "b": {\n    "c": 1.00,\n    "d": "{\\"x\\":[1,2]}"\n  },' in got.raw
    assert b'"a": [],' in got.raw
    assert b'"e": [\n    1e5,\n    {}\n  ]' in got.raw


async def test_the_client_may_name_the_request_within_bounds(stand: Stand) -> None:
    got = await stand.ask("GET", "/fhir/metadata", headers={"X-Request-Id": "abc-123"})
    assert got.headers["X-Request-Id"] == "abc-123"
    for bad in ("a b", "x" * 65, "Müller", "a.b"):
        got = await stand.ask("GET", "/fhir/metadata", headers={"X-Request-Id": bad})
        assert got.headers["X-Request-Id"] != bad
        assert len(got.headers["X-Request-Id"]) == 36
