"""Random damage to good requests never makes the server fail, and never ends the door."""

from __future__ import annotations

import random

from fhir_bridge.api import ApiLimits
from tests.api.conftest import Opener
from tests.tiers import count, seed

GOOD = [
    b"GET /fhir/Patient/p1?_format=json HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n",
    b"GET /fhir/Patient?name=%C3%A4&_count=2 HTTP/1.1\r\nHost: x\r\nPrefer: handling=lenient\r\n",
    (
        b"GET /fhir/Patient/p1 HTTP/1.1\r\nHost: x\r\n"
        b'If-Modified-Since: Tue, 14 Nov 2023 22:13:20 GMT\r\nIf-None-Match: W/"v1"\r\n'
    ),
    (
        b'PUT /fhir/Patient/p1 HTTP/1.1\r\nHost: x\r\nIf-Match: W/"v1"\r\n'
        b"Content-Type: application/fhir+json; charset=utf-8\r\nContent-Length: 2\r\n"
    ),
    (
        b"POST /fhir HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n"
    ),
    (
        b"POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n"
    ),
    b"GET /ledger/tile/0/x001/067.p/3 HTTP/1.1\r\nHost: x\r\nX-Request-Id: a-1\r\n",
]
BODY = b"2\r\n{}\r\n0\r\n\r\n"
SPICE = [b"%00", b"%ff", b"..", b"//", b"\x00", b"\xff", b";", b",", b'"', b"{", b"&", b"=", b"%"]


def damage(random_: random.Random, raw: bytes) -> bytes:
    out = bytearray(raw)
    for _ in range(random_.randint(1, 4)):
        place = random_.randrange(len(out))
        match random_.randrange(4):
            case 0:
                out[place] = random_.randrange(256)
            case 1:
                del out[place : place + random_.randint(1, 5)]
            case 2:
                out[place:place] = random_.choice(SPICE)
            case _:
                out[place:place] = out[place : place + random_.randint(1, 30)]
    return bytes(out)


async def test_damaged_requests_are_answered_below_500_or_dropped(open_door: Opener) -> None:
    random_ = random.Random(seed())
    limits = ApiLimits(linger_s=0.02, body_deadline_s=0.02, idle_deadline_s=0.05)
    stand = await open_door(limits)
    stand.exchange.put("Patient", "p1")
    for _ in range(count(3000)):
        head = random_.choice(GOOD) + b"Authorization: Bearer all\r\nConnection: close\r\n\r\n"
        out = await stand.send(damage(random_, head) + BODY, wait_s=2)
        assert out == b"" or int(out.split(b" ", 2)[1]) < 500, (head, out)
    assert (await stand.ask("GET", "/fhir/Patient/p1")).status == 200
