"""Proof files (c2sp.org/tlog-proof): an entry's place in a log, checkable offline."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from fhir_bridge.errors import Corrupt, NotFound, Unavailable
from fhir_bridge.fbe1 import decode_core, split_leaf
from fhir_bridge.ledger.apply import Author
from fhir_bridge.ledger.checkpoint import parse_checkpoint
from fhir_bridge.ledger.note import b64decode, b64encode
from fhir_bridge.ledger.opening import Opening, encode_opening

__all__ = ["Proof", "format_proof", "parse_proof", "prove"]

_FIRST = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile("index (0|[1-9][0-9]{0,18})")
_MAX_BYTES = 256 << 20
_MAX_HASHES = 64


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof file, parsed."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None


class StoredRow(Protocol):
    """An entry as a reader gives it."""

    @property
    def leaf(self) -> bytes: ...

    @property
    def body(self) -> bytes | None: ...


class ProvingReader(Protocol):
    """What making a proof needs of an engine."""

    def row(self, index: int) -> StoredRow: ...

    def author(self, key_id: bytes) -> Author | None: ...

    def checkpoint(self) -> bytes | None: ...

    def inclusion(self, index: int, size: int) -> list[bytes]: ...


def format_proof(proof: Proof) -> bytes:
    """The file."""
    lines = [_FIRST]
    if proof.extra is not None:
        lines.append(f"extra {b64encode(proof.extra)}")
    lines.append(f"index {proof.index}")
    lines += [b64encode(h) for h in proof.path]
    return "\n".join(lines).encode() + b"\n\n" + proof.checkpoint


def parse_proof(data: bytes) -> Proof:
    """Corrupt (code ``proof``) unless well formed. The checkpoint is not looked into."""
    if len(data) > _MAX_BYTES:
        raise Corrupt("proof: too long", code="proof")
    head, blank, checkpoint = data.partition(b"\n\n")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError:
        raise Corrupt("proof: not a transparency log proof", code="proof") from None
    if not blank or lines.pop(0) != _FIRST:
        raise Corrupt("proof: not a transparency log proof", code="proof")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = b64decode(lines.pop(0)[len("extra ") :], "proof")
    match = _INDEX.fullmatch(lines.pop(0)) if lines else None
    if match is None:
        raise Corrupt("proof: there is no index line", code="proof")
    path = tuple(b64decode(line, "proof") for line in lines)
    if len(path) > _MAX_HASHES or any(len(h) != 32 for h in path):
        raise Corrupt("proof: a hash does not have 32 bytes, or there are too many", code="proof")
    return Proof(int(match.group(1)), path, checkpoint, extra)


def prove(
    reader: ProvingReader, index: int, dek: bytes | None = None, note: bytes | None = None
) -> bytes:
    """The proof file of one entry under ``note`` (default: the newest checkpoint).

    With ``dek`` the file holds the sealed body and its key: whoever has it can read the
    resource. Unavailable (``not-yet-signed``) when the checkpoint does not cover the entry yet;
    NotFound when the body has been erased.
    """
    note = reader.checkpoint() if note is None else note
    size = parse_checkpoint(note).head.size if note is not None else 0
    if note is None or index >= size:
        raise Unavailable("no signed checkpoint covers this entry yet", code="not-yet-signed")
    row = reader.row(index)
    if dek is not None and row.body is None:
        raise NotFound("the content of this entry has been erased", code="erased")
    author = reader.author(decode_core(split_leaf(row.leaf)[0]).key_id)
    if author is None or author.added < 0:
        raise Corrupt("the entry's author key is not on the log", code="unknown-author")
    key = reader.row(author.added)
    opening = Opening(
        leaf=row.leaf,
        body=(row.body or b"") if dek is not None else b"",
        dek=dek or b"",
        key_leaf=key.leaf,
        key_body=key.body or b"",
        key_index=author.added,
        key_path=tuple(reader.inclusion(author.added, size)),
    )
    path = tuple(reader.inclusion(index, size))
    return format_proof(Proof(index, path, note, encode_opening(opening)))
