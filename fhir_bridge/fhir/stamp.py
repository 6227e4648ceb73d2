"""Set a resource's id and version without touching anything else the sender wrote.

Numbers stay as text (``1.00`` stays ``1.00``), properties keep their order. Three ways, all with
the same result: a splice where ``resourceType`` leads and there is neither id nor meta; a split
of the top level; and, only where references change, an exact re-writing of the tree.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from fhir_bridge.fhir.parse import without_bom
from fhir_bridge.fhir.rewrite import rewrite

__all__ = ["stamp"]

_Members = dict[str, msgspec.Raw]
_split = msgspec.json.Decoder(_Members).decode
_HEAD = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"resourceType"[ \t\r\n]*:[ \t\r\n]*"[A-Za-z]+"')
_REFERENCE = re.compile(rb'("reference"[ \t\r\n]*:[ \t\r\n]*)"([^"\\]*)"')
_ESCAPED = re.compile(rb'"reference"[ \t\r\n]*:[ \t\r\n]*"[^"\\]*\\')
_FEW = 16
_TOKEN = re.compile(r"""[^"'()<>\s\\]+""")
"""Whatever may be a whole text, an attribute of a narrative or the target of a markdown link."""


def stamp(
    raw: bytes,
    *,
    id: str,  # noqa: A002 - the name R4 gives it
    version_id: str,
    last_updated: str,
    references: Mapping[str, str] | None = None,
) -> bytes:
    """``raw`` with this id, ``meta.versionId`` and ``meta.lastUpdated``; other meta is kept.

    ``raw`` has been admitted. id comes right after resourceType, meta where it was or else after
    id. ``references`` maps links to what replaces them, where R4 says so (http.html#trules).
    """
    raw = without_bom(raw)
    if references:
        raw = _relinked(raw, references)
    own = b',"id":' + orjson.dumps(id)
    version = b'"versionId":' + orjson.dumps(version_id)
    version += b',"lastUpdated":' + orjson.dumps(last_updated)
    members = _split(raw)
    if "id" not in members and "meta" not in members:
        head = _HEAD.match(raw)
        if head is not None:
            return raw[: head.end()] + own + b',"meta":{' + version + b"}" + raw[head.end() :]
    return _joined(members, own, version)


def _joined(members: _Members, own: bytes, version: bytes) -> bytes:
    parts = [b'{"resourceType":', bytes(members.pop("resourceType")), own]
    members.pop("id", None)
    if "meta" not in members:
        parts += [b',"meta":{', version, b"}"]
    for name, value in members.items():
        parts += [b",", orjson.dumps(name), b":"]
        parts += _meta(value, version) if name == "meta" else [bytes(value)]
    parts.append(b"}")
    return b"".join(parts)


def _meta(value: msgspec.Raw, version: bytes) -> list[bytes]:
    parts = [b"{", version]
    for name, inner in _split(value).items():
        if name.lstrip("_") not in ("versionId", "lastUpdated"):
            parts += [b",", orjson.dumps(name), b":", bytes(inner)]
    return [*parts, b"}"]


def _relinked(raw: bytes, references: Mapping[str, str]) -> bytes:
    """Replace in ``Reference.reference`` by text; exactly where links may stand elsewhere too.

    What is left of many links is told by its tokens, not by one search per link: a large
    transaction has thousands of them.
    """
    if b"\\/" in raw or b"\\u" in raw or _ESCAPED.search(raw):
        return _rewritten(raw, references)
    raw = _REFERENCE.sub(lambda m: _put(m, references), raw)
    if len(references) <= _FEW and not any(text.encode() in raw for text in references):
        return raw
    is_clear = references.keys().isdisjoint(_TOKEN.findall(raw.decode()))
    return raw if is_clear else _rewritten(raw, references)


def _put(match: re.Match[bytes], references: Mapping[str, str]) -> bytes:
    new = references.get(match[2].decode())
    return match[0] if new is None else match[1] + orjson.dumps(new)


def _rewritten(raw: bytes, references: Mapping[str, str]) -> bytes:
    """Exact: every number travels as its own text."""
    exact: dict[str, Any] = json.loads(raw, parse_float=orjson.Fragment, parse_int=orjson.Fragment)
    return orjson.dumps(rewrite(exact, references))
