"""Failures as answers: one total table from the error tree to HTTP and OperationOutcome.

R4 operationoutcome.html, http.html#summary; RFC 6749 §5.2 for ``/auth``. The table is total
over the error tree, and a test keeps it so. A refusal that must look like absence is written
from constants here, whatever the error says, so that the two cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from fhir_bridge.api.contract import Reply, Style
from fhir_bridge.errors import BridgeError, Busy, Issue

__all__ = ["OAUTH", "TABLE", "Refused", "failure", "informational", "status_of"]

TABLE: Final[Mapping[str, tuple[int, str]]] = {
    "incorrect": (400, "invalid"),
    "unauthenticated": (401, "login"),
    "forbidden": (403, "forbidden"),
    "not_found": (404, "not-found"),
    "gone": (410, "deleted"),
    "conflict": (409, "conflict"),
    "precondition": (412, "conflict"),
    "too_large": (413, "too-long"),
    "unsupported": (400, "not-supported"),
    "busy": (503, "throttled"),
    "unavailable": (503, "transient"),
    "corrupt": (500, "exception"),
    "fault": (500, "exception"),
}
"""Category → (HTTP status, R4 issue-type)."""

OAUTH: Final[Mapping[str, tuple[int, str]]] = {
    "incorrect": (400, "invalid_request"),
    "unauthenticated": (401, "invalid_client"),
    "forbidden": (400, "unauthorized_client"),
    "not_found": (400, "invalid_request"),
    "gone": (400, "invalid_request"),
    "conflict": (400, "invalid_request"),
    "precondition": (400, "invalid_request"),
    "too_large": (413, "invalid_request"),
    "unsupported": (400, "invalid_request"),
    "busy": (503, "temporarily_unavailable"),
    "unavailable": (503, "temporarily_unavailable"),
    "corrupt": (500, "server_error"),
    "fault": (500, "server_error"),
}
"""Category → (HTTP status, OAuth error code)."""

CODE_SYSTEM = "urn:x-fhir-bridge:error"
_ABSENT = "There is no such resource, or it is not visible to you."
_PATH = re.compile(r"[A-Z][A-Za-z0-9_.()\[\]'$]*\Z")
_BEARER = 'Bearer realm="fhir_bridge"'


class Refused(BridgeError):
    """The door's own refusals: HTTP conditions that no room knows of."""

    category = "incorrect"

    def __init__(
        self,
        status: int,
        issue: str,
        message: str,
        *,
        code: str,
        headers: Mapping[str, str] | None = None,
        close: bool = False,
    ) -> None:
        super().__init__(message, code=code)
        self.status = status
        self.issue = issue
        self.headers = dict(headers or {})
        self.close = close


def status_of(error: BridgeError) -> tuple[int, str]:
    """HTTP status and R4 issue-type of an error."""
    if isinstance(error, Refused):
        return error.status, error.issue
    if error.category == "busy" and error.code.startswith("rate"):
        return 429, "throttled"
    return TABLE[error.category]


def failure(error: BridgeError, style: Style, request_id: str) -> Reply:
    """The whole answer for an error in the dialect of the route."""
    reply = _oauth(error) if style is Style.OAUTH else _outcome(error, request_id)
    if isinstance(error, Refused):
        reply.headers.update(error.headers)
        reply.close = error.close
    if isinstance(error, Busy):
        reply.headers["Retry-After"] = str(max(1, error.retry_after_s))
    elif reply.status == 503:
        reply.headers.setdefault("Retry-After", "2")
    if reply.status == 401:
        reply.headers.setdefault("WWW-Authenticate", _challenge(error))
    elif reply.status == 403:
        reply.headers["WWW-Authenticate"] = f'{_BEARER}, error="insufficient_scope"'
    return reply


def informational(message: str) -> bytes:
    """An OperationOutcome that reports success (R4 http.html#return)."""
    return _write([Issue("informational", message, severity="information")], "")


def _challenge(error: BridgeError) -> str:
    # RFC 6750 §3.1: no error code when the request carried no credentials at all.
    return _BEARER if error.code == "no-token" else f'{_BEARER}, error="invalid_token"'


def _outcome(error: BridgeError, request_id: str) -> Reply:
    status, issue = status_of(error)
    if error.category in ("corrupt", "fault"):
        text = f"The server failed; nothing was released. Quote request {request_id}."
        return Reply(status, _write([Issue(issue, text, severity="fatal")], ""))
    if error.category == "not_found":
        return Reply(status, _write([Issue(issue, _ABSENT)], "not_found"))
    found = error.issues or (Issue(issue, error.message, error.where),)
    return Reply(status, _write(found, error.code))


def _write(issues: tuple[Issue, ...] | list[Issue], code: str) -> bytes:
    rows: list[dict[str, Any]] = []
    for found in issues:
        row: dict[str, Any] = {"severity": found.severity, "code": found.code}
        if code:
            row["details"] = {"coding": [{"system": CODE_SYSTEM, "code": code}]}
        row["diagnostics"] = found.message
        if found.where and _PATH.match(found.where):
            row["expression"] = [found.where]
        elif found.where:
            row["diagnostics"] = f"{found.message} ({found.where})"
        rows.append(row)
    return orjson.dumps({"resourceType": "OperationOutcome", "issue": rows})


def _oauth(error: BridgeError) -> Reply:
    """RFC 6749 §5.2. An error of the token endpoint names its own code and status."""
    status, name = OAUTH[error.category]
    description = error.message
    if status == 500:
        description = "the server failed"
    if isinstance(error, Refused):
        status = error.status
    named = getattr(error, "error", None)
    if isinstance(named, str):
        name = named
        status = getattr(error, "status", status)
        description = getattr(error, "description", description)
    body = orjson.dumps({"error": name, "error_description": description})
    return Reply(status, body, "application/json", {"Pragma": "no-cache"})
