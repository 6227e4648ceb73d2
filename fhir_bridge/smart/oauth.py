"""OAuth 2.0 on the wire: errors as the RFCs name them, and the form of a request.

RFC 6749 §5.2 (errors), §3.2 (parameters once, empty ones as absent), RFC 6750 §3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from fhir_bridge.errors import Incorrect

__all__ = ["ErrorName", "Form", "OAuthError", "form_of"]

ErrorName = Literal[
    "invalid_client",
    "invalid_grant",
    "invalid_request",
    "invalid_scope",
    "unsupported_grant_type",
]
Form = dict[str, str]

_MAX_DESCRIPTION = 400
# RFC 6749 §5.2: error_description is %x20-21 / %x23-5B / %x5D-7E
_NOT_DESCRIBABLE = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")


class OAuthError(Incorrect):
    """A refusal of the token endpoint and its neighbours.

    ``body()`` is the JSON to answer with, ``status`` the HTTP status: 401 for
    ``invalid_client``, else 400 (RFC 6749 §5.2).
    """

    def __init__(self, error: ErrorName, description: str, status: int | None = None) -> None:
        clean = _NOT_DESCRIBABLE.sub("'", description)[:_MAX_DESCRIPTION]
        super().__init__(clean, code=error)
        self.error: ErrorName = error
        self.description = clean
        self.status = status or (401 if error == "invalid_client" else 400)

    def body(self) -> dict[str, str]:
        """The JSON object of RFC 6749 §5.2."""
        return {"error": self.error, "error_description": self.description}


def form_of(pairs: Sequence[tuple[str, str]]) -> Form:
    """The parameters as a dict: a repeated one is refused, an empty one counts as absent."""
    form: Form = {}
    seen: set[str] = set()
    for name, value in pairs:
        if name in seen:
            shown = name if re.fullmatch(r"[a-z_]{1,40}", name) else "a parameter"
            raise OAuthError("invalid_request", f"{shown} is given more than once")
        seen.add(name)
        if value:
            form[name] = value
    return form
