"""The ledger is verified from outside, and a proof convinces without the node."""

from __future__ import annotations

import io
import shutil
import sqlite3
from pathlib import Path

import pytest

from fhir_bridge.ledger import Reader
from tests.cli.world import HOSPITAL, Node, make, observation, patient


def test_a_new_ledger_has_a_head_and_is_whole(node: Node) -> None:
    head = node.ok("ledger", "head", "--json").json
    assert head["origin"] == "node.example/ledger"
    assert head["size"] == head["checkpoint_size"] == 4
    assert head["audit_rows"] == 0
    said = node.ok("ledger", "verify", "--signatures", "--json").json
    assert (said["whole"], said["size"], said["signatures"]) == (True, 4, True)
    assert said["root"] == head["root"]
    assert "node.example/ledger" in node.ok("ledger", "head").out


def test_entries_are_shown_without_any_key(node: Node) -> None:
    subject = node.write(patient("Shown"))
    size = node.ok("ledger", "head", "--json").json["size"]
    shown = [node.ok("ledger", "show", i, "--json").json for i in range(size)]
    assert [one["index"] for one in shown] == list(range(size))
    assert shown[0]["says"]["kind"] == "genesis"
    [sealed] = [one for one in shown if one["kind"] == "data"]
    assert sealed["body"].startswith("sealed, ")
    assert subject.partition("/")[2] not in str(shown)
    assert "genesis" in node.ok("ledger", "show", 0).out
    assert "(no-such-entry)" in node.run("ledger", "show", size).err


def test_a_flipped_byte_is_found_and_named(node: Node) -> None:
    node.write(patient("Flipped"))
    path = node.data / "ledger.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        index, body = db.execute("SELECT i, body FROM body WHERE length(box) > 0").fetchone()
    data = bytearray(path.read_bytes())
    data[data.index(body) + 100] ^= 1
    path.write_bytes(data)
    said = node.run("ledger", "verify", "--json")
    assert said.code == 1
    assert said.json["whole"] is False
    assert str(index) in said.json["where"]
    assert said.json["where"] in said.err


def test_a_rolled_back_ledger_does_not_pass(node: Node, tmp_path: Path) -> None:
    shutil.copytree(node.data, tmp_path / "before")
    node.write(patient("Later"))
    shutil.rmtree(node.data)
    shutil.copytree(tmp_path / "before", node.data)
    said = node.run("ledger", "verify")
    assert (said.code, "older-copy" in said.err) == (1, True)
    for words in (("export", tmp_path / "out"), ("keys", "shred", "--patient", "x", "--now")):
        assert "older-copy" in node.run(*words).err


def test_the_ledger_is_held_against_a_kept_checkpoint(
    node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = Reader(node.data / "ledger.db")
    kept = tmp_path / "checkpoint"
    kept.write_bytes(reader.checkpoint() or b"")
    reader.close()
    node.write(patient("More"))
    said = node.ok("ledger", "verify", "--against", kept, "--json").json
    assert said["against_size"] == 4
    assert said["size"] > 4
    other = make(tmp_path / "other", capsys)
    assert "(wrong-policy)" in other.run("ledger", "verify", "--against", kept).err
    kept.write_text("no checkpoint")
    assert node.run("ledger", "verify", "--against", kept).code == 1


def _proven(node: Node) -> tuple[Path, Path, Path]:
    place = node.write(observation(node.write(patient("Proven"))))
    resource, proof = node.folder / "o.json", node.folder / "o.proof"
    node.ok("proof", "get", place, "--out", proof, "--resource", resource,
            "--organization", HOSPITAL)  # fmt: skip
    return resource, proof, node.folder / "policy.txt"


def test_a_proof_convinces_without_the_node(node: Node) -> None:
    resource, proof, policy = _proven(node)
    shutil.rmtree(node.data)
    said = node.bare("proof", "verify", resource, proof, policy)
    assert said.code == 0
    for text in ("operator only", "included  entry", "newest version", "policy "):
        assert text in said.out
    shown = node.bare("proof", "verify", resource, proof, policy, "--json").json
    assert (shown["verified"], shown["member"]) == (True, "node.example")


def test_a_changed_resource_fails_its_proof(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    resource, proof, policy = _proven(node)
    changed = resource.read_bytes().replace(b"final", b"draft")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(changed)))
    said = node.bare("proof", "verify", "-", proof, policy, "--json")
    assert said.code == 1
    assert said.json["code"] == "resource-mismatch"
    assert "(resource-mismatch)" in said.err


def test_another_nodes_policy_does_not_accept_the_proof(
    node: Node, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resource, proof, _ = _proven(node)
    other = make(tmp_path / "other", capsys)
    said = node.bare("proof", "verify", resource, proof, other.folder / "policy.txt")
    assert said.code == 1
    assert said.out == ""


def test_a_proof_goes_to_stdout_and_names_one_version(node: Node) -> None:
    place = node.write(patient("Stdout"))
    said = node.ok("proof", "get", place, "--organization", HOSPITAL)
    assert said.out.startswith("c2sp.org/tlog-proof@v1\n")
    version = node.ok("proof", "get", place, "--organization", HOSPITAL, "--json").json
    assert "c2sp.org/tlog-proof@v1" in version["proof"]
    exact = f"{place}/_history/{version['version_id']}"
    node.ok("proof", "get", exact, "--organization", HOSPITAL)


@pytest.mark.parametrize("place", ["Observation", "observation/1", "Patient/a/b", "Patient/é"])
def test_what_is_no_resource_name_is_refused(node: Node, place: str) -> None:
    assert "(resource-name)" in node.run("proof", "get", place).err
