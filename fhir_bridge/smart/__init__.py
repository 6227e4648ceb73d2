"""ROOM: who is asking? Client registry, token endpoint, token check, scopes.

SMART App Launch 2.2 (backend services, client-confidential-asymmetric), RFC 6749, 7521, 7523,
7662, 7009, 9068; the ``hl7-b2b`` extension of HL7 UDAP Security.

Invariants:

* A Requester comes out of a signed token and nothing else; organisation, purpose and roles
  come from the registration, which a signed assertion may narrow and never widen.
* An assertion works once, across workers and restarts. A token lives at most five minutes.
* Disabling or rotating a client, and revoking a token, takes effect on the next check in
  every process.
* smart.db holds nothing readable.

It does not log people in (no authorization code flow), fetch keys from addresses, or take
tokens of other issuers. It speaks no HTTP: doors hand in forms and header values.
"""

from __future__ import annotations

from fhir_bridge.smart.check import TokenCheck
from fhir_bridge.smart.client import Client
from fhir_bridge.smart.contract import Seal, Unseal
from fhir_bridge.smart.database import Database
from fhir_bridge.smart.discovery import smart_configuration
from fhir_bridge.smart.endpoint import Issued, TokenEndpoint
from fhir_bridge.smart.jwks import check_jwks, new_client_key, public_jwk
from fhir_bridge.smart.oauth import OAuthError
from fhir_bridge.smart.purposes import PURPOSES, purpose_code
from fhir_bridge.smart.registry import Registry
from fhir_bridge.smart.scopes import contains, intersect, parse_scope, parse_scopes, scope_text
from fhir_bridge.smart.signer import ASSERTION_TYPE, assertion, b2b
from fhir_bridge.smart.standing import Standing
from fhir_bridge.smart.tokens import Addresses, TokenKeys
from fhir_bridge.terms import Requester, Scope

__all__ = [
    "ASSERTION_TYPE",
    "PURPOSES",
    "Addresses",
    "Client",
    "Database",
    "Issued",
    "OAuthError",
    "Registry",
    "Requester",
    "Scope",
    "Seal",
    "Standing",
    "TokenCheck",
    "TokenEndpoint",
    "TokenKeys",
    "Unseal",
    "assertion",
    "b2b",
    "check_jwks",
    "contains",
    "intersect",
    "new_client_key",
    "parse_scope",
    "parse_scopes",
    "public_jwk",
    "purpose_code",
    "scope_text",
    "smart_configuration",
]
