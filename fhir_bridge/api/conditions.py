"""Conditional and preference headers (R4 http.html#concurrency, #cread, #ops; RFC 9110 §13)."""

from __future__ import annotations

import re
from calendar import timegm
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache

from fhir_bridge.api.contract import Prefer
from fhir_bridge.api.fields import Fields
from fhir_bridge.errors import Incorrect

__all__ = ["etag", "http_date", "if_match", "parse_prefer", "unchanged"]

_TAG = re.compile(r'\s*(?:W/)?"([A-Za-z0-9\-.]{1,64})"\s*\Z')
_NONE = Prefer()


def etag(version_id: str) -> str:
    """The weak entity tag of a version."""
    return f'W/"{version_id}"'


@lru_cache(maxsize=1024)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


def http_date(us: int) -> str:
    """Microseconds since 1970 as an HTTP date, cut to the second."""
    return _date(us // 1_000_000)


def if_match(value: str | None) -> str | None:
    """The one version id that the client expects, or None without the header."""
    if value is None:
        return None
    found = _TAG.match(value)
    if found is None:
        raise Incorrect('If-Match must be one entity tag like W/"1"', code="bad-if-match")
    return found[1]


def unchanged(headers: Fields, version_id: str, updated_us: int) -> bool:
    """Whether the client already holds this version (answer 304).

    Asked only after the release was decided and recorded: a tag must not tell of what the
    client may not see.
    """
    tags = headers.get("If-None-Match")
    if tags is not None:
        return tags.strip() == "*" or any(
            found[1] == version_id for tag in tags.split(",") if (found := _TAG.match(tag))
        )
    since = headers.get("If-Modified-Since")
    if since is None:
        return False
    try:
        return timegm(parsedate_to_datetime(since).utctimetuple()) >= updated_us // 1_000_000
    except (ValueError, TypeError, IndexError, OverflowError):
        return False


def parse_prefer(value: str | None) -> Prefer:
    """``return`` and ``handling``; other preferences are ignored (RFC 7240 §2)."""
    return _prefer(value[:256]) if value else _NONE


@lru_cache(maxsize=128)
def _prefer(value: str) -> Prefer:
    returns, lenient = "", False
    for part in re.split(r"[,;]", value):
        name, _, text = part.strip().partition("=")
        name, text = name.strip().lower(), text.strip().strip('"').lower()
        if name == "return" and not returns:
            returns = text if text in ("minimal", "representation", "operationoutcome") else ""
        elif name == "handling":
            lenient = text == "lenient"
    return Prefer(returns, lenient)
