"""The demo's story, told top to bottom. Every line that it prints was done, over HTTP."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from fhir_bridge.cli.demo_node import DemoClient, DemoNode, Reply
from fhir_bridge.errors import BridgeError, Corrupt, Fault
from fhir_bridge.keys import ed25519_holds, mldsa44_holds, open_stored
from fhir_bridge.ledger import Verdict, Verifiers, parse_policy, verify, verify_log

__all__ = ["ask", "tell"]

_SYSTEM = "http://example.org/fhir-bridge-demo/organizations"
_STEPS = 8


def tell(folder: Path, *, serve: bool = False) -> int:
    """Tell the whole story on a fresh node in ``folder``; exit code 0 when all of it held."""
    node = DemoNode(folder)
    print("DEMO: invented records, keys beside the data. Never put a real patient here.\n")
    node.make()
    node.register("hospital", f"{_SYSTEM}|hospital", "TREAT")
    node.register("clinic", f"{_SYSTEM}|clinic", "TREAT")
    with node.running() as base:
        ids = _records_in(DemoClient(node, base, "hospital"))
        node.register("patient", f"{_SYSTEM}|hospital", "PATRQT", ids["Patient"])
        clinic = DemoClient(node, base, "clinic")
        patient = DemoClient(node, base, "patient")
        _refused(clinic, ids, 2, "no consent yet, so nothing is shown and nothing is hinted at")
        consent = _consent(patient, ids)
        _released(clinic, ids)
        _revoked(patient, clinic, ids, consent)
        _accounting(patient, ids)
        _proof(node, DemoClient(node, base, "hospital"), ids)
    _flipped(node)
    _next(node, ids)
    if serve:
        with node.running() as base:
            print(f"\nserving {base}/fhir until Ctrl-C (DEMO)", flush=True)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


def ask(folder: Path, client: str, path: str) -> int:
    """One GET as one of the demo's clients; exit code 0 for 200."""
    node = DemoNode(folder)
    if not node.config.exists():
        print("fhir-bridge: there is no demo yet; run: fhir-bridge demo", file=sys.stderr)
        return 1
    with node.running() as base:
        reply = DemoClient(node, base, client).get(path)
    print(f"HTTP {reply.status}   Ledger-Status: {reply.ledger or '-'}")
    print(json.dumps(reply.json, indent=2))
    return 0 if reply.status == 200 else 1


def _step(number: int, title: str) -> None:
    print(f"{number}/{_STEPS}  {title}", flush=True)


def _line(text: str) -> None:
    print(f"     {text}", flush=True)


def _expect(reply: Reply, status: int) -> Reply:
    if reply.status != status:
        raise Fault(f"the demo expected {status} and got {reply.status}", code="demo")
    return reply


def _shipped(name: str) -> dict[str, Any]:
    data = files("fhir_bridge").joinpath("demo_records", name).read_bytes()
    found: dict[str, Any] = json.loads(data)
    return found


def _records_in(hospital: DemoClient) -> dict[str, str]:
    """A transaction from the hospital's EHR; the new id of every record by its urn and type."""
    _step(1, "the hospital's EHR sends a transaction")
    bundle = _shipped("records.json")
    bundle["entry"] = [e for e in bundle["entry"] if e["resource"]["resourceType"] != "Consent"]
    reply = _expect(hospital.post("", bundle), 200)
    ids: dict[str, str] = {}
    for sent, made in zip(bundle["entry"], reply.json["entry"], strict=True):
        type_, id_ = made["response"]["location"].split("/")[:2]
        ids[sent["fullUrl"]] = f"{type_}/{id_}"
        ids.setdefault(type_, id_)
        if sent["resource"].get("valueQuantity", {}).get("code") == "mg/dL":
            ids["lab"] = id_
    ids.setdefault("lab", ids["Observation"])
    _line(f"{len(bundle['entry'])} records are sealed on the ledger   {reply.ledger}")
    return ids


def _refused(clinic: DemoClient, ids: dict[str, str], number: int, why: str) -> None:
    _step(number, "the clinic asks")
    found = _expect(clinic.get(f"Observation?patient={ids['Patient']}"), 200).json
    one = _expect(clinic.get(f"Observation/{ids['lab']}"), 404)
    _line(f"search: {len(found.get('entry', ()))} results; read: {one.status} Not Found")
    _line(why)


def _consent(patient: DemoClient, ids: dict[str, str]) -> str:
    _step(3, "the patient consents: treatment by the clinic, except substance use records")
    entry = next(
        e for e in _shipped("records.json")["entry"] if e["resource"]["resourceType"] == "Consent"
    )
    reply = _expect(patient.post("Consent", _resolved(entry["resource"], ids)), 201)
    _line(f"the Consent is in force   {reply.ledger}")
    return str(reply.json["id"])


def _resolved(resource: dict[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    text = json.dumps(resource)
    for urn, local in ids.items():
        if urn.startswith("urn:"):
            text = text.replace(urn, local)
    found: dict[str, Any] = json.loads(text)
    return found


def _released(clinic: DemoClient, ids: dict[str, str]) -> None:
    _step(4, "the clinic asks again")
    reply = _expect(clinic.get(f"Patient/{ids['Patient']}/$everything"), 200)
    types = [e["resource"]["resourceType"] for e in reply.json["entry"]]
    conditions = _expect(clinic.get(f"Condition?patient={ids['Patient']}"), 200).json
    _line(f"a Bundle with {len(types)} records of {len(set(types))} types   {reply.ledger}")
    _line(f"conditions: {len(conditions.get('entry', ()))} of 2; the other one is not even counted")


def _revoked(patient: DemoClient, clinic: DemoClient, ids: dict[str, str], consent: str) -> None:
    _step(5, "the patient withdraws the consent")
    withdrawn = _resolved(_shipped("consent-withdrawn.json"), ids)
    withdrawn["id"] = consent
    _expect(patient.put(f"Consent/{consent}", withdrawn), 200)
    found = _expect(clinic.get(f"Observation?patient={ids['Patient']}"), 200).json
    _line(f"the clinic's very next request: {len(found.get('entry', ()))} results")


def _accounting(patient: DemoClient, ids: dict[str, str]) -> None:
    _step(6, "the patient asks who saw what")
    reply = _expect(patient.get(f"Patient/{ids['Patient']}/$disclosures"), 200)
    events = [e["resource"] for e in reply.json["entry"]]
    for event in reversed(events):
        who = next(
            (a["who"].get("display") or a["who"].get("identifier", {}).get("value", "")
             for a in event["agent"] if a.get("who")), "")  # fmt: skip
        said = {"0": "released or written", "4": "refused"}.get(event.get("outcome", ""), "")
        _line(f"{event['recorded'][:19]}  {event['subtype'][0]['code']:<14} {who:<10} {said}")
    _line(f"{len(events)} events in a chain that nobody can shorten unseen")


def _proof(node: DemoNode, hospital: DemoClient, ids: dict[str, str]) -> None:
    _step(7, "an auditor checks a proof, offline")
    resource = _expect(hospital.get(f"Observation/{ids['lab']}"), 200).body
    proof = _expect(hospital.get(f"Observation/{ids['lab']}/$ledger-proof"), 200).body
    (node.folder / "observation.json").write_bytes(resource)
    (node.folder / "observation.tlog-proof").write_bytes(proof)
    policy = (node.folder / "policy.txt").read_bytes()
    verdict = _verified(resource, proof, policy)
    _line(f"entry {verdict.index} of {verdict.size}, signed by {verdict.member}; {verdict.trust}")
    try:
        _verified(resource.replace(b"1.00", b"1.01"), proof, policy)
    except Corrupt as error:
        _line(f"with one digit changed: {error.message}")
    else:
        raise Fault("a changed resource passed its proof", code="demo")


def _verified(resource: bytes, proof: bytes, policy: bytes) -> Verdict:
    return verify(
        resource,
        proof,
        parse_policy(policy),
        Verifiers(ed25519_holds, mldsa44_holds),
        open_stored,
    )


def _flipped(node: DemoNode) -> None:
    _step(8, "somebody flips one byte in a copy of the ledger file")
    source = node.folder / "data" / "ledger.db"
    log = verify_log(source)
    _line(f"the ledger itself verifies: {log.head.size} entries, {log.audits} audit rows")
    copy = node.folder / "flipped.db"
    shutil.copyfile(source, copy)
    with sqlite3.connect(source) as db:
        (body,) = db.execute("SELECT body FROM body ORDER BY length(body) LIMIT 1").fetchone()
    data = bytearray(copy.read_bytes())
    data[data.index(body) + len(body) // 2] ^= 1
    copy.write_bytes(data)
    try:
        verify_log(copy)
    except BridgeError as error:
        _line(f"the copy does not: {error.message} [{error.where}]")
    else:
        raise Fault("a flipped byte was not found", code="demo")


def _next(node: DemoNode, ids: dict[str, str]) -> None:
    program = f"{sys.executable} -m fhir_bridge"
    folder = node.folder
    print("\nTry these in a second terminal; one is answered, one refused, one proven:\n")
    print(f"  {program} demo --as hospital 'Observation?patient={ids['Patient']}'")
    print(f"  {program} demo --as clinic 'Observation/{ids['lab']}'")
    print(
        f"  {program} proof verify {folder}/observation.json {folder}/observation.tlog-proof"
        f" {folder}/policy.txt"
    )
