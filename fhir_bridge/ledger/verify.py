"""The one verification of a resource against a proof and a policy.

Everything is recomputed from the three inputs; nothing is looked up. Each way to fail has its
own code. Success means that this log committed to exactly these bytes, under this author's
signature; it does not mean that the version is *current*, nor that the author's key was not
retired afterwards.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass

from fhir_bridge.errors import Corrupt
from fhir_bridge.fbe1 import Core, key_id, parse_control, signed_bytes
from fhir_bridge.ledger.apply import Read, read_entry
from fhir_bridge.ledger.checkpoint import Checkpoint, Verifiers, parse_checkpoint
from fhir_bridge.ledger.merkle import leaf_hash, verify_inclusion
from fhir_bridge.ledger.note import parse_note
from fhir_bridge.ledger.opening import Opening, decode_opening
from fhir_bridge.ledger.policy import Policy
from fhir_bridge.ledger.proof import Proof, parse_proof

__all__ = ["OpenBody", "Verdict", "verify", "verify_inclusion_only"]

OpenBody = Callable[[bytes, bytes, bytes], bytes]
"""``(core, body, DEK) -> stored bytes``; raises Corrupt unless the key opens this very body."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What has been shown."""

    origin: str
    index: int
    size: int
    root: bytes
    entry_id: bytes
    member: str
    """The authoring member, as its key entry says."""
    author_key: bytes
    """Raw Ed25519 public key of the author."""
    day: int
    """UTC days since 1970 that the author wrote."""
    trust: str
    """Who vouches: operator only, operator and witness, k of n."""
    policy: str
    """Fingerprint of the policy file."""


def verify(
    resource: bytes,
    proof_text: bytes,
    policy: Policy,
    verifiers: Verifiers,
    open_body: OpenBody,
    names: Callable[[bytes], object] | None = None,
) -> Verdict:
    """A verdict, or Corrupt with one of these codes, in the order in which they are looked for.

    ``proof``, ``note``, ``checkpoint``: not readable; ``wrong-policy``, ``missing-ed25519``,
    ``missing-mldsa44``, ``bad-signature``, ``quorum``: the checkpoint is not accepted;
    ``no-opening``: the proof shows a place in the log but no content; ``wrong-inclusion``;
    ``wrong-author-key``, ``wrong-author-signature``; ``wrong-body``, ``wrong-opening``;
    ``another-resource``, ``resource-mismatch``.

    ``names`` tells what a resource is called, to tell the last two apart (default: the members
    ``resourceType`` and ``id`` of a JSON object).
    """
    proof = parse_proof(proof_text)
    checkpoint = _checkpoint(proof)
    trust = policy.accept(checkpoint, verifiers)
    opening = _opening(proof)
    read = _included(proof, checkpoint, opening)
    author = _author_key(checkpoint, opening, read.core, verifiers)
    message = signed_bytes(read.core_bytes, read.body_hash)
    if not verifiers.ed25519(author, message, read.signature):
        raise Corrupt("the author's signature does not verify", code="wrong-author-signature")
    stored = _opened(opening, read, open_body)
    if stored != resource:
        _differ(stored, resource, names or _name_in_json)
    head = checkpoint.head
    return Verdict(
        origin=head.origin,
        index=proof.index,
        size=head.size,
        root=head.root,
        entry_id=read.id,
        member=read.core.member,
        author_key=author,
        day=read.core.day,
        trust=trust.line,
        policy=policy.fingerprint,
    )


def verify_inclusion_only(
    leaf: bytes, proof_text: bytes, policy: Policy, verifiers: Verifiers
) -> Checkpoint:
    """The checkpoint under which an entry's bytes are included; Corrupt as for `verify`."""
    proof = parse_proof(proof_text)
    checkpoint = _checkpoint(proof)
    policy.accept(checkpoint, verifiers)
    _include(leaf, proof.index, checkpoint, proof.path, "wrong-inclusion")
    return checkpoint


def _checkpoint(proof: Proof) -> Checkpoint:
    try:
        return parse_checkpoint(proof.checkpoint)
    except Corrupt:
        # A checkpoint whose last signature line was taken out is no note any more: say what
        # is missing rather than that something is malformed.
        if b"\xe2\x80\x94 " not in proof.checkpoint:
            raise Corrupt("the checkpoint has no signatures", code="missing-ed25519") from None
        parse_note(proof.checkpoint)
        raise


def _opening(proof: Proof) -> Opening:
    opening = decode_opening(proof.extra) if proof.extra is not None else None
    if opening is None or not opening.dek or not opening.body:
        raise Corrupt(
            "the proof shows a place in the log but holds no opening:"
            " it was made for somebody who may not read the resource",
            code="no-opening",
        )
    return opening


def _included(proof: Proof, checkpoint: Checkpoint, opening: Opening) -> Read:
    _include(opening.leaf, proof.index, checkpoint, proof.path, "wrong-inclusion")
    read = read_entry(opening.leaf)
    if read.core.origin != checkpoint.head.origin:
        raise Corrupt("the entry was made for another log", code="wrong-inclusion")
    return read


def _include(
    leaf: bytes, index: int, checkpoint: Checkpoint, path: tuple[bytes, ...], code: str
) -> None:
    head = checkpoint.head
    try:
        verify_inclusion(leaf_hash(leaf), index, head.size, path, head.root)
    except Corrupt as error:
        raise Corrupt(f"the entry is not in the log: {error.message}", code=code) from None


def _author_key(
    checkpoint: Checkpoint, opening: Opening, core: Core, verifiers: Verifiers
) -> bytes:
    """The author's public key, from its key.add entry under the same checkpoint."""
    code = "wrong-author-key"
    _include(opening.key_leaf, opening.key_index, checkpoint, opening.key_path, code)
    read = read_entry(opening.key_leaf)
    if hashlib.sha256(opening.key_body).digest() != read.body_hash:
        raise Corrupt("the key entry's body is another one", code=code)
    value = parse_control(opening.key_body)
    try:
        public = bytes.fromhex(value.get("key", ""))
    except (ValueError, TypeError):
        public = b""
    fits = (
        value["kind"] == "key.add"
        and key_id(public) == core.key_id == read.core.key_id
        and value.get("member") == core.member == read.core.member
    )
    if not fits:
        raise Corrupt("the key entry is not of this entry's author", code=code)
    message = signed_bytes(read.core_bytes, read.body_hash)
    if not verifiers.ed25519(public, message, read.signature):
        raise Corrupt("the key entry's signature does not verify", code=code)
    return public


def _opened(opening: Opening, read: Read, open_body: OpenBody) -> bytes:
    if hashlib.sha256(opening.body).digest() != read.body_hash:
        raise Corrupt("the sealed body is not the one that was logged", code="wrong-body")
    try:
        return open_body(read.core_bytes, opening.body, opening.dek)
    except Corrupt:
        raise Corrupt("the key in the proof does not open the body", code="wrong-opening") from None


def _differ(stored: bytes, resource: bytes, names: Callable[[bytes], object]) -> None:
    if names(stored) != names(resource):
        raise Corrupt(
            "the proof is of another resource than the one given", code="another-resource"
        )
    at = next(
        (n for n, (a, b) in enumerate(zip(stored, resource, strict=False)) if a != b),
        min(len(stored), len(resource)),
    )
    raise Corrupt(
        f"the resource is not what was logged: it differs from byte {at} on"
        f" ({len(stored)} bytes logged, {len(resource)} given)",
        code="resource-mismatch",
    )


def _name_in_json(data: bytes) -> object:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return value.get("resourceType"), value.get("id")
