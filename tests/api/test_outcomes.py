"""Every failure is an answer of the right shape, and says nothing that it should not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fhir_bridge import errors
from fhir_bridge.api.contract import Style
from fhir_bridge.api.outcome import OAUTH, TABLE, failure, status_of
from fhir_bridge.errors import BridgeError, Busy, Issue
from tests.api.conftest import Stand
from tests.api.fake import FakeOAuthError


def tree(root: type[BridgeError]) -> Iterator[type[BridgeError]]:
    yield root
    for child in root.__subclasses__():
        yield from tree(child)


def test_the_tables_are_total_over_the_error_tree() -> None:
    categories = {kind.category for kind in tree(BridgeError)}
    assert categories == set(TABLE) == set(OAUTH)
    named = {getattr(errors, name) for name in errors.__all__}
    assert {kind for kind in tree(BridgeError) if kind.__module__ == "fhir_bridge.errors"} <= named


@pytest.mark.parametrize("name", sorted(set(errors.__all__) - {"Issue"}))
async def test_each_kind_of_error_becomes_an_outcome(stand: Stand, name: str) -> None:
    error: BridgeError = getattr(errors, name)("a sentence")
    stand.exchange.fail = error
    got = await stand.ask("GET", "/fhir/Patient/p1")
    assert (got.status, got.issue["code"]) == status_of(error)
    assert got.status >= 400
    assert ("Retry-After" in got.headers) == (got.status == 503)
    told = "a sentence" in got.raw.decode()
    assert told == (error.category not in ("fault", "corrupt", "not_found"))


def test_a_rate_is_429_and_a_queue_503() -> None:
    assert status_of(Busy("x", code="rate-limited"))[0] == 429
    reply = failure(Busy("x", retry_after_s=9), Style.FHIR, "r")
    assert (reply.status, reply.headers["Retry-After"]) == (503, "9")


async def test_findings_are_listed_with_their_place(stand: Stand) -> None:
    stand.exchange.fail = errors.Incorrect(
        "two things",
        issues=[
            Issue("required", "is missing", "Patient.name[0].family"),
            Issue("structure", "is no object", "line 3 column 4", "warning"),
        ],
    )
    got = await stand.ask("GET", "/fhir/Patient/p1")
    first, second = got.tree["issue"]
    assert first["expression"] == ["Patient.name[0].family"]
    assert second["diagnostics"] == "is no object (line 3 column 4)"
    assert second["severity"] == "warning"
    assert "expression" not in second


async def test_an_unexpected_failure_is_500_with_the_request_id_and_no_detail(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.exchange.fail = ValueError("Mrs Smith, born 1970")
    got = await stand.ask("GET", "/fhir/Patient/p1", headers={"X-Request-Id": "r-77"})
    assert (got.status, got.issue["code"]) == (500, "exception")
    assert b"r-77" in got.raw
    for text in (got.raw.decode(), caplog.text, "".join(stand.lines)):
        assert "Smith" not in text
    assert "ValueError" in caplog.text
    assert "_enter" in caplog.text


async def test_a_timeout_inside_is_503(stand: Stand) -> None:
    stand.exchange.fail = TimeoutError()
    got = await stand.ask("GET", "/fhir/Patient/p1")
    assert (got.status, got.issue["code"]) == (503, "transient")


async def test_failures_at_auth_are_oauth_errors(stand: Stand) -> None:
    stand.exchange.fail = FakeOAuthError("invalid_client", "who?", 401)
    got = await stand.ask("POST", "/auth/token", data={"a": "b"})
    assert (got.status, got.tree["error"]) == (401, "invalid_client")
    assert got.tree["error_description"] == "who?"
    assert got.headers["Pragma"] == "no-cache"
    assert got.headers["Cache-Control"] == "no-store"
    stand.exchange.fail = errors.Unavailable("the store is away")
    got = await stand.ask("POST", "/auth/token", data={"a": "b"})
    assert (got.status, got.tree["error"]) == (503, "temporarily_unavailable")
    stand.exchange.fail = RuntimeError("secret")
    got = await stand.ask("POST", "/auth/token", data={"a": "b"})
    assert (got.status, got.tree["error"]) == (500, "server_error")
    assert b"secret" not in got.raw


async def test_the_token_form_is_read_strictly(stand: Stand) -> None:
    got = await stand.ask("POST", "/auth/token", data=[("a", "1"), ("empty", "")])
    assert got.status == 200
    assert stand.exchange.calls[-1][1][1] == [("a", "1")]
    for options in (
        {"data": [("a", "1"), ("a", "2")]},
        {"data": b"a=\xff", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
        {"data": b"a=%zz", "headers": {"Content-Type": "application/x-www-form-urlencoded"}},
    ):
        got = await stand.ask("POST", "/auth/token", **options)
        assert (got.status, got.tree["error"]) == (400, "invalid_request")
    got = await stand.ask("POST", "/auth/token?a=1", data={"b": "2"})
    assert got.status == 400
    got = await stand.ask("POST", "/auth/token", json={"a": "1"})
    assert (got.status, got.tree["error"]) == (415, "invalid_request")


async def test_unknown_addresses_and_methods_are_outcomes(stand: Stand) -> None:
    for path in ("/", "/fhir/Nothing/1", "/fhir/patient/p1", "/fhir//p1", "/auth/x", "/fhir/$x"):
        got = await stand.ask("GET", path)
        assert (got.status, got.issue["code"]) == (404, "not-found")
    for method, path, allow in (
        ("PATCH", "/fhir/Patient/p1", "DELETE, GET, PUT, HEAD"),
        ("PUT", "/fhir/Patient?identifier=1", "GET, POST, HEAD"),
        ("TRACE", "/fhir/metadata", "GET, HEAD"),
        ("GET", "/auth/token", "POST"),
        ("OPTIONS", "/fhir", "GET, POST, HEAD"),
    ):
        got = await stand.ask(method, path)
        assert got.status == 405
        assert got.headers["Allow"] == allow


async def test_ready_says_503_with_reasons(stand: Stand) -> None:
    assert (await stand.ask("GET", "/health/ready", token=None)).status == 200
    stand.exchange.is_ready = False
    got = await stand.ask("GET", "/health/ready", token=None)
    assert (got.status, got.tree) == (503, {"ready": False, "reasons": []})
    assert (await stand.ask("GET", "/health/live", token=None)).status == 200
