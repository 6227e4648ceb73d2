"""STORY: the use cases of the bridge, one file each, told top to bottom.

ingest, bundle (in) · disclose, find (out) · prove · account · erase · rebuild · watch.
Rooms are strangers to one another; here they meet.

Invariants: nothing is sealed before it was validated and asked for; a write and its audit
record are one append; a disclosure is durable before a byte leaves; every decision is keyed by
a group of equal facts and starts at deny; what is appended never crosses a Consent that arrived
in between. Counts, and pages without the patient, may be of a moment before.

It speaks no HTTP and builds nothing: doors call it, assembly makes its rooms.
"""

from __future__ import annotations

from fhir_bridge.exchange.bound import BoundExchange, BundlePlace, Identity
from fhir_bridge.exchange.bundle import carry_out
from fhir_bridge.exchange.contract import Answer, Receipt, Released, RequestInfo
from fhir_bridge.exchange.operated import Operated
from fhir_bridge.exchange.rooms import Limits, Rooms

__all__ = [
    "Answer",
    "BoundExchange",
    "BundlePlace",
    "Identity",
    "Limits",
    "Operated",
    "Receipt",
    "Released",
    "RequestInfo",
    "Rooms",
    "carry_out",
]
