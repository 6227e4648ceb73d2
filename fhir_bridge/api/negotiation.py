"""Which format goes in and out: JSON, and a clean refusal of everything else.

R4 http.html#mime-type, #general (``_format``, ``_pretty``); RFC 9110 §12.5.1.
"""

from __future__ import annotations

from functools import lru_cache

from fhir_bridge.api.outcome import Refused

__all__ = ["check_accept", "check_form", "check_format", "check_media"]

_JSON = frozenset({"application/fhir+json", "application/json", "text/json"})
_RANGES = frozenset({"*/*", "application/*"})
_FORMATS = _JSON | {"json", "application/json+fhir"}
_VERSIONS = frozenset({"4.0", "4.0.1"})
_FORM = "application/x-www-form-urlencoded"
_HINT = "this server speaks application/fhir+json (FHIR 4.0) only"


def check_accept(accept: str | None) -> None:
    """406 unless the client takes FHIR JSON; no header takes anything."""
    if accept and not _accepts(accept[:1024]):
        raise Refused(406, "not-supported", _HINT, code="not-acceptable")


def check_format(value: str) -> None:
    """406 unless ``_format`` names JSON; the parameter wins over Accept."""
    if not _is_json(value.replace(" ", "+"), _FORMATS):
        raise Refused(406, "not-supported", _HINT, code="not-acceptable")


def check_media(content_type: str | None) -> None:
    """415 unless the body is declared as FHIR JSON in UTF-8."""
    if not content_type or not _is_json(content_type[:256], _JSON):
        raise Refused(415, "not-supported", _HINT, code="media-type", close=True)


def check_form(content_type: str | None) -> None:
    """415 unless the body is declared as a form."""
    if (content_type or "").partition(";")[0].strip().lower() != _FORM:
        raise Refused(415, "not-supported", f"send {_FORM}", code="media-type", close=True)


@lru_cache(maxsize=256)
def _accepts(accept: str) -> bool:
    ranges = [part for part in accept.split(",") if _quality(part) > 0]
    return any(_is_json(part, _JSON | _RANGES) for part in ranges)


def _quality(media_range: str) -> float:
    for parameter in media_range.split(";")[1:]:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


@lru_cache(maxsize=256)
def _is_json(value: str, names: frozenset[str]) -> bool:
    name, *parameters = value.split(";")
    if name.strip().lower() not in names:
        return False
    for parameter in parameters:
        key, _, text = parameter.strip().lower().partition("=")
        text = text.strip("\"' ")
        if key == "charset" and text not in ("utf-8", "utf8"):
            return False
        if key == "fhirversion" and text not in _VERSIONS:
            return False
    return True
