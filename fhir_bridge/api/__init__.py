"""The FHIR REST door: HTTP in, `Exchange` calls, HTTP out.

R4 4.0.1 http.html over JSON; SMART App Launch 2.2; RFC 9110/9112, 6749, 6750. ``routes`` is
the table; an interaction or an operation is one file. What the door owes: every failure is an
OperationOutcome (at ``/auth`` an OAuth error), every limit has an answer, a consent refusal
looks like absence, and no id, query or value is logged. It decides nothing about consent and
knows no room.
"""

from __future__ import annotations

from fhir_bridge.api.canonical_log import unexpected
from fhir_bridge.api.contract import (
    ApiLimits,
    ApiSettings,
    Call,
    Exchange,
    Reply,
    Route,
    SearchParam,
    Surface,
)
from fhir_bridge.api.door import Door
from fhir_bridge.api.outcome import TABLE, failure, status_of
from fhir_bridge.api.routes import routes
from fhir_bridge.api.serve import Serving, serve, serve_unix, tls_context

__all__ = [
    "TABLE",
    "ApiLimits",
    "ApiSettings",
    "Call",
    "Door",
    "Exchange",
    "Reply",
    "Route",
    "SearchParam",
    "Serving",
    "Surface",
    "failure",
    "routes",
    "serve",
    "serve_unix",
    "status_of",
    "tls_context",
    "unexpected",
]
