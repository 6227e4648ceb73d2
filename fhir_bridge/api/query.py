"""Query strings and forms: decoded once, strictly, within limits.

WHATWG/HTML ``application/x-www-form-urlencoded`` as R4 http.html#search uses it.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from fhir_bridge.errors import Incorrect, TooLarge

__all__ = ["decode", "parse"]

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def decode(text: str) -> str:
    """One percent-decoding of a component; refuses broken escapes, bad UTF-8 and NUL."""
    if "%" not in text:
        return text
    if _BAD_ESCAPE.search(text):
        raise Incorrect("a percent escape in the address is broken", code="bad-escape")
    try:
        plain = unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError as error:
        raise Incorrect("the address is not UTF-8", code="bad-escape") from error
    if "\x00" in plain:
        raise Incorrect("the address holds a NUL", code="bad-escape")
    return plain


def parse(text: str, max_parameters: int) -> list[tuple[str, str]]:
    """Name and value pairs in order; a token among them is refused (RFC 6750 §2.3)."""
    if not text:
        return []
    parts = text.split("&", max_parameters)
    if len(parts) > max_parameters:
        raise TooLarge(
            f"more than {max_parameters} parameters (max_parameters)", code="too-many-parameters"
        )
    pairs = []
    for part in parts:
        if part:
            name, _, value = part.replace("+", " ").partition("=")
            pairs.append((decode(name), decode(value)))
    if any(name == "access_token" for name, _ in pairs):
        raise Incorrect(
            "send the token in the Authorization header, never in the address or a form",
            code="token-in-query",
        )
    return pairs
