"""Nothing readable at rest: what was put in is in no file of the node, in no common disguise."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import uuid
import zlib
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path

import pytest
import zstandard

from fhir_bridge.errors import BridgeError
from fhir_bridge.exchange import RequestInfo, disclose, find, ingest
from fhir_bridge.keys import compression, sealer
from tests.exchange.world import BASE, HOSPITAL, World

CANARIES = ("Zyxcanary", "ID-77815-QQ", "1931-07-29", "canary-code-553", "canary narrative words")
PATIENT = {
    "resourceType": "Patient",
    "text": {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{CANARIES[4]}</div>',
    },
    "identifier": [{"system": "http://x.example/ids", "value": CANARIES[1]}],
    "name": [{"family": CANARIES[0]}],
    "birthDate": CANARIES[2],
}


def disguises(text: str) -> Iterator[bytes]:
    """The text raw and in the encodings and digests that a store might leave it in."""
    raw = text.encode()
    yield raw
    for spelled in ("utf-16-le", "utf-16-be"):
        yield text.encode(spelled)
    for shift in range(3):
        yield base64.b64encode(b"\0" * shift + raw)[shift + 1 : -4]
    for name in ("md5", "sha1", "sha256"):
        yield hashlib.new(name, raw).digest()
        yield hashlib.new(name, raw).hexdigest().encode()
    for space in (uuid.NAMESPACE_URL, uuid.NAMESPACE_OID, uuid.NAMESPACE_DNS):
        yield uuid.uuid5(space, text).bytes
        yield str(uuid.uuid5(space, text)).encode()
    yield raw.hex().encode()
    yield raw.hex().upper().encode()


_DEFLATED = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")
_MOST_BYTES = 1 << 20


def unpacked(data: bytes) -> Iterator[bytes]:
    """The file, and whatever in it opens as zlib, gzip or zstd, with our dictionaries or none."""
    yield data
    for found in _DEFLATED.finditer(data):
        machine = zlib.decompressobj(32 + zlib.MAX_WBITS)
        try:
            yield machine.decompress(data[found.start() : found.start() + _MOST_BYTES], _MOST_BYTES)
        except zlib.error:
            continue
    folder = files("fhir_bridge.keys").joinpath("data")
    ours = (folder.joinpath(name).read_bytes() for name in compression.catalogue()["sha256"])
    dictionaries = [None, *(zstandard.ZstdCompressionDict(one) for one in ours)]
    start = data.find(b"\x28\xb5\x2f\xfd")
    while start >= 0:
        for dictionary in dictionaries:
            one = zstandard.ZstdDecompressor(dict_data=dictionary)
            try:
                yield one.decompressobj().decompress(data[start : start + (1 << 20)])
            except zstandard.ZstdError:
                continue
        start = data.find(b"\x28\xb5\x2f\xfd", start + 1)


def found_in(folder: Path, texts: list[str]) -> set[str]:
    """Which texts some file below ``folder`` gives away."""
    wanted = {text: tuple(disguises(text)) for text in texts}
    seen: set[str] = set()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        for plain in unpacked(path.read_bytes()):
            seen |= {t for t, forms in wanted.items() if any(form in plain for form in forms)}
    return seen


async def through_every_use_case(world: World) -> list[str]:
    """Write, read, search and fail with the canaries; every text that must not be found."""
    rooms, query = world.rooms, f"/fhir/Patient?name={CANARIES[0]}&identifier={CANARIES[1]}"
    request = RequestInfo("r", "/fhir/{type}", "127.0.0.1", query)
    sent = json.dumps(PATIENT).encode()
    made = await ingest.create(rooms, HOSPITAL, request, "Patient", sent)
    coded = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://x.example/codes", "code": CANARIES[3]}]},
        "subject": {"reference": f"Patient/{made.id}"},
        "effectiveDateTime": CANARIES[2],
    }
    await ingest.create(rooms, HOSPITAL, request, "Observation", json.dumps(coded).encode())
    await disclose.read(rooms, HOSPITAL, request, "Patient", made.id)
    await find.search(rooms, HOSPITAL, request, "Patient", [("name", CANARIES[0])], BASE)
    with pytest.raises(BridgeError) as caught:
        wrong = json.dumps(PATIENT | {"birthDate": f"{CANARIES[2]}-{CANARIES[0]}"}).encode()
        await ingest.create(rooms, HOSPITAL, request, "Patient", wrong)
    told = str(caught.value) + repr(caught.value.issues)
    assert [canary for canary in CANARIES if canary in told] == []
    await rooms.follower.reached(rooms.reader.head().size)
    return [*CANARIES, sent.decode(), made.raw.decode()]


def _with_dictionary(plain: bytes) -> bytes:
    return compression.compress(plain)[0]


@pytest.mark.parametrize(
    "pack", [bytes, base64.b64encode, bytes.hex, zlib.compress, gzip.compress, _with_dictionary]
)
def test_the_search_opens_what_is_packed(
    pack: Callable[[bytes], bytes | str], tmp_path: Path
) -> None:
    packed = pack(f"before {CANARIES[0]} after".encode())
    packed = packed.encode() if isinstance(packed, str) else packed
    (tmp_path / "file").write_bytes(b"-" * 1000 + packed + b"-" * 1000)
    assert found_in(tmp_path, list(CANARIES)) == {CANARIES[0]}


async def test_no_file_gives_away_what_was_put_in(world: World) -> None:
    texts = await through_every_use_case(world)
    assert found_in(world.settings.node.data.parent, texts) == set()


async def test_the_search_finds_what_is_not_encrypted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer, "seal_bytes", lambda key, context, plain: plain)
    monkeypatch.setattr(sealer, "unseal_bytes", lambda key, context, sealed: sealed)
    texts = await through_every_use_case(world)
    assert found_in(world.settings.node.data.parent, texts) >= set(CANARIES)
