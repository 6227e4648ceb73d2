"""A whole node in one process with a clock of its own, and the people who ask it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from fhir_bridge.audit import Record
from fhir_bridge.clock import Clock
from fhir_bridge.config import Settings
from fhir_bridge.errors import BridgeError
from fhir_bridge.exchange import (
    Answer,
    Receipt,
    Released,
    RequestInfo,
    Rooms,
    account,
    carry_out,
    disclose,
    find,
    ingest,
)
from fhir_bridge.exchange.account import chain_of
from fhir_bridge.terms import Requester, Scope

__all__ = [
    "BASE",
    "CLINIC",
    "HOSPITAL",
    "SteppingClock",
    "World",
    "consent",
    "observation",
    "speaks_for",
    "tree_of",
]

BASE = "http://127.0.0.1:8099/fhir"
_ALL = (Scope("system", "*", frozenset("cruds")),)
HOSPITAL = Requester("hospital-ehr", "Organization/hospital", "TREAT", scopes=_ALL)
CLINIC = Requester("clinic-ehr", "Organization/clinic", "TREAT", scopes=_ALL)
Tree = dict[str, Any]
_VARYING = re.compile(
    rb'"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"|_page=[A-Za-z0-9_\-]+'
)


class SteppingClock(Clock):
    """Every look at it is a second later than the one before."""

    def __init__(self) -> None:
        self._now_us = 1_790_000_000_000_000

    def now_us(self) -> int:
        self._now_us += 1_000_000
        return self._now_us


def speaks_for(patient: str, purpose: str = "PATRQT") -> Requester:
    """A client registered for one patient, with the hospital's portal."""
    scopes = (Scope("patient", "*", frozenset("cruds")),)
    return Requester("portal", "Organization/portal", purpose, patient=patient, scopes=scopes)


def observation(patient: str, value: str = "1.00", **more: Any) -> bytes:
    """A laboratory result; ``value`` as it stands in the JSON."""
    tree: Tree = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "2339-0"}]},
        "subject": {"reference": patient if ":" in patient else f"Patient/{patient}"},
        "valueQuantity": {"value": 0, "unit": "mg/dL"},
        **more,
    }
    return json.dumps(tree).replace('"value": 0', f'"value": {value}').encode()


def consent(patient: str, effect: str = "permit", status: str = "active", **provision: Any) -> Tree:
    """A Consent for treatment by the clinic, or against it."""
    system = "http://terminology.hl7.org/CodeSystem"
    return {
        "resourceType": "Consent",
        "status": status,
        "scope": {"coding": [{"system": f"{system}/consentscope", "code": "patient-privacy"}]},
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{patient}"},
        "policy": [{"uri": "http://example.org/policy"}],
        "provision": {
            "type": effect,
            "actor": [
                {
                    "role": {
                        "coding": [{"system": f"{system}/v3-ParticipationType", "code": "IRCP"}]
                    },
                    "reference": {"reference": CLINIC.organization},
                }
            ],
            "purpose": [{"system": f"{system}/v3-ActReason", "code": "TREAT"}],
            **provision,
        },
    }


def tree_of(raw: bytes) -> Tree:
    """The JSON of an answer."""
    found: Tree = json.loads(raw)
    return found


@dataclass
class World:
    """The use cases with shorter words; each call is one request."""

    rooms: Rooms
    settings: Settings

    def request(self, query: str = "") -> RequestInfo:
        return RequestInfo(self.rooms.clock.new_id(), "/test", "192.0.2.1", query)

    async def create(
        self, who: Requester, resource: Tree | bytes, if_none_exist: str | None = None
    ) -> Receipt:
        raw = resource if isinstance(resource, bytes) else json.dumps(resource).encode()
        type_ = tree_of(raw)["resourceType"]
        return await ingest.create(self.rooms, who, self.request(), type_, raw, if_none_exist)

    async def patient(self, who: Requester = HOSPITAL, **more: Any) -> str:
        """A new Patient of ``who``; its id."""
        return (await self.create(who, {"resourceType": "Patient", **more})).id

    async def update(
        self, who: Requester, id_: str, resource: Tree | bytes, if_match: str | None = None
    ) -> Receipt:
        tree = resource if isinstance(resource, dict) else tree_of(resource)
        raw = json.dumps({**tree, "id": id_}).encode()
        return await ingest.update(
            self.rooms, who, self.request(), tree["resourceType"], id_, raw, if_match
        )

    async def delete(
        self, who: Requester, type_: str, id_: str, if_match: str | None = None
    ) -> Receipt:
        return await ingest.delete(self.rooms, who, self.request(), type_, id_, if_match)

    async def read(self, who: Requester, type_: str, id_: str) -> Released:
        return await disclose.read(self.rooms, who, self.request(), type_, id_)

    async def vread(self, who: Requester, type_: str, id_: str, version: str) -> Released:
        return await disclose.vread(self.rooms, who, self.request(), type_, id_, version)

    async def history(self, who: Requester, type_: str, id_: str, count: int = 100) -> Tree:
        answer = await disclose.history(self.rooms, who, self.request(), type_, id_, count, BASE)
        return tree_of(answer.raw)

    async def search(self, who: Requester, type_: str, **pairs: str) -> Answer:
        listed = [(name.replace("__", ":"), value) for name, value in pairs.items()]
        return await find.search(self.rooms, who, self.request(), type_, listed, BASE)

    async def found(self, who: Requester, type_: str, **pairs: str) -> list[str]:
        """Ids of what a search gives, includes too."""
        entries = tree_of((await self.search(who, type_, **pairs)).raw).get("entry", ())
        return [entry["resource"]["id"] for entry in entries]

    async def page(self, who: Requester, bundle_: Tree) -> Tree:
        """The page behind the ``next`` link."""
        cursor = next_of(bundle_)
        assert cursor is not None
        answer = await find.next_page(self.rooms, who, self.request(), cursor, BASE)
        return tree_of(answer.raw)

    async def everything(self, who: Requester, patient: str, count: int = 500) -> Tree:
        answer = await find.everything(
            self.rooms, who, self.request(), patient, [("_count", str(count))], BASE
        )
        return tree_of(answer.raw)

    async def transaction(self, who: Requester, *entries: Tree) -> list[Tree]:
        """The ``response`` of every entry."""
        raw = json.dumps(
            {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}
        ).encode()
        answer = await carry_out(self.rooms, "transaction", who, self.request(), raw, BASE)
        return [entry["response"] for entry in tree_of(answer.raw)["entry"]]

    async def accounting(self, who: Requester, patient: str) -> Tree:
        answer = await account.disclosures(self.rooms, who, self.request(), patient, BASE)
        return tree_of(answer.raw)

    async def account(self, patient: str) -> list[Record]:
        """Everything on a patient's chains (``""``: the directory's) that is in effect."""
        await self.rooms.follower.reached(self.rooms.reader.head().size)
        return [record for _, status, record in chain_of(self.rooms, patient) if status == 0]

    def marks(self) -> tuple[int, int]:
        """Entries that hold data, and audit rows, on the ledger."""
        rows = self.rooms.reader.rows(0, self.rooms.reader.head().size)
        return sum(1 for row in rows if row.box), self.rooms.reader.audit_count()


def next_of(bundle_: Tree) -> str | None:
    """The cursor in the ``next`` link."""
    for link in bundle_.get("link", ()):
        if link["relation"] == "next":
            return str(link["url"]).partition("_page=")[2]
    return None


def without_ids(raw: bytes) -> bytes:
    """An answer with whatever is random in it taken out."""
    return _VARYING.sub(b'"-"', raw)


def told(error: BridgeError, rooms: Rooms) -> tuple[str, bytes]:
    """Status line and body that the door would give."""
    return rooms.tell(error)


def under(purpose: str, who: Requester) -> Requester:
    """The same client asking for another purpose."""
    return replace(who, purpose=purpose)
