"""Large Bundles are worked on by another process: what it writes governs this one at once."""

from __future__ import annotations

from typing import Any

from tests.http.node import Node, Web, client_of

Tree = dict[str, Any]
_PADDING = 120_000
"""Bytes beyond which a Bundle goes to the other process."""


def _consent(patient: str, status: str) -> Tree:
    return {
        "resourceType": "Consent",
        "status": status,
        "scope": {"coding": [{"code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": patient},
        "dateTime": "2026-01-05T09:00:00Z",
        "performer": [{"reference": patient}],
        "policy": [{"uri": "http://example.org/policy"}],
        "provision": {
            "type": "permit",
            "actor": [
                {
                    "role": {"coding": [{"code": "IRCP"}]},
                    "reference": {"reference": "Organization/clinic"},
                }
            ],
        },
    }


def _observation(patient: str, text: str = "x") -> Tree:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": patient},
        "note": [{"text": text}],
    }


def _large(*entries: tuple[str, str, Tree]) -> Tree:
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": tree, "request": {"method": method, "url": url}}
            for method, url, tree in entries
        ],
    }


async def _patient(ehr: Web) -> str:
    made = await ehr.post("Patient", {"resourceType": "Patient"})
    return f"Patient/{made.json['id']}"


async def _permit_in_a_large_bundle(ehr: Web, patient: str) -> None:
    done = await ehr.post(
        "",
        _large(
            ("POST", "Consent", _consent(patient, "active")),
            ("POST", "Observation", _observation(patient, "y" * _PADDING)),
        ),
    )
    assert done.status == 200


async def test_a_revocation_in_a_large_bundle_holds_for_the_very_next_request(
    node: Node, ehr: Web
) -> None:
    patient = await _patient(ehr)
    await ehr.post("Observation", _observation(patient))
    consent = (await ehr.post("Consent", _consent(patient, "active"))).json
    find = f"Observation?subject={patient}&_total=accurate"
    async with client_of(node, "clinic") as clinic:
        for _ in range(3):
            assert (await clinic.get(find)).json["total"] == 1
        revoked = consent | {"status": "inactive"}
        done = await ehr.post(
            "",
            _large(
                ("PUT", f"Consent/{consent['id']}", revoked),
                ("POST", "Observation", _observation(patient, "y" * _PADDING)),
            ),
        )
        assert done.status == 200
        assert (await clinic.get(find)).json["total"] == 0
        assert (await clinic.get(patient)).status == 404


async def test_a_permission_in_a_large_bundle_holds_for_the_very_next_request(
    node: Node, ehr: Web
) -> None:
    patient = await _patient(ehr)
    async with client_of(node, "clinic") as clinic:
        assert (await clinic.get(patient)).status == 404
        await _permit_in_a_large_bundle(ehr, patient)
        assert (await clinic.get(patient)).status == 200
        found = await clinic.get(f"Observation?subject={patient}&_total=accurate")
        assert found.json["total"] == 1


async def test_what_a_large_bundle_says_of_others_leaves_remembered_decisions_in_place(
    node: Node, ehr: Web
) -> None:
    first, second = await _patient(ehr), await _patient(ehr)
    await ehr.post("Consent", _consent(first, "active"))
    async with client_of(node, "clinic") as clinic:
        assert (await clinic.get(first)).status == 200
        await _permit_in_a_large_bundle(ehr, second)
        assert (await clinic.get(first)).status == 200
        assert (await clinic.get(second)).status == 200
