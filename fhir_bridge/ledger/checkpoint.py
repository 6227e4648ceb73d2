"""Checkpoints (c2sp.org/tlog-checkpoint) and their signatures (c2sp.org/tlog-cosignature).

Our logs sign every checkpoint twice: Ed25519 over the note text (type 0x01), which every
checkpoint reader knows, and ML-DSA-44 over the cosigned message of the tree (type 0x06), which
stays good when Ed25519 no longer is.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from fhir_bridge.errors import Corrupt
from fhir_bridge.ledger.contract import Head, NoteSigner, Verify
from fhir_bridge.ledger.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_MLDSA44,
    ED25519,
    Note,
    Signature,
    VerifierKey,
    b64decode,
    b64encode,
    format_note,
    parse_note,
)

__all__ = [
    "Checkpoint",
    "Verifiers",
    "checkpoint_text",
    "cosign",
    "holds",
    "log_keys",
    "parse_checkpoint",
    "sign_checkpoint",
]

_LABEL = b"subtree/v1\n\x00"
_U64 = struct.Struct(">Q")
_NUMBER = re.compile("0|[1-9][0-9]{0,18}")
_TYPES = {"ed25519": ED25519, "mldsa44": COSIGNATURE_MLDSA44}
_TYPE_BYTES = {ED25519: 64, COSIGNATURE_ED25519: 72, COSIGNATURE_MLDSA44: 2428}


@dataclass(frozen=True, slots=True)
class Verifiers:
    """The two signature checks, handed in."""

    ed25519: Verify
    mldsa44: Verify


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed note that says: this log has this root at this size."""

    head: Head
    note: Note


def checkpoint_text(head: Head) -> str:
    """Origin, size and root, each on its line."""
    return f"{head.origin}\n{head.size}\n{b64encode(head.root)}\n"


def parse_checkpoint(data: bytes) -> Checkpoint:
    """Corrupt (code ``checkpoint`` or ``note``) unless well formed. Verifies no signature."""
    note = parse_note(data)
    lines = note.text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        raise Corrupt("checkpoint: needs origin, size and root", code="checkpoint")
    origin, size, root = lines[:3]
    if _NUMBER.fullmatch(size) is None:
        raise Corrupt("checkpoint: the size is not a plain number", code="checkpoint")
    hash_ = b64decode(root, "checkpoint")
    if len(hash_) != 32:
        raise Corrupt("checkpoint: the root does not have 32 bytes", code="checkpoint")
    return Checkpoint(Head(origin, int(size), hash_), note)


def log_keys(origin: str, signers: Sequence[NoteSigner]) -> tuple[VerifierKey, ...]:
    """The public side of a log's signers, for policy files."""
    return tuple(VerifierKey(origin, _type_of(s), s.public) for s in signers)


def sign_checkpoint(head: Head, signers: Sequence[NoteSigner], time_s: int) -> bytes:
    """The checkpoint of ``head`` under every signer. The caller guards what may be signed."""
    text = checkpoint_text(head)
    lines = []
    for signer in signers:
        key = VerifierKey(head.origin, _type_of(signer), signer.public)
        if key.type == ED25519:
            signature = signer.sign(text.encode())
        else:
            message = _cosigned(key.name, time_s, head)
            signature = _U64.pack(time_s) + signer.sign(message)
        lines.append(Signature(key.name, key.id, signature))
    return format_note(text, lines)


def cosign(checkpoint: Checkpoint, name: str, signer: NoteSigner, time_s: int) -> Signature:
    """A witness's line under a checkpoint that it found consistent with all before it."""
    type_ = COSIGNATURE_ED25519 if signer.algorithm == "ed25519" else COSIGNATURE_MLDSA44
    key = VerifierKey(name, type_, signer.public)
    message = _message(key, time_s, checkpoint)
    return Signature(name, key.id, _U64.pack(time_s) + signer.sign(message))


def holds(
    key: VerifierKey, signature: Signature, checkpoint: Checkpoint, verifiers: Verifiers
) -> bool:
    """Whether this line is a good signature of ``key`` under the checkpoint."""
    value = signature.signature
    if len(value) != _TYPE_BYTES[key.type]:
        return False
    if key.type == ED25519:
        return verifiers.ed25519(key.public, checkpoint.note.text.encode(), value)
    (time_s,) = _U64.unpack_from(value)
    if time_s >= 1 << 63:
        return False
    message = _message(key, time_s, checkpoint)
    verify = verifiers.ed25519 if key.type == COSIGNATURE_ED25519 else verifiers.mldsa44
    return verify(key.public, message, value[_U64.size :])


def _message(key: VerifierKey, time_s: int, checkpoint: Checkpoint) -> bytes:
    if key.type == COSIGNATURE_ED25519:
        return f"cosignature/v1\ntime {time_s}\n{checkpoint.note.text}".encode()
    return _cosigned(key.name, time_s, checkpoint.head)


def _cosigned(name: str, time_s: int, head: Head) -> bytes:
    """``cosigned_message`` of the whole tree (tlog-cosignature §ML-DSA-44 signed message)."""
    parts = [_LABEL, _short(name), _U64.pack(time_s), _short(head.origin)]
    return b"".join([*parts, _U64.pack(0), _U64.pack(head.size), head.root])


def _short(text: str) -> bytes:
    value = text.encode()
    if not 1 <= len(value) <= 255:
        raise Corrupt("a name in a cosignature takes 1 to 255 bytes", code="checkpoint")
    return bytes((len(value),)) + value


def _type_of(signer: NoteSigner) -> int:
    return _TYPES[signer.algorithm]
