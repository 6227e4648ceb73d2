"""Hostile bytes on the wire: framing, compression, sizes, slowness, path tricks."""

from __future__ import annotations

import asyncio
import gzip
import re
import resource
import zlib
from contextlib import suppress

import pytest

from fhir_bridge.api import ApiLimits, ApiSettings, Door, serve
from fhir_bridge.api.dispatch import split_target
from fhir_bridge.clock import Clock
from fhir_bridge.errors import Incorrect
from tests.api.conftest import SURFACE, Opener, Stand
from tests.api.fake import FakeExchange

JSON = {"Content-Type": "application/fhir+json"}
HEAD = b"POST /fhir/Patient HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer all\r\n"
TYPED = HEAD + b"Content-Type: application/json\r\n"


def status(out: bytes) -> int:
    return int(out.split(b" ", 2)[1])


@pytest.mark.parametrize(
    "body",
    [
        b"not gzip",
        b"",
        gzip.compress(b"{}")[:-4],
        gzip.compress(b"{}") + b"tail",
        gzip.compress(b"{}") * 2,
        zlib.compress(b"{}"),
        gzip.compress(b"{}")[:-8] + b"\x00" * 8,
    ],
)
async def test_bad_gzip_is_400(stand: Stand, body: bytes) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}
    got = await stand.ask("POST", "/fhir/Patient", data=body, headers=headers)
    assert (got.status, got.issue["code"]) == (400, "invalid")


@pytest.mark.parametrize("coding", ["gzip, gzip", "deflate", "br", "zstd", "gzip;q=1", "x"])
async def test_other_and_nested_codings_are_415(stand: Stand, coding: str) -> None:
    headers = {**JSON, "Content-Encoding": coding}
    data = gzip.compress(gzip.compress(b"{}"))
    got = await stand.ask("POST", "/fhir/Patient", data=data, headers=headers)
    assert got.status == 415


async def test_a_gzip_of_a_gzip_is_just_a_body_that_is_not_json(stand: Stand) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}
    data = gzip.compress(gzip.compress(b'{"resourceType":"Bundle","type":"batch"}'))
    assert (await stand.ask("POST", "/fhir", data=data, headers=headers)).status == 400


async def test_a_bomb_is_413_within_bounded_memory(open_door: Opener) -> None:
    stand = await open_door(ApiLimits(max_resource_bytes=1 << 20))
    bomb = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [bomb.compress(b"\0" * (1 << 20)) for _ in range(300)]
    data = b"".join(parts) + bomb.flush()
    assert len(data) < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    headers = {**JSON, "Content-Encoding": "gzip"}
    got = await stand.ask("POST", "/fhir/Patient", data=data, headers=headers)
    assert (got.status, got.issue["code"]) == (413, "too-long")
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < 20 << 10


async def test_a_body_past_the_limit_is_413_announced_or_not(open_door: Opener) -> None:
    stand = await open_door(ApiLimits(max_resource_bytes=1000, linger_s=0.2))
    assert (await stand.ask("POST", "/fhir/Patient", data=b"x" * 1000, headers=JSON)).status == 201
    got = await stand.ask("POST", "/fhir/Patient", data=b"x" * 1001, headers=JSON)
    assert got.status == 413
    assert got.headers["Connection"] == "close"
    chunk = b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"
    out = await stand.send(TYPED + b"Transfer-Encoding: chunked\r\n\r\n" + chunk)
    assert status(out) == 413


async def test_a_body_announced_too_large_is_refused_before_it_is_sent(stand: Stand) -> None:
    out = await stand.send(TYPED + b"Content-Length: 999999999999\r\n\r\n", wait_s=3)
    assert status(out) == 413


def test_a_target_that_is_not_ascii_is_refused_whatever_the_parser_let_through() -> None:
    with pytest.raises(Incorrect):
        split_target("/fhir/Patient?name=\udcc3\udca4")


async def test_each_kind_of_body_has_its_own_limit(open_door: Opener) -> None:
    stand = await open_door(ApiLimits(max_bundle_bytes=100, max_form_bytes=50))
    bundle = b'{"resourceType":"Bundle","type":"batch"}'
    got = await stand.ask("POST", "/fhir", data=bundle.ljust(100), headers=JSON)
    assert got.status == 200
    got = await stand.ask("POST", "/fhir", data=bundle.ljust(101), headers=JSON)
    assert got.status == 413
    assert (await stand.ask("POST", "/auth/token", data={"a": "b" * 60})).status == 413


@pytest.mark.parametrize(
    "raw",
    [
        TYPED + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        TYPED + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        TYPED + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        TYPED + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        TYPED + b"Transfer-Encoding: gzip\r\n\r\n{}",
        TYPED + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        TYPED + b"Content-Length: -1\r\n\r\n",
        TYPED + b"Content-Length: 2, 2\r\n\r\n{}",
        TYPED + b"Content-Length : 2\r\n\r\n{}",
        TYPED + b"Content-Length: +2\r\n\r\n{}",
        TYPED + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
        TYPED + b"X: a\x00b\r\nContent-Length: 2\r\n\r\n{}",
        b"POST /fhir/Patient HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03 hello\r\n\r\n",
        b"GET /fhir/metadata HTTP/9.9\r\nHost: x\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
async def test_ambiguous_framing_is_refused_and_the_connection_ends(
    stand: Stand, raw: bytes
) -> None:
    follow_up = b"GET /fhir/Patient/p1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer all\r\n\r\n"
    out = await stand.send(raw + follow_up, wait_s=3)
    assert status(out) == 400
    assert out.count(b"X-Request-Id: ") == 1
    assert b'"resourceType":"OperationOutcome"' in out
    assert b"Connection: close" in out
    assert "create" not in [name for name, _ in stand.exchange.calls]
    assert "read" not in [name for name, _ in stand.exchange.calls]


async def test_a_long_address_is_414_and_a_long_header_431(stand: Stand) -> None:
    out = await stand.send(b"GET /fhir/Patient?name=" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n")
    assert status(out) == 414
    long = b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 17000 + b"\r\n\r\n"
    assert status(await stand.send(long)) == 431
    many = b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n" + b"X: 1\r\n" * 200 + b"\r\n"
    out = await stand.send(many)
    assert status(out) == 431
    assert b"OperationOutcome" in out
    assert b"aaaa" not in out
    assert stand.lines[-1].count('"route":"malformed"') == 1


@pytest.mark.parametrize(
    "target",
    [
        b"/fhir/Patient/%2e%2e",
        b"/fhir/Patient/..",
        b"/fhir/Patient/.",
        b"/fhir/Patient/%2e",
        b"/fhir/Patient/a%2fb",
        b"/fhir/Patient/a%5cb",
        b"/fhir/Patient/" + b"a" * 65,
        b"/fhir/Patient/a_b",
        b"/fhir/Patient/a%20b",
        b"/fhir/Patient/p1%0a",
        b"/fhir/Patient/p1/_history/..",
        b"/fhir/Patient/%252e",
        b"/fhir/%2e%2e/fhir/Patient/p1",
        b"/fhir/../fhir/Patient/p1",
        b"/ledger/tile/../0/000",
        b"/ledger/tile/0/%2e%2e/000",
        b"/ledger/tile/64/000",
        b"/ledger/tile/0/000.p/0",
        b"/ledger/tile/0/000.p/256",
        b"/ledger/tile/0/0000",
        b"/ledger/tile/entries/x00/000",
        b"/ledger/tile/",
    ],
)
async def test_path_tricks_find_nothing(stand: Stand, target: bytes) -> None:
    out = await stand.send(
        b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer all\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert status(out) == 404
    assert stand.exchange.calls == []


@pytest.mark.parametrize(
    "target",
    [
        b"/fhir/Patient/p1%00",
        b"/fhir/Patient/%ff",
        b"/fhir/Patient/%",
        b"/fhir/Patient/%zz",
        b"/fhir/Patient?name=%00",
        b"/fhir/Patient?name=%c3%28",
        b"/fhir/Patient?%zz=1",
        b"/fhir/Patient?name=\xc3\xa4",
        b"*",
        b"ftp://x/fhir/metadata",
    ],
)
async def test_addresses_that_do_not_decode_are_400(stand: Stand, target: bytes) -> None:
    out = await stand.send(
        b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer all\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert status(out) == 400
    assert b"OperationOutcome" in out
    assert stand.exchange.calls == []


async def test_the_longest_id_and_the_absolute_form_are_served(stand: Stand) -> None:
    long = "a.-" + "Z" * 61
    stand.exchange.put("Patient", long)
    assert (await stand.ask("GET", f"/fhir/Patient/{long}")).status == 200
    out = await stand.send(
        b"GET http://x/fhir/Patient/p1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer all\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert status(out) == 200


async def test_tiles_are_served_as_bytes_for_ever(stand: Stand) -> None:
    for path in ("0/000", "63/x001/x234/067", "1/x001/002.p/255"):
        got = await stand.ask("GET", f"/ledger/tile/{path}", token=None)
        assert (got.status, got.raw) == (200, stand.exchange.payload)
        assert "immutable" in got.headers["Cache-Control"]
        assert stand.exchange.calls[-1] == ("tile", (path,))
    got = await stand.ask("GET", "/ledger/tile/entries/x001/067.p/9")
    assert stand.exchange.calls[-1][1][2] == "x001/067.p/9"
    assert got.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "lines", "wanted"),
    [
        ("PUT", 'If-Match: W/"v1"\r\nIf-Match: W/"v1"', 400),
        ("PUT", "Content-Encoding: gzip\r\nContent-Encoding: gzip", 415),
        ("PUT", "Content-Encoding: identity\r\nContent-Encoding: gzip", 415),
        ("PUT", "Content-Type: application/json", 415),
        ("GET", "Accept: text/xml\r\nAccept: application/json", 200),
        ("GET", 'If-None-Match: "x"\r\nIf-None-Match: W/"v1"', 304),
    ],
)
async def test_repeated_header_lines_are_one_value(
    stand: Stand, method: str, lines: str, wanted: int
) -> None:
    typed = "Content-Type: application/json\r\nContent-Length: 2\r\n"
    head = f"{method} /fhir/Patient/p1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer all\r\n"
    body = "{}" if method == "PUT" else ""
    raw = f"{head}{typed if body else ''}{lines}\r\nConnection: close\r\n\r\n{body}"
    out = await stand.send(raw.encode())
    # The library refuses some duplicates by itself; it is never served as if it were one.
    assert status(out) in ((wanted, 400) if wanted >= 400 else (wanted,))


async def test_a_condition_given_twice_is_refused(stand: Stand) -> None:
    out = await stand.send(
        TYPED + b"Content-Length: 2\r\nIf-None-Exist: a=1\r\nIf-None-Exist: b=2\r\n"
        b"Connection: close\r\n\r\n{}"
    )
    assert status(out) == 400
    out = await stand.send(
        TYPED + b"Content-Length: 2\r\nIf-None-Exist: a=\xff\r\nConnection: close\r\n\r\n{}"
    )
    assert status(out) == 400
    assert stand.exchange.calls == []


async def test_too_many_parameters_are_413(open_door: Opener) -> None:
    stand = await open_door(ApiLimits(max_parameters=3))
    assert (await stand.ask("GET", "/fhir/Patient?a=1&b=2&c=3")).status == 200
    assert (await stand.ask("GET", "/fhir/Patient?a=1&b=2&c=3&d=4")).status == 413
    got = await stand.ask("POST", "/fhir/Patient/_search?a=1&b=2", data={"c": "3", "d": "4"})
    assert got.status == 413


async def test_a_slow_body_is_408_after_the_deadline(open_door: Opener) -> None:
    stand = await open_door(ApiLimits(body_deadline_s=0.2, linger_s=0.1))
    out = await stand.send(TYPED + b"Content-Length: 10\r\n\r\n{", wait_s=3)
    assert status(out) == 408
    assert b"Connection: close" in out


async def test_a_client_that_never_ends_its_headers_is_dropped(open_door: Opener) -> None:
    stand = await open_door(ApiLimits(idle_deadline_s=0.3))
    started = asyncio.get_running_loop().time()
    assert await stand.send(b"GET /fhir/metadata HTTP/1.1\r\nHost", wait_s=3) == b""
    assert asyncio.get_running_loop().time() - started < 2


async def test_a_client_that_does_not_read_is_cut_off(open_door: Opener) -> None:
    stand = await open_door(ApiLimits(write_deadline_s=0.3))
    stand.exchange.put("Patient", "p1", b'"' + b"x" * (32 << 20) + b'"')
    reader, writer = await asyncio.open_connection(*stand.address, limit=1024)
    writer.write(b"GET /fhir/Patient/p1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer all\r\n\r\n")
    await asyncio.sleep(1.0)
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await reader.readexactly(32 << 20)
    writer.close()


async def test_a_client_that_reads_a_little_now_and_then_has_no_more_time(
    open_door: Opener,
) -> None:
    """One deadline for an answer, however often its writing goes on."""
    stand = await open_door(ApiLimits(write_deadline_s=0.6))
    stand.exchange.put("Patient", "p1", b'"' + b"x" * (64 << 20) + b'"')
    reader, writer = await asyncio.open_connection(*stand.address, limit=1024)
    writer.write(b"GET /fhir/Patient/p1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer all\r\n\r\n")
    got, started = 0, asyncio.get_running_loop().time()
    with suppress(ConnectionError):
        while part := await reader.read(1 << 20):
            got += len(part)
            await asyncio.sleep(0.02)
    assert 0 < got < 64 << 20
    assert asyncio.get_running_loop().time() - started < 3
    writer.close()


async def test_answers_in_time_leave_no_clock_running(open_door: Opener) -> None:
    stand = await open_door(ApiLimits(write_deadline_s=0.3))
    stand.exchange.put("Patient", "p1", b'"' + b"x" * (8 << 20) + b'"')
    reader, writer = await asyncio.open_connection(*stand.address, limit=1 << 20)
    for _ in range(2):
        writer.write(
            b"GET /fhir/Patient/p1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer all\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])  # type: ignore[index]
        assert len(await reader.readexactly(length)) > 8 << 20
        await asyncio.sleep(0.5)
    writer.close()


async def test_expect_continue_is_answered_before_the_body(stand: Stand) -> None:
    reader, writer = await asyncio.open_connection(*stand.address)
    writer.write(TYPED + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    async with asyncio.timeout(3):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"{}")
        assert status(await reader.readuntil(b"\r\n\r\n")) == 201
    writer.close()


async def test_expect_continue_is_refused_without_asking_for_the_body(stand: Stand) -> None:
    out = await stand.send(
        HEAD + b"Content-Type: application/xml\r\nContent-Length: 9999\r\n"
        b"Expect: 100-continue\r\n\r\n",
        wait_s=3,
    )
    assert status(out) == 415


async def test_beyond_the_in_flight_limit_the_answer_is_503_but_health_lives(
    open_door: Opener,
) -> None:
    stand = await open_door(ApiLimits(max_in_flight=2))
    stand.exchange.put("Patient", "p1")
    stand.exchange.delay_s = 0.5
    first = [asyncio.create_task(stand.ask("GET", "/fhir/Patient/p1")) for _ in range(2)]
    await asyncio.sleep(0.2)
    got = await stand.ask("GET", "/fhir/Patient/p1")
    assert (got.status, got.issue["code"]) == (503, "throttled")
    assert got.headers["Retry-After"] == "1"
    assert (await stand.ask("GET", "/health/live")).status == 200
    assert [(await task).status for task in first] == [200, 200]
    stand.exchange.delay_s = 0
    assert (await stand.ask("GET", "/fhir/Patient/p1")).status == 200


async def test_a_handler_past_its_deadline_is_503(open_door: Opener) -> None:
    stand = await open_door(ApiLimits(handler_deadline_s=0.1))
    stand.exchange.delay_s = 5
    got = await stand.ask("GET", "/fhir/Patient/p1")
    assert (got.status, got.issue["code"]) == (503, "transient")


async def test_too_many_connections_are_dropped(open_door: Opener) -> None:
    stand = await open_door(ApiLimits(max_connections=2))
    held = [await asyncio.open_connection(*stand.address) for _ in range(2)]
    await asyncio.sleep(0.05)
    assert await stand.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", wait_s=2) == b""
    for _, writer in held:
        writer.close()


async def test_shutdown_finishes_what_is_under_way_and_takes_nothing_new(
    open_door: Opener,
) -> None:
    stand = await open_door()
    stand.exchange.put("Patient", "p1")
    stand.exchange.delay_s = 0.4
    idle = await asyncio.open_connection(*stand.address)
    task = asyncio.create_task(stand.ask("GET", "/fhir/Patient/p1"))
    await asyncio.sleep(0.1)
    await stand.serving.stop(5.0)
    got = await task
    assert (got.status, got.headers["Connection"]) == (200, "close")
    with pytest.raises(OSError):
        await asyncio.open_connection(*stand.address)
    assert await idle[0].read() == b""
    idle[1].close()


async def test_shutdown_does_not_wait_beyond_its_deadline(open_door: Opener) -> None:
    stand = await open_door()
    stand.exchange.put("Patient", "p1")
    stand.exchange.delay_s = 30
    task = asyncio.create_task(stand.ask("GET", "/fhir/Patient/p1"))
    await asyncio.sleep(0.1)
    started = asyncio.get_running_loop().time()
    await stand.serving.stop(0.2)
    assert asyncio.get_running_loop().time() - started < 2
    with pytest.raises(Exception):  # noqa: B017
        await task


async def test_plain_http_off_loopback_is_refused_unless_a_proxy_is_declared() -> None:
    def door(behind_proxy: bool) -> Door:
        settings = ApiSettings("http://x", behind_proxy=behind_proxy)
        return Door(FakeExchange(), SURFACE, settings, Clock())

    for host in ("0.0.0.0", "::", "192.0.2.1"):
        with pytest.raises(Incorrect, match="plain HTTP"):
            await serve(door(False), host=host)
    serving = await serve(door(True), host="0.0.0.0")
    await serving.stop(0.1)
    for host in ("127.0.0.1", "localhost"):
        await (await serve(door(False), host=host)).stop(0.1)


async def test_the_log_line_holds_no_id_no_query_and_no_value(stand: Stand) -> None:
    stand.exchange.put("Patient", "secret-id")
    await stand.ask("GET", "/fhir/Patient/secret-id")
    await stand.ask("GET", "/fhir/Patient?name=Smith")
    await stand.ask("POST", "/fhir/Patient/_search", data={"name": "Smith"})
    await stand.ask("GET", "/Smith/secret-id?Smith")
    await stand.ask("GET", "/fhir?_page=secret-id")
    await stand.send(b"Smith secret-id\r\n\r\n")
    text = "\n".join(stand.lines)
    assert len(stand.lines) == 6
    for secret in ("Smith", "secret-id", "name"):
        assert secret not in text
    assert '"route":"/fhir/{type}/{id}"' in stand.lines[0]
    assert '"client":"clinic"' in stand.lines[0]
    assert '"status":404' in stand.lines[3]
    assert '"in":10' in stand.lines[2]
