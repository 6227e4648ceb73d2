"""A registered client: who runs it, for what, how far, and which keys prove that it is it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_bridge.errors import Corrupt, Incorrect
from fhir_bridge.smart.jwks import check_jwks
from fhir_bridge.smart.purposes import PURPOSES
from fhir_bridge.smart.scopes import parse_scopes, scope_text
from fhir_bridge.terms import Scope, is_id

__all__ = ["Client"]

_CLIENT_ID = re.compile(r"[\x21-\x7e]{1,128}")
_MAX_TEXT = 256


@dataclass(frozen=True, slots=True)
class Client:
    """A registration; valid from construction (Incorrect names the field)."""

    client_id: str
    organization: str
    """``Organization/<id>``, ``system|value`` or a URI: what consents call this organisation."""
    purposes: tuple[str, ...]
    """v3 PurposeOfUse codes; a token carries exactly one of them."""
    scopes: tuple[Scope, ...]
    """The most that any of its tokens may carry."""
    jwks: Mapping[str, Any] = field(repr=False)
    """Public keys, ``{"keys": [...]}``."""
    name: str = ""
    roles: tuple[str, ...] = ()
    """Roles that its users may act in; without a named user, roles of the client itself."""
    patient: str | None = None
    """The one patient (logical id) that ``patient/`` scopes are about."""
    disabled: bool = False
    generation: int = 1
    """Grows with each rotation and (dis)abling; tokens of an older one are void."""

    def __post_init__(self) -> None:
        if not _CLIENT_ID.fullmatch(self.client_id):
            raise _wrong("client_id", "must be 1 to 128 visible ASCII characters")
        if not 1 <= len(self.organization) <= _MAX_TEXT or len(self.name) > _MAX_TEXT:
            raise _wrong("organization", f"is required; it and name have at most {_MAX_TEXT}")
        if not self.purposes or len(set(self.purposes)) != len(self.purposes):
            raise _wrong("purposes", "needs at least one code, each once")
        for purpose in self.purposes:
            if purpose not in PURPOSES:
                raise _wrong("purposes", f"{purpose[:40]} is not a v3 PurposeOfUse code")
        if any(not 1 <= len(role) <= _MAX_TEXT for role in self.roles):
            raise _wrong("roles", f"have 1 to {_MAX_TEXT} characters each")
        if self.patient is not None and not is_id(self.patient):
            raise _wrong("patient", "must be the logical id of a Patient, without Patient/")
        if not self.scopes:
            raise _wrong("scopes", "needs at least one scope")
        if self.patient is None and any(s.context == "patient" for s in self.scopes):
            raise _wrong("scopes", "with patient/ need a registered patient")
        object.__setattr__(self, "jwks", check_jwks(self.jwks))

    def key(self, kid: str) -> Mapping[str, Any] | None:
        """The public key with this id."""
        return next((k for k in self.jwks["keys"] if k["kid"] == kid), None)

    def to_json(self) -> bytes:
        """The stored form, version 1."""
        return json.dumps(
            {
                "version": 1,
                "client_id": self.client_id,
                "organization": self.organization,
                "purposes": self.purposes,
                "scopes": scope_text(self.scopes),
                "jwks": self.jwks,
                "name": self.name,
                "roles": self.roles,
                "patient": self.patient,
                "disabled": self.disabled,
                "generation": self.generation,
            },
            sort_keys=True,
            separators=(",", ":"),
        ).encode()

    @classmethod
    def from_json(cls, stored: bytes) -> Client:
        """The client that ``to_json`` wrote; Corrupt if these bytes are something else."""
        try:
            fields = json.loads(stored)
            if fields.pop("version") != 1:
                raise Corrupt("a client was stored by a newer release", code="newer-schema")
            return cls(
                **{
                    **fields,
                    "purposes": tuple(fields["purposes"]),
                    "roles": tuple(fields["roles"]),
                    "scopes": parse_scopes(fields["scopes"]),
                }
            )
        except (ValueError, KeyError, TypeError, AttributeError, Incorrect):
            raise Corrupt("a stored client cannot be read", code="client") from None


def _wrong(name: str, sentence: str) -> Incorrect:
    return Incorrect(f"{name} {sentence}", code="client", where=name)
