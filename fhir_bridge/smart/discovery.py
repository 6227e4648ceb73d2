"""What clients read first: ``.well-known/smart-configuration``.

SMART App Launch 2.2, conformance: ``permission-v1``, ``permission-v2`` and
``client-confidential-asymmetric``. No authorization endpoint: there is nobody to log in here.
"""

from __future__ import annotations

from typing import Any

from fhir_bridge.smart.jwks import ALGORITHMS
from fhir_bridge.smart.tokens import Addresses

__all__ = ["smart_configuration"]


def smart_configuration(base_url: str) -> dict[str, Any]:
    """The document for a node at ``base_url``; the same whatever ``Accept`` says."""
    at = Addresses(base_url)
    methods = ["private_key_jwt"]
    return {
        "issuer": at.issuer,
        "jwks_uri": at.jwks,
        "token_endpoint": at.token,
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": ["system/*.cruds", "system/*.rs", "patient/*.rs"],
        "introspection_endpoint": at.introspect,
        "introspection_endpoint_auth_methods_supported": methods,
        "revocation_endpoint": at.revoke,
        "revocation_endpoint_auth_methods_supported": methods,
        "code_challenge_methods_supported": ["S256"],
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    }
