"""What each R4 primitive may look like in JSON, as Draft-04 fragments (R4 datatypes.html).

The patterns are our own: calendars are spelled out (month lengths, leap years), classes are
ASCII (a no-break space is legal text) and nothing looks around, so that a linear-time engine
can run them. Draft-04 matters: there ``1.0`` is not an integer.
"""

from __future__ import annotations

from typing import Any

__all__ = ["PRIMITIVES", "WORDS"]

_YEAR = "([0-9]([0-9]([0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
_LEAP = "([0-9][0-9](0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00)"
_MONTH = "(0[1-9]|1[0-2])"
_DAY = (
    f"({_YEAR}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])"
    "|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    f"|{_LEAP}-02-29)"
)
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)([.][0-9]+)?"
_ZONE = "(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_CONTROL = r"\x00-\x08\x0b\x0c\x0e-\x1f"
_BASE64 = "[A-Za-z0-9+/]"
_SPACE = "[ \\t\\r\\n]*"
_GROUP = f"{_BASE64}{_SPACE}{_BASE64}{_SPACE}"
_NO_SPACE = f"^[^ \\t\\r\\n{_CONTROL}]+$"
_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_MEGABYTE = 1024 * 1024


def _text(pattern: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern, **more}


_URN = f"^urn:(uuid:{_UUID}|oid:[0-2]([.](0|[1-9][0-9]*))+)([|#?/].*)?$"
_URI = _text(_NO_SPACE, anyOf=[{"not": {"pattern": "^urn:(uuid|oid):"}}, {"pattern": _URN}])
_STRING = _text(f"^[^{_CONTROL}]+$", maxLength=_MEGABYTE)

PRIMITIVES: dict[str, dict[str, Any]] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1},
    "unsignedInt": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1},
    "positiveInt": {"type": "integer", "minimum": 1, "maximum": 2**31 - 1},
    "decimal": {"type": "number"},
    "string": _STRING,
    "markdown": _STRING,
    "xhtml": {"type": "string"},
    "code": _text(f"^[^ \\t\\r\\n{_CONTROL}]+( [^ \\t\\r\\n{_CONTROL}]+)*$"),
    "id": _text(r"^[A-Za-z0-9.-]{1,64}$"),
    "element-id": _text(_NO_SPACE),
    "uri": _URI,
    "url": _URI,
    "canonical": _URI,
    "oid": _text(r"^urn:oid:[0-2]([.](0|[1-9][0-9]*))+$"),
    "uuid": _text(f"^urn:uuid:{_UUID}$"),
    "date": _text(f"^({_YEAR}(-{_MONTH})?|{_DAY})$"),
    "dateTime": _text(f"^({_YEAR}(-{_MONTH})?|{_DAY}(T{_TIME}{_ZONE})?)$"),
    "instant": _text(f"^{_DAY}T{_TIME}{_ZONE}$"),
    "time": _text(f"^{_TIME}$"),
    "base64Binary": _text(
        f"^{_SPACE}({_GROUP}{_GROUP})*"
        f"({_GROUP}{_GROUP}|{_GROUP}{_BASE64}{_SPACE}={_SPACE}|{_GROUP}={_SPACE}={_SPACE})$"
    ),
}

WORDS: dict[str, str] = {
    "boolean": "true or false",
    "integer": "a whole number between -2147483648 and 2147483647",
    "unsignedInt": "a whole number between 0 and 2147483647",
    "positiveInt": "a whole number between 1 and 2147483647",
    "decimal": "a number",
    "string": "a non-empty text of at most 1 MB without control characters",
    "markdown": "a non-empty text of at most 1 MB without control characters",
    "xhtml": "XHTML as a text",
    "code": "a code without leading, trailing or doubled spaces",
    "id": "1 to 64 letters, digits, '-' or '.'",
    "element-id": "a text without spaces",
    "uri": "a URI without spaces (a urn:uuid in lower case, a urn:oid as dotted numbers)",
    "url": "a URL without spaces (a urn:uuid in lower case, a urn:oid as dotted numbers)",
    "canonical": "a canonical URL without spaces",
    "oid": "urn:oid: and a dotted number",
    "uuid": "urn:uuid: and a UUID in lower case",
    "date": "an existing date: YYYY, YYYY-MM or YYYY-MM-DD",
    "dateTime": "YYYY, YYYY-MM, YYYY-MM-DD or an existing date and time with a zone",
    "instant": "an existing date and time to the second with a zone",
    "time": "hh:mm:ss without a zone",
    "base64Binary": "base64 with correct padding",
}
