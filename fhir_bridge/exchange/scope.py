"""What a token has to carry for an interaction (SMART App Launch 2.2, scopes)."""

from __future__ import annotations

from fhir_bridge.errors import Forbidden
from fhir_bridge.terms import Requester

__all__ = ["require_scope"]


def require_scope(requester: Requester, type_: str, letter: str) -> None:
    """Forbidden unless a scope of the token carries the interaction."""
    if not requester.permits(type_, letter):
        raise Forbidden(f"the token carries no scope for {type_}.{letter}", code="scope")
