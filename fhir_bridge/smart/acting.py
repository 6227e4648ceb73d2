"""The ``hl7-b2b`` authorization extension: which person, in which role, for what purpose.

HL7 UDAP Security (FAST) 2.0 §5.2.1.1. It rides in the signed assertion and can only narrow what
the registration allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_bridge.smart.client import Client
from fhir_bridge.smart.oauth import OAuthError
from fhir_bridge.smart.purposes import choose_purpose

__all__ = ["Acting", "acting"]

_NAME = "hl7-b2b"
_MAX_TEXT = 256
_MAX_PURPOSES = 20
_URI_SYSTEM = "urn:ietf:rfc:3986|"


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts through the client, and why."""

    purpose: str
    roles: tuple[str, ...]
    user: str | None = None


def acting(client: Client, extensions: Mapping[str, Any], fhir_base: str) -> Acting:
    """What the extension says, checked against the registration.

    Without it the client acts for itself: its only purpose, its registered roles, no user.
    """
    if _NAME not in extensions:
        return Acting(choose_purpose((), client.purposes), client.roles)
    unverified = extensions[_NAME]
    if not isinstance(unverified, Mapping) or unverified.get("version") != "1":
        raise OAuthError("invalid_request", f"{_NAME} must be an object with version: 1, as text")
    _check_organization(client, _text(unverified, "organization_id"), fhir_base)
    user = _text(unverified, "subject_id")
    if user is None and _text(unverified, "subject_name") is not None:
        raise OAuthError("invalid_request", f"{_NAME}.subject_name needs a subject_id")
    role = _text(unverified, "subject_role")
    if role is not None and role not in client.roles:
        raise OAuthError(
            "invalid_grant", f"{_NAME}.subject_role is not a role registered for this client"
        )
    if role is not None and user is None:
        raise OAuthError("invalid_request", f"{_NAME}.subject_role needs a subject_id")
    # A named person has the role that was named for this request, not all that are registered.
    roles = client.roles if user is None else (role,) if role else ()
    return Acting(choose_purpose(_purposes(unverified), client.purposes), roles, user)


def _check_organization(client: Client, named: str | None, fhir_base: str) -> None:
    if named is None:
        raise OAuthError("invalid_request", f"{_NAME}.organization_id is required")
    registered = client.organization
    same = {registered, f"{fhir_base}/{registered}", registered.removeprefix(_URI_SYSTEM)}
    if named not in same:
        raise OAuthError(
            "invalid_grant",
            f"{_NAME}.organization_id is not the organisation registered for this client",
        )


def _purposes(unverified: Mapping[str, Any]) -> tuple[str, ...]:
    named = unverified.get("purpose_of_use", [])
    if isinstance(named, str):
        named = [named]
    if (
        not isinstance(named, list)
        or len(named) > _MAX_PURPOSES
        or not all(isinstance(each, str) for each in named)
    ):
        raise OAuthError(
            "invalid_request", f"{_NAME}.purpose_of_use must be a list of PurposeOfUse codes"
        )
    return tuple(named)


def _text(unverified: Mapping[str, Any], name: str) -> str | None:
    if name not in unverified:
        return None
    value = unverified[name]
    if not isinstance(value, str) or not 1 <= len(value) <= _MAX_TEXT or not value.isprintable():
        raise OAuthError(
            "invalid_request", f"{_NAME}.{name} must be text of 1 to {_MAX_TEXT} characters"
        )
    return value
