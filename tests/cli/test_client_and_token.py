"""Clients are registered and changed; a token comes from the running server."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from fhir_bridge.smart import new_client_key
from tests.cli.world import HOSPITAL, Node, observation, patient


def _add(node: Node, name: str, *words: object) -> dict[str, object]:
    key = node.folder / f"{name}.pem"
    said = node.ok(
        *("client", "add", name, "--organization", HOSPITAL, "--purpose", "TREAT"),
        *("--new-key", key, *words, "--json"),
    )
    shown: dict[str, object] = said.json
    return shown


def test_a_new_client_gets_a_private_key_that_only_its_owner_can_read(node: Node) -> None:
    shown = _add(node, "ehr")
    key = node.folder / "ehr.pem"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert shown["scopes"] == "system/*.cruds"
    assert shown["organization"] == HOSPITAL
    assert "PRIVATE" not in json.dumps(shown)


def test_the_answer_names_the_next_command(node: Node) -> None:
    said = node.ok(
        *("client", "add", "ehr", "--organization", HOSPITAL, "--purpose", "TREAT"),
        *("--new-key", node.folder / "ehr.pem"),
    )
    assert f"next: fhir-bridge token ehr --key {node.folder / 'ehr.pem'}" in said.out


def test_a_client_for_one_patient_may_read_that_patient(node: Node) -> None:
    shown = _add(node, "app", "--patient", "Patient/p1")
    assert shown["patient"] == "p1"
    assert shown["scopes"] == "patient/*.rs"


def test_a_private_key_is_never_overwritten(node: Node) -> None:
    key = node.folder / "ehr.pem"
    key.write_text("precious")
    said = node.run(
        *("client", "add", "ehr", "--organization", HOSPITAL, "--purpose", "TREAT"),
        *("--new-key", key),
    )
    assert said.code == 1
    assert "never overwritten" in said.err
    assert key.read_text() == "precious"
    assert node.ok("client", "list", "--json").json == {"clients": []}


def test_a_key_whose_registration_fails_is_taken_back(node: Node) -> None:
    _add(node, "ehr")
    other = node.folder / "second.pem"
    said = node.run(
        *("client", "add", "ehr", "--organization", HOSPITAL, "--purpose", "TREAT"),
        *("--new-key", other),
    )
    assert said.code == 1
    assert "(client-exists)" in said.err
    assert not other.exists()


def test_a_public_jwks_registers_and_a_private_one_is_refused(node: Node) -> None:
    _, public = new_client_key()
    good, bad = node.folder / "jwks.json", node.folder / "private.json"
    good.write_text(json.dumps({"keys": [public]}))
    bad.write_text(json.dumps({"keys": [{**public, "d": "AA"}]}))
    words = ("--organization", HOSPITAL, "--purpose", "TREAT", "--jwks")
    assert node.run("client", "add", "one", *words, bad).code == 1
    said = node.ok("client", "add", "one", *words, good, "--json")
    assert said.json["kids"] == [public["kid"]]


@pytest.mark.parametrize("text", [b"not json", b"[]"])
def test_a_file_that_is_no_jwks_is_named(node: Node, text: bytes) -> None:
    path = node.folder / "jwks.json"
    path.write_bytes(text)
    said = node.run(
        *("client", "add", "one", "--organization", HOSPITAL, "--purpose", "TREAT"),
        *("--jwks", path),
    )
    assert said.code == 1
    assert str(path) in said.err


@pytest.mark.parametrize(
    "words", [("--scope", "system/Nonsense.rs"), ("--scope", "everything"), ("--purpose", "FUN")]
)
def test_what_cannot_be_registered_is_one_line_of_error(node: Node, words: tuple[str, ...]) -> None:
    said = node.run(
        *("client", "add", "ehr", "--organization", HOSPITAL, "--purpose", "TREAT", *words),
        *("--new-key", node.folder / "ehr.pem"),
    )
    assert said.code == 1
    assert len(said.err.splitlines()) == 1


def test_clients_are_listed_rotated_and_disabled(node: Node) -> None:
    before = _add(node, "ehr", "--role", "nurse")
    rotated = node.ok("client", "rotate", "ehr", "--new-key", node.folder / "b.pem", "--json").json
    assert rotated["kids"] != before["kids"]
    assert rotated["generation"] == 2
    assert "disabled" not in node.ok("client", "list").out
    node.ok("client", "disable", "ehr")
    [shown] = node.ok("client", "list", "--json").json["clients"]
    assert (shown["disabled"], shown["roles"]) == (True, ["nurse"])
    assert "disabled ehr" in node.ok("client", "list").out
    assert node.run("client", "disable", "nobody").code == 1


def test_without_a_server_a_token_says_so(node: Node) -> None:
    _add(node, "ehr")
    said = node.run("token", "ehr", "--key", node.folder / "ehr.pem")
    assert said.code == 1
    assert "no server answers" in said.err
    assert said.out == ""


def test_a_key_file_that_is_absent_or_no_key_is_told(node: Node, tmp_path: Path) -> None:
    said = node.run("token", "ehr", "--key", tmp_path / "absent.pem")
    assert (said.code, str(tmp_path / "absent.pem") in said.err) == (1, True)
    (tmp_path / "bad.pem").write_text("no key")
    assert "(private-key)" in node.run("token", "ehr", "--key", tmp_path / "bad.pem").err


def test_commands_work_beside_a_running_server(node: Node) -> None:
    subject = node.write(patient("Beside"))
    place = node.write(observation(subject, valueQuantity={"value": 7, "unit": "mg"}))
    _add(node, "ehr", "--purpose", "HPAYMT")
    key = node.folder / "ehr.pem"
    with node.serving():
        ambiguous = node.run("token", "ehr", "--key", key)
        assert (ambiguous.code, "several purposes" in ambiguous.err) == (1, True)
        bare = node.ok("token", "ehr", "--key", key, "--purpose", "TREAT").out
        assert bare.count(".") == 2
        assert len(bare.split()) == 1
        told = node.ok(
            *("token", "ehr", "--key", key, "--purpose", "TREAT", "--user", "Practitioner/1"),
            *("--scope", "system/Patient.r", "--scope", "system/Observation.rs", "--json"),
        ).json
        assert told["scope"] == "system/Observation.rs system/Patient.r"
        _reads_beside(node, place)
        node.ok("keys", "rotate")
        held = node.run("keys", "shred", "--patient", subject, "--now")
        assert (held.code, "in use by process" in held.err) == (1, True)
        assert node.ok("ledger", "verify", "--json").json["whole"]


def _reads_beside(node: Node, place: str) -> None:
    """Proof, export and explanation through the owner's socket."""
    proof, resource = node.folder / "o.proof", node.folder / "o.json"
    node.ok("proof", "get", place, "--out", proof, "--resource", resource,
            "--organization", HOSPITAL)  # fmt: skip
    assert node.bare("proof", "verify", resource, proof, node.folder / "policy.txt").code == 0
    hidden = node.run("proof", "get", place)
    assert (hidden.code, "--organization" in hidden.err) == (1, True)
    said = node.ok("export", node.folder / "out", "--organization", HOSPITAL, "--json").json
    assert said["resources"] == {"Observation": 1, "Patient": 1}
    line = (node.folder / "out" / "Observation.ndjson").read_bytes()
    assert line == resource.read_bytes() + b"\n"
    words = ("consent", "explain", place, "--client", "ehr", "--purpose", "TREAT", "--json")
    assert node.ok(*words).json["relation"] == "own"
