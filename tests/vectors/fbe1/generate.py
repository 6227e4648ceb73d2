"""Writes entries.json and audit.json from the second implementation and a fixed seed.

python -m tests.vectors.fbe1.generate
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import zstandard

from tests.fbe1 import second_opinion

HERE = Path(__file__).resolve().parent
DICTIONARY = HERE.parents[2] / "fhir_bridge" / "keys" / "data" / "fbe1-100002.zdict"
RECORD = (
    b'{"resourceType":"Observation","id":"b1c2d3e4-0000-4000-8000-000000000001","status":"final",'
    b'"code":{"coding":[{"system":"http://loinc.org","code":"8867-4","display":"Heart rate"}]},'
    b'"subject":{"reference":"Patient/p1"},"valueQuantity":{"value":72.0,"unit":"/min"}}'
)


def drawn(label: str, length: int) -> str:
    return hashlib.shake_256(b"fbe1 vectors " + label.encode()).hexdigest(length)


def frame_of(stored: bytes, dictionary: int) -> bytes:
    data = zstandard.ZstdCompressionDict(DICTIONARY.read_bytes()) if dictionary else None
    engine = zstandard.ZstdCompressor(level=3, dict_data=data, write_dict_id=False)
    return engine.compress(stored)


def entry(
    name: str,
    pairs: list[tuple[str, str]],
    stored: bytes,
    dictionary: int,
    claims: int = 0,
    seq: int = 1,
    **header: Any,
) -> dict[str, Any]:
    pairs = sorted(pairs)
    given = {
        "pairs": pairs,
        "peks": [drawn(f"{name} pek {pair}", 32) for pair in pairs],
        "handle_random": drawn(f"{name} handle", 12),
        "hint_key": drawn("hint", 32),
        "hedge_key": drawn("hedge", 32),
        "author_seed": drawn("author", 32),
        "origin": "log.example.org/fbe1",
        "member": "Organization/example",
        "seq": seq,
        "previous": bytes(32).hex() if seq == 1 else drawn(f"{name} previous", 32),
        "claims": [drawn(f"{name} claim {i}", 32) for i in range(claims)],
        "nonce": drawn(f"{name} nonce", 16),
        "random_ref": drawn(f"{name} ref", 16),
        "dek_random": drawn(f"{name} dek", 32),
        "salt": drawn(f"{name} salt", 24),
        "stored": stored.hex(),
        "frame": frame_of(stored, dictionary).hex(),
        "header": {
            "entry_type": 1,
            "classes": sorted({class_ for _, class_ in pairs}),
            "consent": "",
            "time_us": 1_767_225_600_123_456,
            "media_type": "application/fhir+json",
            "dictionary": dictionary,
            "mappings": [],
            "organisation": "Organization/example",
            "version": 1,
        }
        | header,
    }
    binary = ["handle_random", "hint_key", "hedge_key", "author_seed", "previous", "nonce"]
    binary += ["random_ref", "dek_random", "salt", "stored", "frame"]
    case = {"name": name, "hex": binary, "given": given}
    made = second_opinion.seal_entry(case)
    return case | {"made": {key: value.hex() for key, value in made.items()}}


def audit(name: str, patient: str, record: bytes, seq: int) -> dict[str, Any]:
    given = {
        "pairs": [(patient, "audit")],
        "peks": [drawn(f"{name} pek", 32)],
        "handle_random": drawn(f"{name} handle", 12),
        "hint_key": drawn("hint", 32),
        "nonce": drawn(f"{name} nonce", 16),
        "salt": drawn(f"{name} salt", 24),
        "seq": seq,
        "previous": bytes(32).hex() if seq == 1 else drawn(f"{name} previous", 32),
        "record": record.hex(),
    }
    binary = ["handle_random", "hint_key", "nonce", "salt", "previous", "record"]
    case = {"name": name, "hex": binary, "given": given}
    made = second_opinion.seal_audit(case)
    return case | {"made": {key: value.hex() for key, value in made.items()}}


def entries() -> list[dict[str, Any]]:
    return [
        entry("one patient, one class", [("p1", "normal")], RECORD, 100_002),
        entry(
            "two patients, two classes",
            [(p, c) for p in ("p2", "p1") for c in ("normal", "hiv")],
            RECORD,
            100_002,
            claims=2,
            seq=7,
            entry_type=2,
            version=2,
            consent=drawn("consent", 32),
            mappings=[drawn("mapping", 32)],
        ),
        entry("no patient, nothing stored", [("", "normal")], b"", 100_002, entry_type=3),
        entry("over one chunk", [("p1", "normal")], bytes.fromhex(drawn("long", 17_000)), 0, seq=2),
    ]


def audits() -> list[dict[str, Any]]:
    return [
        audit("first of a patient", "p1", b'{"k":"read"}', 1),
        audit("later, middle size", "p1", b'{"k":"' + b"x" * 3000 + b'"}', 9),
        audit("directory, over the largest size", "", b'{"k":"' + b"y" * 33_000 + b'"}', 2),
    ]


def main() -> None:
    for name, cases in (("entries", entries()), ("audit", audits())):
        (HERE / f"{name}.json").write_text(json.dumps(cases, indent=1) + "\n", "ascii")


if __name__ == "__main__":
    main()
