"""Files to import, as transactions and batches: Bundle JSON, single resources, NDJSON.

A transaction or batch goes in as it is. Any other Bundle that only collects, a single resource
and NDJSON lines become transactions that keep the ids they come with.
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import orjson

from fhir_bridge.errors import BridgeError, Incorrect

__all__ = ["Source", "Unreadable", "files", "sources"]

_KINDS = (".json", ".ndjson", ".jsonl")
_PACKED = (".gz", ".bz2")
_LINES_PER_TRANSACTION = 200
_MAX_FILE_BYTES = 1 << 30
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Source:
    """One Bundle to carry out, and where it came from."""

    name: str
    kind: str
    """``transaction`` or ``batch``."""
    raw: bytes
    entries: int
    writes: frozenset[str] = frozenset()
    """What it names and writes: ``Type/id``, and ``Type?condition`` of a conditional create."""
    lines: tuple[str, ...] = ()
    """``file:line`` of each entry, where lines that have nothing to do with one another were
    gathered."""

    def without(self, places: set[int]) -> Source:
        """The same without some of its lines."""
        entries = _ENTRIES.decode(self.raw).entry
        left = [bytes(one) for n, one in enumerate(entries) if n not in places]
        lines = tuple(line for n, line in enumerate(self.lines) if n not in places)
        return replace(self, raw=_transaction(left), entries=len(left), lines=lines)


class _Entry(msgspec.Struct):
    full_url: str = msgspec.field(name="fullUrl", default="")
    resource: msgspec.Raw = msgspec.Raw(b"")
    request: Any = None

    def writes(self) -> str:
        """What it names and writes; nothing for a plain create, for reading, and for what the
        server will refuse."""
        asked = self.request if isinstance(self.request, dict) else {}
        method, url, condition = (asked.get(key) for key in ("method", "url", "ifNoneExist"))
        url = url.strip("/") if isinstance(url, str) else ""
        if method in ("PUT", "PATCH", "DELETE"):
            return url
        return f"{url}?{condition}" if condition and isinstance(condition, str) else ""


class _Head(msgspec.Struct):
    resource_type: str = msgspec.field(name="resourceType", default="")
    id: str = ""
    type: Any = ""
    """Of a Bundle; a list or an object in many other resources."""
    entry: list[_Entry] = msgspec.field(default_factory=list)


class _Entries(msgspec.Struct):
    entry: list[msgspec.Raw]


_HEAD = msgspec.json.Decoder(_Head)
_ENTRIES = msgspec.json.Decoder(_Entries)
_COLLECTIONS = ("collection", "searchset", "history")


def files(paths: Sequence[Path]) -> list[Path]:
    """The files at and below ``paths``, sorted by name; Incorrect where there is none."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(p for p in path.rglob("*") if p.is_file() and _suffix(p) in _KINDS)
        elif path.is_file():
            found.append(path)
        else:
            raise Incorrect("there is no such file or folder", code="no-file", where=str(path))
    if not found:
        raise Incorrect(
            f"nothing to import there: files end in {', '.join(_KINDS)}, also with .gz or .bz2",
            code="no-file",
            where=", ".join(map(str, paths)),
        )
    return found


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A part of a file that is no FHIR resource; what follows it goes on."""

    name: str
    error: BridgeError


def sources(path: Path) -> Iterator[Source | Unreadable]:
    """The Bundles that one file holds; Incorrect where it cannot be read at all."""
    try:
        with _opened(path) as f:
            if _suffix(path) == ".json":
                yield _whole(path.name, f.read(_MAX_FILE_BYTES))
            else:
                yield from _lines(path.name, f)
    except (OSError, EOFError, zlib.error) as error:
        raise Incorrect(f"cannot be read: {error}", code="file", where=path.name) from None


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if path.suffix == ".bz2":
        return cast("IO[bytes]", bz2.open(path, "rb"))
    return path.open("rb")


def _suffix(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix in _PACKED else path.suffix


def _whole(name: str, raw: bytes) -> Source:
    raw = raw.removeprefix(_BOM)
    head = _head(name, raw)
    if head.resource_type == "Bundle" and head.type in ("transaction", "batch"):
        writes = frozenset(filter(None, (entry.writes() for entry in head.entry)))
        return Source(name, head.type, raw, len(head.entry), writes)
    if head.resource_type == "Bundle" and head.type in _COLLECTIONS:
        found = [(e.full_url, bytes(e.resource)) for e in head.entry]
        return _gathered(name, [(url, one, _head(name, one)) for url, one in found])
    return _gathered(name, [("", raw, head)])


def _lines(name: str, lines: Iterator[bytes]) -> Iterator[Source | Unreadable]:
    batch: list[tuple[str, bytes, _Head]] = []
    places: list[str] = []
    for number, line in enumerate(lines, 1):
        raw = line.removeprefix(_BOM).strip()
        if raw:
            try:
                batch.append(("", raw, _head(f"{name}:{number}", raw)))
                places.append(f"{name}:{number}")
            except Incorrect as error:
                yield Unreadable(f"{name}:{number}", error)
        if len(batch) == _LINES_PER_TRANSACTION:
            yield _gathered(places[0], batch, tuple(places))
            batch, places = [], []
    if batch:
        yield _gathered(places[0], batch, tuple(places))


def _gathered(
    name: str, resources: Sequence[tuple[str, bytes, _Head]], lines: tuple[str, ...] = ()
) -> Source:
    """A transaction around resources (fullUrl, bytes, what was read of it), each under its id."""
    entries: list[bytes] = []
    writes: set[str] = set()
    for full_url, raw, head in resources:
        url = f"{head.resource_type}/{head.id}" if head.id else head.resource_type
        if head.id:
            writes.add(url)
        request = orjson.dumps({"method": "PUT" if head.id else "POST", "url": url})
        full = b'"fullUrl":' + orjson.dumps(full_url) + b"," if full_url else b""
        entries.append(b"{" + full + b'"resource":' + raw + b',"request":' + request + b"}")
    raw = _transaction(entries)
    return Source(name, "transaction", raw, len(entries), frozenset(writes), lines)


def _transaction(entries: Sequence[bytes]) -> bytes:
    return b'{"resourceType":"Bundle","type":"transaction","entry":[' + b",".join(entries) + b"]}"


def _head(name: str, raw: bytes) -> _Head:
    try:
        return _HEAD.decode(raw)
    except (msgspec.MsgspecError, RecursionError):
        raise Incorrect("this is not a FHIR resource in JSON", code="json", where=name) from None
