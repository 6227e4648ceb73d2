"""The operator learns why: relation, decision, reasons, the Consent that decided, until when."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cli.world import CLINIC, HOSPITAL, Node, consent, observation, patient


def _client(node: Node, name: str, organization: str, *words: str) -> None:
    node.ok(
        *("client", "add", name, "--organization", organization, "--purpose", "TREAT", *words),
        *("--new-key", node.folder / f"{name}.pem"),
    )


def _why(node: Node, place: str, *words: str) -> dict[str, Any]:
    found: dict[str, Any] = node.ok("consent", "explain", place, *words, "--json").json
    return found


def test_every_relation_is_explained(node: Node) -> None:
    subject = node.write(patient("Why"))
    place = node.write(observation(subject))
    _client(node, "hospital", HOSPITAL)
    _client(node, "clinic", CLINIC)
    own = _why(node, place, "--client", "hospital")
    assert (own["permit"], own["relation"], own["reasons"]) == (True, "own", ["relation-table"])
    other = _why(node, place, "--client", "clinic")
    assert (other["permit"], other["relation"]) == (False, "other")
    assert other["reasons"] == ["no-directive"]
    assert other["legal_basis"].startswith("45 CFR")
    said = node.ok("consent", "explain", place, "--client", "clinic")
    assert said.out.startswith(f"deny: {place} to clinic")


def test_the_consent_that_decided_is_named_with_its_end(node: Node) -> None:
    subject = node.write(patient("Permits"))
    place = node.write(observation(subject))
    written = node.write(consent(subject, CLINIC))
    _client(node, "clinic", CLINIC)
    found = _why(node, place, "--client", "clinic")
    assert (found["permit"], found["reasons"]) == (True, ["directive-permit"])
    [spoke] = found["consents"]
    assert spoke.startswith(f"{written}/_history/")
    assert found["valid_until"].startswith("2100-01-0")
    assert found["entries_not_covered"] == 0


def test_scope_and_purpose_of_the_registration_count(node: Node) -> None:
    place = node.write(patient("Scoped"))
    _client(node, "narrow", HOSPITAL, "--scope", "system/Observation.rs")
    _client(node, "two", HOSPITAL, "--purpose", "HRESCH")
    assert _why(node, place, "--client", "narrow")["reasons"] == ["scope"]
    assert "(purpose)" in node.run("consent", "explain", place, "--client", "two").err
    assert _why(node, place, "--client", "two", "--purpose", "TREAT")["permit"]
    assert not _why(node, place, "--client", "two", "--purpose", "HRESCH")["permit"]


@pytest.mark.parametrize("action", ["access", "collect", "correct", "disclose", "use"])
def test_every_action_has_an_answer(node: Node, action: str) -> None:
    place = node.write(patient("Action"))
    _client(node, "hospital", HOSPITAL)
    assert _why(node, place, "--client", "hospital", "--action", action)["action"] == action


def test_a_disabled_client_and_an_absent_resource_are_told(node: Node) -> None:
    place = node.write(patient("Disabled"))
    _client(node, "old", HOSPITAL)
    node.ok("client", "disable", "old")
    assert "is disabled" in node.ok("consent", "explain", place, "--client", "old").out
    absent = node.run("consent", "explain", "Patient/none", "--client", "old")
    assert (absent.code, "no such Patient" in absent.err) == (1, True)
    assert node.run("consent", "explain", place, "--client", "nobody").code == 1


def test_explaining_writes_nothing(node: Node) -> None:
    place = node.write(patient("Silent"))
    _client(node, "hospital", HOSPITAL)
    before = node.ok("ledger", "head", "--json").json
    _why(node, place, "--client", "hospital")
    assert node.ok("ledger", "head", "--json").json == before
