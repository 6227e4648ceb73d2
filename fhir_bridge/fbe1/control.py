"""Control bodies: what the log says about itself, in the clear (docs/fbe1.md §7).

``"fbe1c" ‖ 01 ‖ JSON``, the JSON with sorted keys, without spaces, in ASCII: one encoding per
value. No control body names a patient.
"""

from __future__ import annotations

import json
from typing import Any

from fhir_bridge.errors import Corrupt

__all__ = ["KINDS", "control_body", "parse_control"]

_PREFIX = b"fbe1c\x01"
MAX_CONTROL_BYTES = 1 << 20
_MAX_INT = 1 << 53

KINDS: dict[str, frozenset[str]] = {
    "genesis": frozenset(),
    "anchor": frozenset(),
    "key.add": frozenset({"key", "key_id", "member", "use"}),
    "key.retire": frozenset({"key_id"}),
    "void": frozenset({"key_id", "seq", "entry_id"}),
    "audit": frozenset({"root", "count"}),
    "shred": frozenset({"count"}),
}
"""Every kind with the members it cannot be without."""


def control_body(kind: str, **members: Any) -> bytes:
    """The body of a control entry; Corrupt where a member is missing or not plain JSON."""
    value: dict[str, Any] = {**members, "kind": kind}
    _check(value)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return _PREFIX + text.encode("ascii")


def parse_control(body: bytes) -> dict[str, Any]:
    """The object in ``body`` with its ``kind``; Corrupt unless ``body`` is its one encoding."""
    if not body.startswith(_PREFIX) or len(body) > MAX_CONTROL_BYTES:
        raise Corrupt("control body: not a version 1 control body", code="control-version")
    try:
        value = json.loads(body[len(_PREFIX) :])
        members = dict(value)
        again = control_body(members.pop("kind"), **members)
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Corrupt("control body: not readable", code="control-value") from None
    if again != body:
        raise Corrupt("control body: not in its one encoding", code="control-encoding")
    return {**members, "kind": value["kind"]}


def _check(value: dict[str, Any]) -> None:
    required = KINDS.get(value["kind"]) if isinstance(value["kind"], str) else None
    if required is None:
        raise Corrupt("control body: unknown kind", code="control-kind")
    if missing := required - value.keys():
        raise Corrupt(f"control body: {min(missing)} is missing", code="control-value")
    _plain(value, 0)


def _plain(value: object, depth: int) -> None:
    """Text, whole numbers, lists and objects only: floats and null have rival encodings."""
    if depth > 8:
        raise Corrupt("control body: nested too deep", code="control-value")
    if isinstance(value, dict):
        for name, member in value.items():
            if not isinstance(name, str):
                raise Corrupt("control body: a name is not text", code="control-value")
            _plain(member, depth + 1)
    elif isinstance(value, list | tuple):
        for member in value:
            _plain(member, depth + 1)
    elif isinstance(value, bool) or not isinstance(value, str | int):
        raise Corrupt("control body: only text and whole numbers", code="control-value")
    elif isinstance(value, int) and not 0 <= value < _MAX_INT:
        raise Corrupt("control body: a number is out of range", code="control-value")
