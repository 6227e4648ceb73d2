"""Signed notes (c2sp.org/signed-note v1): a text and signature lines under it.

Which lines count is the reader's business: lines of unknown keys are kept and ignored. A key is
a name and a key id; two keys with the same name and another algorithm are two keys.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fhir_bridge.errors import Corrupt

__all__ = [
    "COSIGNATURE_ED25519",
    "COSIGNATURE_MLDSA44",
    "ED25519",
    "Note",
    "Signature",
    "VerifierKey",
    "b64decode",
    "b64encode",
    "check_name",
    "format_note",
    "key_hash",
    "parse_note",
    "parse_vkey",
]

ED25519 = 0x01
COSIGNATURE_ED25519 = 0x04
COSIGNATURE_MLDSA44 = 0x06
KEY_BYTES = {ED25519: 32, COSIGNATURE_ED25519: 32, COSIGNATURE_MLDSA44: 1312}
MAX_SIGNATURES = 64
MAX_NOTE_BYTES = 1 << 20
_LINE = re.compile("— (\\S+) (\\S+)")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with its name and signature type (signed-note §verifier keys)."""

    name: str
    type: int
    public: bytes

    def __post_init__(self) -> None:
        check_name(self.name)
        if KEY_BYTES.get(self.type) != len(self.public):
            raise Corrupt("verifier key: unknown type or wrong length", code="vkey")

    @property
    def id(self) -> bytes:
        """The four bytes that stand in signature lines."""
        return key_hash(self.name, self.type, self.public)

    def __str__(self) -> str:
        material = b64encode(bytes((self.type,)) + self.public)
        return f"{self.name}+{self.id.hex()}+{material}"


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """The text, with its final newline, and what is signed under it."""

    text: str
    signatures: tuple[Signature, ...]


def key_hash(name: str, type_: int, public: bytes) -> bytes:
    """SHA-256(name ‖ 0x0A ‖ type ‖ public key)[:4]."""
    return hashlib.sha256(name.encode() + b"\n" + bytes((type_,)) + public).digest()[:4]


def check_name(name: str) -> None:
    """Corrupt unless ``name`` may name a key: no space, no plus, not empty."""
    if not name or "+" in name or any(c.isspace() or ord(c) < 32 for c in name):
        raise Corrupt("a key name is not empty and has neither space nor plus", code="key-name")


def parse_vkey(text: str) -> VerifierKey:
    """``name+hex id+base64(type ‖ key)``; Corrupt for anything else, a wrong id included."""
    parts = text.split("+", 2)
    if len(parts) != 3:
        raise Corrupt("verifier key: not name+id+key", code="vkey")
    name, key_id, material = parts
    decoded = b64decode(material, "vkey")
    if not decoded:
        raise Corrupt("verifier key: no key", code="vkey")
    key = VerifierKey(name, decoded[0], decoded[1:])
    if key.id.hex() != key_id:
        raise Corrupt("verifier key: the id does not belong to the key", code="vkey")
    return key


def format_note(text: str, signatures: Sequence[Signature]) -> bytes:
    """The note as bytes; ``text`` ends in a newline."""
    lines = [f"— {s.name} {b64encode(s.key_id + s.signature)}\n" for s in signatures]
    return (text + "\n" + "".join(lines)).encode()


def parse_note(data: bytes) -> Note:
    """The parts of a signed note; Corrupt (code ``note``) unless it is well formed."""
    if len(data) > MAX_NOTE_BYTES:
        raise Corrupt("note: too long", code="note")
    try:
        whole = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Corrupt("note: not UTF-8", code="note") from None
    if any(ord(c) < 32 and c != "\n" for c in whole):
        raise Corrupt("note: control character", code="note")
    text, blank, signed = whole.rpartition("\n\n")
    if not blank or not signed.endswith("\n"):
        raise Corrupt("note: no signatures under the text", code="note")
    lines = signed[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise Corrupt("note: too many signatures", code="note")
    return Note(text + "\n", tuple(_signature(line) for line in lines))


def _signature(line: str) -> Signature:
    match = _LINE.fullmatch(line)
    if match is None:
        raise Corrupt("note: a signature line is malformed", code="note")
    name = match.group(1)
    check_name(name)
    value = b64decode(match.group(2), "note")
    if len(value) < 5:
        raise Corrupt("note: a signature is too short", code="note")
    return Signature(name, value[:4], value[4:])


def b64encode(data: bytes) -> str:
    """Standard base64 with padding (RFC 4648 §4)."""
    return base64.b64encode(data).decode("ascii")


def b64decode(text: str, code: str) -> bytes:
    """The one encoding only: no other alphabet, no missing padding, no stray bits."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Corrupt("not base64", code=code) from None
    if b64encode(data) != text:
        raise Corrupt("not the one base64 encoding", code=code)
    return data
