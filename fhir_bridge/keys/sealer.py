"""Seals and opens entries and audit rows of one author chain (docs/fbe1.md).

One sealer per author key and process, not for several threads: it counts ``seq`` and remembers
the entry id before it. What is sealed has to be appended in the order in which it was sealed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from msgspec import Struct

from fhir_bridge.clock import Clock, day_of
from fhir_bridge.errors import Corrupt, NotFound
from fhir_bridge.fbe1 import (
    FIRST,
    Core,
    Header,
    Kind,
    decode_payload,
    decode_record,
    encode_core,
    encode_payload,
    encode_record,
    entry_id,
    join_row,
    length_class_of,
    signed_bytes,
    split_leaf,
    split_row,
)
from fhir_bridge.fbe1.labels import AUDIT_CONTEXT, BODY_CONTEXT, DEK
from fhir_bridge.keys.cobblestone import seal_bytes, unseal_bytes
from fhir_bridge.keys.compression import compress, decompress
from fhir_bridge.keys.key_set import KeySet
from fhir_bridge.keys.node_keys import NodeKeys
from fhir_bridge.keys.store import KeyStore

__all__ = ["Opener", "Sealed", "SealedAudit", "Sealer", "open_body", "open_stored"]

_sha256 = hashlib.sha256


class Sealed(Struct, frozen=True, gc=False):
    """One entry, ready to be appended."""

    leaf: bytes
    body: bytes
    box: bytes
    """The wrapped DEK (40 bytes); nothing for a control entry."""
    hint: bytes
    """Leads the holder of the hint key to the key set (16 bytes); nothing for control."""
    entry_id: bytes
    seq: int


class SealedAudit(Struct, frozen=True, gc=False):
    """One audit row, ready to be appended."""

    sealed: bytes
    hint: bytes
    digest: bytes
    """SHA-256 of ``sealed``: ``previous`` of the patient's next row."""


class Opener:
    """Opens what the keys of this node can open. Holds no chain; one per process."""

    __slots__ = ("_keys", "_store")

    def __init__(self, node_keys: NodeKeys, store: KeyStore) -> None:
        self._keys = node_keys
        self._store = store

    def open(self, leaf: bytes, body: bytes, box: bytes, hint: bytes) -> tuple[Header, bytes]:
        """(header, stored bytes). NotFound (``shredded``) when the keys were destroyed, Corrupt
        when anything was changed. The author's signature is not asked: `verify_leaf` does."""
        core, body_hash, _ = split_leaf(leaf)
        _check_body(body, body_hash)
        return _opened(core, body, self._dek(core, body_hash, box, hint))

    def dek_of(self, leaf: bytes, box: bytes, hint: bytes) -> bytes:
        """The DEK[32] of one entry: with the body it is the opening that a proof carries."""
        core, body_hash, _ = split_leaf(leaf)
        return self._dek(core, body_hash, box, hint)

    def _dek(self, core: bytes, body_hash: bytes, box: bytes, hint: bytes) -> bytes:
        name = entry_id(core, body_hash)
        key = self._set_of(name, hint).wrap_key(name)
        try:
            return aes_key_unwrap(key, box)
        except (InvalidUnwrap, ValueError):
            raise Corrupt("the key box does not unwrap", code="key-box") from None

    def open_audit(self, sealed: bytes, hint: bytes) -> tuple[int, bytes, bytes]:
        """(seq, previous, record) of an audit row; errors as `open`."""
        nonce, content = split_row(sealed)
        key = self._set_of(nonce, hint).audit_key(nonce)
        return decode_record(unseal_bytes(key, AUDIT_CONTEXT + nonce, content))

    def handle_of(self, name: bytes, hint: bytes) -> bytes:
        """The handle behind a hint; ``name`` is the entry id or the audit row's nonce. Corrupt
        (``hint``) when it is no handle of this node: so damage is told from erasure."""
        if len(hint) != 16:
            raise Corrupt("the hint takes 16 bytes", code="hint")
        handle = _xor(hint, self._keys.hint(name))
        if self._keys.handle_check(handle[:12])[:4] != handle[12:]:
            raise Corrupt("the leaf or its hint was changed", code="hint")
        return handle

    def _set_of(self, name: bytes, hint: bytes) -> KeySet:
        key_set = self._store.by_handle(self.handle_of(name, hint))
        if key_set is None:
            raise NotFound("the keys of this entry were destroyed", code="shredded")
        return key_set


class Sealer(Opener):
    """Seals as one author; opens as any `Opener`."""

    __slots__ = ("_author", "_clock", "_key_id", "_member", "_origin", "_prev", "_seq")

    def __init__(
        self,
        node_keys: NodeKeys,
        role: str,
        origin: str,
        member: str,
        store: KeyStore,
        clock: Clock,
        chain: tuple[int, bytes] = (0, FIRST),
    ) -> None:
        """``chain``: the last sequence number of this author key on the ledger and the id of
        that entry."""
        super().__init__(node_keys, store)
        self._author = node_keys.author(role)
        self._key_id = self._author.key_id
        self._origin = origin
        self._member = member
        self._clock = clock
        self._seq, self._prev = chain

    @property
    def public(self) -> bytes:
        """The author's Ed25519 public key."""
        return self._author.public

    @property
    def key_id(self) -> bytes:
        return self._key_id

    @property
    def chain(self) -> tuple[int, bytes]:
        """(seq, entry id) of the entry sealed last."""
        return self._seq, self._prev

    def resume(self, chain: tuple[int, bytes]) -> None:
        """Goes on after ``chain``: what was sealed behind it never reached the ledger."""
        self._seq, self._prev = chain

    def seal(
        self,
        pairs: Sequence[tuple[str, str]],
        header: Header,
        stored: bytes,
        claims: tuple[bytes, ...] = (),
    ) -> Sealed:
        """One data entry. New keys are durable on return, the entry itself is not."""
        key_set = self._store.key_set(pairs)
        frame, dictionary = compress(stored)
        payload = encode_payload(header, frame, len(stored), dictionary)
        nonce = self._clock.random(16)
        about_someone = any(patient for patient, _ in pairs)
        core = self._core(
            Kind.DATA,
            key_set.subject_ref(nonce) if about_someone else self._clock.random(16),
            claims,
            day_of(header.time_us),
            len(payload).bit_length() - 1,
            nonce,
        )
        core_hash = _sha256(core).digest()
        # Hedged: a resumed copy of this machine may draw the same random bytes again.
        dek = self._keys.hedge(DEK + self._clock.random(32) + core_hash + _sha256(payload).digest())
        body = seal_bytes(dek, BODY_CONTEXT + core_hash, payload)
        leaf, name = self._sign(core, body)
        return Sealed(
            leaf,
            body,
            aes_key_wrap(key_set.wrap_key(name), dek),
            _xor(key_set.handle, self._keys.hint(name)),
            name,
            self._seq,
        )

    def control(self, body: bytes) -> Sealed:
        """One control entry with a body from `fbe1.control_body`, in the clear."""
        random = self._clock.random
        day = day_of(self._clock.now_us())
        core = self._core(Kind.CONTROL, random(16), (), day, 0, random(16))
        leaf, name = self._sign(core, body)
        return Sealed(leaf, body, b"", b"", name, self._seq)

    def seal_audit(
        self, pairs: Sequence[tuple[str, str]], record: bytes, seq: int, previous: bytes
    ) -> SealedAudit:
        """One audit row under the audit set of a patient, or of the directory."""
        key_set = self._store.key_set(pairs)
        nonce = self._clock.random(16)
        padded = encode_record(seq, previous, record)
        sealed = join_row(
            nonce, seal_bytes(key_set.audit_key(nonce), AUDIT_CONTEXT + nonce, padded)
        )
        hint = _xor(key_set.handle, self._keys.hint(nonce))
        return SealedAudit(sealed, hint, _sha256(sealed).digest())

    def _core(
        self,
        kind: Kind,
        subject_ref: bytes,
        claims: tuple[bytes, ...],
        day: int,
        length_class: int,
        nonce: bytes,
    ) -> bytes:
        return encode_core(
            Core(
                self._origin,
                kind,
                self._member,
                self._key_id,
                self._seq + 1,
                self._prev,
                subject_ref,
                claims,
                day,
                length_class,
                nonce,
            )
        )

    def _sign(self, core: bytes, body: bytes) -> tuple[bytes, bytes]:
        """(leaf, entry id); the chain moves on."""
        body_hash = _sha256(body).digest()
        leaf = core + body_hash + self._author.sign(signed_bytes(core, body_hash))
        name = entry_id(core, body_hash)
        self._seq, self._prev = self._seq + 1, name
        return leaf, name


def open_body(leaf: bytes, body: bytes, dek: bytes) -> tuple[Header, bytes]:
    """(header, stored bytes) from the opening of an entry: needs no key store.

    The body's hash is checked before anything is decrypted; Corrupt (``body-hash``, ``unseal``
    …) where the body, the DEK or the core is not the one that belongs there.
    """
    core, body_hash, _ = split_leaf(leaf)
    _check_body(body, body_hash)
    return _opened(core, body, dek)


def open_stored(core: bytes, body: bytes, dek: bytes) -> bytes:
    """The stored bytes alone, for whoever has checked the body's hash already (a proof)."""
    return _opened(core, body, dek)[1]


def _check_body(body: bytes, body_hash: bytes) -> None:
    if _sha256(body).digest() != body_hash:
        raise Corrupt("the body is not the one that the leaf names", code="body-hash")


def _opened(core: bytes, body: bytes, dek: bytes) -> tuple[Header, bytes]:
    payload = unseal_bytes(dek, BODY_CONTEXT + _sha256(core).digest(), body)
    if len(payload) != 1 << length_class_of(core):
        raise Corrupt("the payload has another length than the leaf says", code="payload-length")
    header, frame = decode_payload(payload)
    return header, decompress(frame, header.plain_length, header.dictionary)


def _xor(left: bytes, right: bytes) -> bytes:
    """The first 16 bytes of both, combined."""
    both = int.from_bytes(left[:16], "big") ^ int.from_bytes(right[:16], "big")
    return both.to_bytes(16, "big")
