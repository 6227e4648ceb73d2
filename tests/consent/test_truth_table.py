"""The truth table, row by row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge.consent import Decider, Facts, Policy, ask, decide, normalise
from fhir_bridge.terms import Action
from tests.consent.world import NOW, at, consent, provision, requester

TABLE = Path(__file__).with_name("truth_table.md")
POLICY = Policy.from_dict()
PLAIN = {"purpose": "purposes", "actor": "actors", "label": "labels", "class": "types"}
OF_CONSENT = ("status", "scope", "policyRule")


def rows() -> list[list[str]]:
    found = []
    for line in TABLE.read_text("utf-8").splitlines():
        if line.startswith("|") and not line.startswith(("|---", "| Why", "| **")):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            found.append([cell.strip().replace("\\|", "|") for cell in cells])
    return found


def _period(text: str) -> dict[str, str]:
    start, _, end = text.partition("..")
    return {name: value for name, value in (("start", start), ("end", end)) if value}


def _provision(text: str) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """One provision in the words of the table, and what it says of the Consent itself."""
    head, brace, rest = text.partition("{")
    words = head.split()
    effect = words[0]
    more: dict[str, Any] = {}
    whole: dict[str, str] = {}
    for word in words[1:]:
        name, _, value = word.partition("=")
        if name in OF_CONSENT:
            whole[name] = value
        elif name in ("period", "dataPeriod"):
            more[name] = _period(value)
        elif name == "action":
            more["actions"] = tuple(value.split(","))
        elif name in PLAIN:
            more[PLAIN[name]] = tuple(value.split(","))
        elif name == "data":
            more[name] = [{"meaning": value, "reference": {"reference": "Observation/1"}}]
        elif name == "code":
            more[name] = [{"text": value}]
        else:
            more[name] = value
    if brace:
        inner = rest.rstrip()[:-1]
        parts = [inner] if "{" in inner else inner.split(";")
        more["nested"] = tuple(_provision(part.strip())[0] for part in parts)
    if effect == "none":
        return None, whole
    return provision(None if effect == "untyped" else effect, **more), whole


def consents(text: str) -> list[dict[str, Any]]:
    found = []
    for number, one in enumerate(filter(None, text.split(" + "))):
        root, whole = _provision(one.strip())
        found.append(consent(root, name=f"c{number}", **whole))
    return found


def who(text: str, purpose: str) -> Any:
    text, _, patient = text.partition("@")
    organization, _, user = text.partition("/")
    name = organization if "|" in organization else f"Organization/{organization}"
    return requester(name, purpose or "TREAT", user=user or None, patient=patient or None)


def facts(text: str) -> Facts:
    data, _, patients = (text or "Observation N").partition(" of ")
    type_, *labels = data.split()
    named = () if patients == "-" else tuple((patients or "p").split(","))
    shared = type_.endswith("*")
    return Facts(type_.rstrip("*"), named, frozenset(labels), "Organization/a", shared)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_every_row_of_the_truth_table_holds(row: list[str]) -> None:
    _, on_file, asker, purpose, action, data, when, answer, reason = row
    directives = [d for t in consents(on_file) if (d := normalise(t).directive) is not None]
    verb = action.rstrip("!") or "access"
    asked = ask(
        who(asker, purpose),
        Action.ACCESS if verb == "discover" else Action(verb),
        discover=verb == "discover",
        break_glass=action.endswith("!"),
    )
    decision = decide(
        facts(data), asked, {"p": Decider(directives)}, POLICY, at(when) if when else NOW
    )
    assert ("permit" if decision.permit else "deny", " ".join(decision.reasons)) == (answer, reason)


def test_the_table_is_read_whole() -> None:
    assert len(rows()) > 120
    assert all(len(row) == 9 for row in rows())
