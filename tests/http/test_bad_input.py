"""Bad input at the real server: a clear refusal, 4xx, quickly, without a value of the sender."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from typing import Any

import aiohttp
import pytest

from fhir_bridge.clock import Clock
from fhir_bridge.smart import ASSERTION_TYPE, assertion
from tests.http.node import Node, Web

CANARY = "Zyxcanary"
PATIENT = {"resourceType": "Patient", "name": [{"family": CANARY}]}
BASIC = {"resourceType": "Basic", "code": {"text": "x"}}
LIMIT_S = 1.0


def nested(depth: int) -> Any:
    found: Any = {"url": "http://x", "valueString": CANARY}
    for _ in range(depth):
        found = {"url": "http://x", "extension": [found]}
    return {"resourceType": "Patient", "extension": [found]}


def patient(**more: Any) -> bytes:
    return json.dumps(PATIENT | more).encode()


BODIES: dict[str, bytes] = {
    "no JSON": b'{"resourceType":"Patient",' + CANARY.encode(),
    "cut off": patient()[:-3],
    "empty": b"",
    "a list": b"[]",
    "duplicate keys": b'{"resourceType":"Patient","gender":"male","gender":"female"}',
    "NaN": b'{"resourceType":"Patient","multipleBirthInteger":NaN}',
    "Infinity": b'{"resourceType":"Patient","multipleBirthInteger":-Infinity}',
    "a huge number": b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 5000 + b"}",
    "a huge exponent": b'{"resourceType":"Observation","status":"final","code":{"text":"x"},'
    b'"valueQuantity":{"value":1E999999}}',
    "depth 2,000": b'{"resourceType":"Patient","x":' + b"[" * 2000 + b"]" * 2000 + b"}",
    "200 nested extensions": json.dumps(nested(200)).encode(),
    "a 65-character id": patient(contained=[{"resourceType": "Patient", "id": "a" * 65}]),
    "unknown contained type": patient(contained=[{"resourceType": CANARY, "id": "x"}]),
    "unknown element": patient(nickname=CANARY),
    "a wrong date": patient(birthDate=f"1980-02-30 {CANARY}"),
    "lone surrogate": b'{"resourceType":"Patient","name":[{"family":"\\ud800"}]}',
    "not UTF-8": b'{"resourceType":"Patient","name":[{"family":"\xff"}]}',
    "another type": b'{"resourceType":"Observation"}',
    "400,000 wrong values": b'{"resourceType":"Patient","name":[{"given":['
    + b",".join([b"1"] * 400_000)
    + b"]}]}",
    "80,000 wrong extensions": patient(extension=[{"a": 1}] * 80_000),
    "12,000 contained that nothing names": patient(
        contained=[{"resourceType": "Patient", "id": f"x{n}"} for n in range(12_000)]
    ),
    "60,000 unknown names": patient(**{f"k{n}": 1 for n in range(60_000)}),
    "a script": patient(
        text={
            "status": "generated",
            "div": '<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>',
        }
    ),
}


def clear(reply: Any, took_s: float, statuses: range = range(400, 500)) -> None:
    """A refusal that tells what is wrong and nothing of what was sent."""
    assert reply.status in statuses, reply.body
    assert took_s < LIMIT_S
    issue = reply.json["issue"][0]
    assert issue["severity"] in ("error", "fatal")
    assert issue["diagnostics"]
    assert CANARY.encode() not in reply.body


@pytest.mark.parametrize("name", BODIES)
async def test_a_bad_body_is_refused_clearly(ehr: Web, name: str) -> None:
    began = time.monotonic()
    reply = await ehr.ask("POST", "Patient", BODIES[name])
    clear(reply, time.monotonic() - began)


PACKED: dict[str, tuple[str, bytes]] = {
    "bad gzip": ("gzip", b"\x1f\x8b\x08nonsense"),
    "cut gzip": ("gzip", gzip.compress(patient())[:-9]),
    "a bomb": ("gzip", gzip.compress(b'{"x":"' + b"0" * (64 << 20) + b'"}')),
    "a bomb in deflate": ("deflate", zlib.compress(b" " * (64 << 20))),
    "unknown coding": ("br", b"x"),
    "nested coding": ("gzip, gzip", gzip.compress(gzip.compress(patient()))),
}


@pytest.mark.parametrize("name", PACKED)
async def test_a_bad_coding_is_refused_clearly(ehr: Web, name: str) -> None:
    coding, body = PACKED[name]
    began = time.monotonic()
    reply = await ehr.ask("POST", "Patient", body, Content_Encoding=coding)
    clear(reply, time.monotonic() - began)


@pytest.mark.parametrize(
    "path",
    [
        "Patient/" + "a" * 65,
        "Patient/%00",
        "Patient/%2e%2e%2f%2e%2e",
        f"Patient?unheard-of={CANARY}",
        f"Patient?birthdate={CANARY}",
        f"Patient?_count={CANARY}",
        f"Patient?_sort={CANARY}!",
        f"Patient?_sort={CANARY}",
        f"Patient?{CANARY}",
        f"Patient?{CANARY}=",
        f"Patient?name:{CANARY}=x",
        "Patient?_sort=" + ",".join(["name"] * 2010),
        "Patient?"
        + "&".join("name=" + ",".join("abcd"[n % 4] * 2 for n in range(200)) for _ in range(39)),
        "Patient?" + "&".join("_lastUpdated=" + ",".join(["2020"] * 200) for _ in range(39)),
        "Observation?date=2020-01-01T10:00:00%2B99:00",
        "Patient?access_token=x",
        f"{CANARY}/x",
        f"?_page={CANARY}",
        "Patient/x/_history/" + "v" * 65,
    ],
)
async def test_a_bad_address_is_refused_clearly(ehr: Web, path: str) -> None:
    began = time.monotonic()
    reply = await ehr.ask("GET", path)
    clear(reply, time.monotonic() - began)


@pytest.mark.parametrize("kind", ["batch", "transaction"])
@pytest.mark.parametrize(
    ("method", "url"),
    [
        *(
            ("POST", url)
            for url in ("Patient/_search", "Patient/abc", "Patient?name=x", "//Patient")
        ),
        *(("POST", url) for url in ("Patient/$everything", "Patient/a/b/c", "Patient//x", CANARY)),
        *(("PUT", url) for url in ("Patient/1?x=y", "Patient?name=x", "Patient")),
        *(("DELETE", url) for url in ("Patient?name=x", "Patient", f"{CANARY}/x")),
        *(("GET", url) for url in (f"{CANARY}?x", "Foo/../x", "Patient/%ff%zz", "Patient/a/b")),
        *(("GET", url) for url in (f"Patient?birthdate={CANARY}", "Patient?name=%ff")),
    ],
)
async def test_a_wrong_address_in_a_bundle_writes_nothing(
    ehr: Web, kind: str, method: str, url: str
) -> None:
    wrong: dict[str, Any] = {"request": {"method": method, "url": url}}
    if method in ("POST", "PUT"):
        wrong["resource"] = PATIENT | ({"id": "1"} if method == "PUT" else {})
    entries = [wrong]
    if kind == "transaction":
        entries.append({"request": {"method": "POST", "url": "Basic"}, "resource": BASIC})
    began = time.monotonic()
    tree = {"resourceType": "Bundle", "type": kind, "entry": entries}
    reply = await ehr.ask("POST", "", json.dumps(tree).encode())
    if kind == "transaction":
        clear(reply, time.monotonic() - began)
        return
    assert reply.status == 200
    response = reply.json["entry"][0]["response"]
    assert response["status"][0] == "4"
    assert CANARY.encode() not in reply.body


@pytest.mark.parametrize("condition", [CANARY, f"name:{CANARY}=x", f"{CANARY}=", "_count=0"])
async def test_a_condition_without_its_parameter_tells_nothing_of_it(
    ehr: Web, condition: str
) -> None:
    began = time.monotonic()
    reply = await ehr.ask("POST", "Patient", patient(), If_None_Exist=condition)
    clear(reply, time.monotonic() - began)


async def test_other_media_types_are_refused(ehr: Web) -> None:
    for headers in ({"Content_Type": "application/fhir+xml"}, {"Content_Type": "text/plain"}):
        assert (await ehr.ask("POST", "Patient", patient(), **headers)).status == 415
    assert (await ehr.ask("GET", "Patient", None, Accept="application/fhir+xml")).status == 406


async def test_two_authorization_headers_are_refused(node: Node) -> None:
    headers = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{node.base}/fhir/Patient", headers=headers) as answer,
    ):
        assert answer.status == 401


class _Past(Clock):
    """Ten minutes ago."""

    def now_us(self) -> int:
        return super().now_us() - 600_000_000


async def test_an_expired_and_a_replayed_assertion_are_refused(node: Node) -> None:
    pem, kid = node.keys["ehr"]
    url = f"{node.base}/auth/token"
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "scope": "system/*.rs",
    }

    async def ask(signed: str) -> tuple[int, dict[str, Any]]:
        began = time.monotonic()
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=form | {"client_assertion": signed}) as answer,
        ):
            told = await answer.json()
            assert time.monotonic() - began < LIMIT_S
            return answer.status, told

    expired = assertion("ehr", url, pem, kid, clock=_Past())
    assert (await ask(expired))[1]["error"] == "invalid_client"
    once = assertion("ehr", url, pem, kid)
    assert (await ask(once))[0] == 200
    status, told = await ask(once)
    assert (status, told["error"]) == (401, "invalid_client")
    assert told["error_description"]


async def test_the_server_serves_on_and_logged_nothing_of_it(ehr: Web, node: Node) -> None:
    assert (await ehr.ask("POST", "Patient", patient())).status == 201
    assert CANARY not in (node.folder / "server.log").read_text()
