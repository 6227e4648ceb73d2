"""The published vectors, byte for byte, and the page that they belong to."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge.fbe1 import EntryType, decode_core, encode_core
from fhir_bridge.keys import KeyStore, NodeKeys, Sealer, sealer, verify_leaf
from fhir_bridge.keys.key_files import write_key
from tests.fbe1 import second_opinion
from tests.keys.build import ScriptedClock, header
from tests.vectors.fbe1 import generate

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors" / "fbe1"
ENTRIES: list[dict[str, Any]] = json.loads((VECTORS / "entries.json").read_text())
AUDITS: list[dict[str, Any]] = json.loads((VECTORS / "audit.json").read_text())


def node_of(tmp_path: Path, given: dict[str, Any], *script: str) -> Sealer:
    """A sealer with the vector's keys, whose randomness follows the vector."""
    folder = tmp_path / "node-keys"
    NodeKeys.create(folder)
    for name, field in (("hint", "hint_key"), ("hedge", "hedge_key"), ("author-worker", None)):
        secret = given.get(field or "author_seed")
        if secret is not None:
            (folder / f"{name}.key").unlink()
            write_key(folder / f"{name}.key", bytes.fromhex(secret))
    clock = ScriptedClock()
    for pek in given["peks"]:
        clock.script += [bytes.fromhex(pek), bytes(16)]
    clock.script += [bytes.fromhex(given["handle_random"]), *(bytes.fromhex(s) for s in script)]
    keys = NodeKeys.load(folder)
    store = KeyStore.create(tmp_path / "keys.db", keys, clock)
    chain = (given["seq"] - 1, bytes.fromhex(given["previous"]))
    origin, member = given.get("origin", "o"), given.get("member", "m")
    return Sealer(keys, "worker", origin, member, store, clock, chain)


def with_salt(monkeypatch: pytest.MonkeyPatch, salt: str) -> None:
    """The library draws its own salt; the second implementation lets it be given."""
    monkeypatch.setattr(
        sealer,
        "seal_bytes",
        lambda key, context, plain: second_opinion.seal(key, context, plain, bytes.fromhex(salt)),
    )


@pytest.mark.parametrize("case", ENTRIES, ids=lambda case: case["name"])
def test_an_entry_is_sealed_to_the_bytes_of_its_vector(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, made = case["given"], case["made"]
    about_someone = any(patient for patient, _ in given["pairs"])
    draws = [given["nonce"], *([] if about_someone else [given["random_ref"]]), given["dek_random"]]
    ours = node_of(tmp_path, given, *draws)
    with_salt(monkeypatch, given["salt"])
    frame = (bytes.fromhex(given["frame"]), given["header"]["dictionary"])
    monkeypatch.setattr(sealer, "compress", lambda stored: frame)
    h = given["header"]
    sealed = ours.seal(
        tuple((p, c) for p, c in given["pairs"]),
        header(
            *h["classes"],
            entry_type=EntryType(h["entry_type"]),
            consent=bytes.fromhex(h["consent"]),
            time_us=h["time_us"],
            mappings=tuple(bytes.fromhex(m) for m in h["mappings"]),
            organisation=h["organisation"],
            version=h["version"],
        ),
        bytes.fromhex(given["stored"]),
        tuple(bytes.fromhex(c) for c in given["claims"]),
    )
    got = {"leaf": sealed.leaf, "body": sealed.body, "box": sealed.box, "hint": sealed.hint}
    got |= {"entry_id": sealed.entry_id, "core": sealed.leaf[:-96]}
    got["dek"] = ours.dek_of(sealed.leaf, sealed.box, sealed.hint)
    got["handle"] = ours.handle_of(sealed.entry_id, sealed.hint)
    assert {name: value.hex() for name, value in got.items()} == made
    assert ours.open(sealed.leaf, sealed.body, sealed.box, sealed.hint)[1].hex() == given["stored"]
    verify_leaf(sealed.leaf, ours.public)
    assert encode_core(decode_core(got["core"])) == got["core"]


@pytest.mark.parametrize("case", AUDITS, ids=lambda case: case["name"])
def test_an_audit_row_is_sealed_to_the_bytes_of_its_vector(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, made = case["given"], case["made"]
    ours = node_of(tmp_path, given, given["nonce"])
    with_salt(monkeypatch, given["salt"])
    pairs = tuple((p, c) for p, c in given["pairs"])
    previous, record = bytes.fromhex(given["previous"]), bytes.fromhex(given["record"])
    row = ours.seal_audit(pairs, record, given["seq"], previous)
    assert {"row": row.sealed.hex(), "hint": row.hint.hex()} == made
    assert ours.open_audit(row.sealed, row.hint) == (given["seq"], previous, record)


def test_the_vectors_are_what_the_second_implementation_writes() -> None:
    zstd_may_differ = json.loads(json.dumps(generate.entries()))
    for new, old in zip(zstd_may_differ, ENTRIES, strict=True):
        new["given"]["frame"] = old["given"]["frame"]
        made = second_opinion.seal_entry(new)
        assert {name: value.hex() for name, value in made.items()} == old["made"]
    assert json.loads(json.dumps(generate.audits())) == AUDITS


def test_the_worked_entry_in_the_documentation_is_the_vector() -> None:
    page = (ROOT / "docs" / "fbe1.md").read_text("utf-8")
    case = ENTRIES[0]
    for field in ("peks", "hint_key", "handle_random", "nonce"):
        value = case["given"][field]
        assert (value[0] if isinstance(value, list) else value) in page
    page = page.replace("\n" + " " * 14, "")
    made = case["made"]
    body = hashlib.sha256(bytes.fromhex(made["body"])).hexdigest()
    for value in (*(made[f] for f in ("core", "entry_id", "dek", "box", "hint")), body):
        assert value in page
    assert made["leaf"] == made["core"] + body + made["leaf"][-128:]
    assert made["leaf"][-128:] in page
