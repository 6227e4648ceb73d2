"""Backups come back, erased patients do not, and nothing is restored over a node."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.cli.world import HOSPITAL, Node, make, observation, patient


def _exported(node: Node, name: str) -> dict[str, Any]:
    words = ("export", node.folder / name, "--organization", HOSPITAL, "--json")
    found: dict[str, Any] = node.ok(*words).json["resources"]
    return found


def _elsewhere(node: Node, folder: Path) -> Node:
    return Node(folder, node.capture)


def test_a_backup_comes_back_as_the_node_it_was(node: Node, tmp_path: Path) -> None:
    node.write(observation(node.write(patient("Kept"))))
    node.ok("client", "add", "ehr", "--organization", HOSPITAL, "--purpose", "TREAT",
            "--new-key", tmp_path / "ehr.pem")  # fmt: skip
    said = node.ok("backup", tmp_path / "copy", "--json").json
    assert not list((tmp_path / "copy").rglob("locator.db*"))
    assert not list((tmp_path / "copy").rglob("head-memory*"))
    assert all(p.stat().st_mode & 0o077 == 0 for p in (tmp_path / "copy").rglob("*"))
    again = _elsewhere(node, tmp_path / "again")
    restored = again.ok("restore", tmp_path / "copy", "--json").json
    assert (restored["size"], restored["head_memory"]) == (said["size"], False)
    assert again.ok("ledger", "verify", "--signatures", "--json").json["root"] == said["root"]
    assert _exported(again, "out") == {"Observation": 1, "Patient": 1}
    [client] = again.ok("client", "list", "--json").json["clients"]
    assert client["client_id"] == "ehr"


def test_a_backup_needs_a_new_folder_and_a_restore_a_place_without_a_node(
    node: Node, tmp_path: Path
) -> None:
    node.ok("backup", tmp_path / "copy")
    assert "(folder-not-empty)" in node.run("backup", tmp_path / "copy").err
    before = node.ok("ledger", "head", "--json").json
    assert "(node-exists)" in node.run("restore", tmp_path / "copy").err
    assert node.ok("ledger", "head", "--json").json == before
    assert "no backup of a node" in node.run("restore", tmp_path / "nothing").err


def test_a_backup_older_than_the_head_memory_is_refused_and_leaves_nothing(
    node: Node, tmp_path: Path
) -> None:
    node.ok("backup", tmp_path / "copy")
    node.write(patient("Later"))
    shutil.rmtree(node.data)
    said = node.run("restore", tmp_path / "copy")
    assert said.code == 1
    assert "older-copy" in said.err
    assert "newer backup" in said.err
    assert [p.name for p in node.data.iterdir()] == ["bridge.lock"]


def test_lost_data_comes_back_beside_keys_that_were_not_lost(node: Node, tmp_path: Path) -> None:
    node.write(patient("Beside"))
    node.ok("backup", tmp_path / "copy")
    shutil.rmtree(node.data)
    said = node.ok("restore", tmp_path / "copy")
    assert "the key folder that was there fits" in said.out
    assert "the head memory agrees" in said.out
    assert _exported(node, "out") == {"Patient": 1}


def test_a_key_store_from_before_a_rotation_does_not_fit(node: Node, tmp_path: Path) -> None:
    node.ok("backup", tmp_path / "copy")
    node.ok("keys", "rotate")
    shutil.rmtree(node.data)
    said = node.run("restore", tmp_path / "copy")
    assert (said.code, "does not fit" in said.err) == (1, True)
    assert not (node.data / "ledger.db").exists()


def test_a_restored_key_backup_does_not_bring_a_shredded_patient_back(
    node: Node, tmp_path: Path
) -> None:
    subject = node.write(patient("Gone"))
    node.write(patient("Stays"))
    node.ok("keys", "backup", tmp_path / "keys")
    receipt = node.ok("keys", "shred", "--patient", subject, "--now", "--json").json
    assert receipt["last_key_backup"] is not None
    refused = node.run("keys", "restore", tmp_path / "keys")
    assert (refused.code, "move it away" in refused.err) == (1, True)
    for path in (node.folder / "keys").iterdir():
        if path.name != "head-memory":
            path.unlink()
    for path in node.data.glob("keys.db*"):
        path.unlink()
    said = node.ok("keys", "restore", tmp_path / "keys", "--json").json
    assert said["keys_destroyed_again"] == receipt["keys_destroyed"]
    assert (node.folder / "keys" / "head-memory").exists()
    assert _exported(node, "out") == {"Patient": 1}


def test_the_shred_command_prints_a_receipt_that_promises_no_more_than_is_true(node: Node) -> None:
    subject = node.write(patient("Erased"))
    node.write(observation(subject))
    assert "(confirm)" in node.run("keys", "shred", "--patient", subject).err
    said = node.ok("keys", "shred", "--patient", subject, "--now")
    for text in ("2 bodies", "unknown: backups are yours to expire", "may have kept it", "kept,"):
        assert text in said.out
    assert subject.partition("/")[2] not in said.out
    assert node.ok("ledger", "verify", "--signatures", "--json").json["erased"] == 2
    assert "(nothing-to-erase)" in node.run("keys", "shred", "--patient", subject, "--now").err


def test_the_audit_trail_is_held_unless_two_people_say_why(node: Node) -> None:
    subject = node.write(patient("Audited"))
    words = ("keys", "shred", "--patient", subject, "--now", "--scope", "record+audit")
    assert "(held)" in node.run(*words).err
    assert "(override)" in node.run(*words, "--by", "one", "--reason", "court").err
    assert "(override)" in node.run(*words, "--by", "one", "--by", "one", "--reason", "x").err
    said = node.ok(*words, "--by", "one", "--by", "two", "--reason", "court order")
    assert "append-only table; their keys are gone" in said.out


def test_the_search_view_is_rebuilt_from_the_ledger(node: Node) -> None:
    node.write(observation(node.write(patient("Found"))))
    (node.data / "locator.db").write_bytes(b"damaged")
    said = node.ok("index", "rebuild", "--json").json
    assert said["entries"] == node.ok("ledger", "head", "--json").json["size"]
    assert _exported(node, "out") == {"Observation": 1, "Patient": 1}


def test_an_upgrade_is_checked_before_it_is_made(node: Node) -> None:
    assert node.ok("upgrade", "--check", "--json").json == {"needed": False, "done": False}
    assert "up to date" in node.ok("upgrade").out
    with sqlite3.connect(node.data / "ledger.db") as db:
        db.execute("PRAGMA user_version = 0")
    said = node.run("upgrade", "--check")
    assert (said.code, "layout 0" in said.out) == (1, True)


def test_an_export_shows_what_the_organisation_may_see_digit_by_digit(node: Node) -> None:
    subject = node.write(patient("Mine"))
    node.write(patient("Theirs"), "Organization/clinic")
    for value in range(3):
        node.write(observation(subject, valueInteger=value))
    assert _exported(node, "mine") == {"Observation": 3, "Patient": 1}
    lines = (node.folder / "mine" / "Observation.ndjson").read_text().splitlines()
    assert sorted(json.loads(line)["valueInteger"] for line in lines) == [0, 1, 2]
    assert (node.folder / "mine" / "Patient.ndjson").stat().st_mode & 0o077 == 0
    words = ("export", node.folder / "one", "--organization", HOSPITAL, "--type", "Patient")
    assert "Patient" in node.ok(*words).out
    assert [p.name for p in (node.folder / "one").iterdir()] == ["Patient.ndjson"]
    before = node.ok("ledger", "head", "--json").json["audit_rows"]
    assert _exported(node, "again")
    assert node.ok("ledger", "head", "--json").json["audit_rows"] > before
    assert "(folder-not-empty)" in node.run("export", node.folder / "one").err
    assert "(resource-type)" in node.run("export", node.folder / "x", "--type", "Nope").err


def test_an_export_follows_every_page(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhir_bridge.cli.export._COUNT", 2)
    for number in range(5):
        node.write(patient(f"Page{number}"))
    assert _exported(node, "out") == {"Patient": 5}
    lines = (node.folder / "out" / "Patient.ndjson").read_text().splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == 5


def test_where_no_node_is_every_command_says_how_to_make_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = Node(tmp_path / "none", capsys)
    for words in (("ledger", "head"), ("client", "list"), ("backup", tmp_path / "b")):
        said = node.run(*words)
        assert (said.code, "fhir-bridge init" in said.err) == (1, True)
        assert len(said.err.splitlines()) <= 2
    made = make(tmp_path / "made", capsys)
    shutil.rmtree(made.data)
    assert made.run("keys", "rotate").code == 1
