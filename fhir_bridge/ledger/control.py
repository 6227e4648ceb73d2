"""Control entries that the sequencer writes itself, signed with its own author key."""

from __future__ import annotations

import hashlib

from fhir_bridge.clock import Clock, day_of
from fhir_bridge.fbe1 import (
    Core,
    Kind,
    encode_core,
    entry_id,
    join_leaf,
    key_id,
    signed_bytes,
)
from fhir_bridge.ledger.apply import Chain
from fhir_bridge.ledger.contract import AuthorSigner, Entry

__all__ = ["ControlAuthor"]


class ControlAuthor:
    """Makes and signs control entries of one member of one log."""

    def __init__(self, origin: str, member: str, signer: AuthorSigner, clock: Clock) -> None:
        self.origin = origin
        self.member = member
        self.public = signer.public
        self.key_id = key_id(signer.public)
        self._sign = signer.sign
        self._clock = clock

    def entry(self, body: bytes, chain: Chain) -> tuple[Entry, Chain]:
        """The entry for a control body after ``chain``, and the chain that it makes."""
        seq, previous = chain[0] + 1, chain[1]
        core = encode_core(
            Core(
                origin=self.origin,
                kind=Kind.CONTROL,
                member=self.member,
                key_id=self.key_id,
                seq=seq,
                previous=previous,
                subject_ref=self._clock.random(16),
                claims=(),
                day=day_of(self._clock.now_us()),
                length_class=0,
                nonce=self._clock.random(16),
            )
        )
        body_hash = hashlib.sha256(body).digest()
        leaf = join_leaf(core, body_hash, self._sign(signed_bytes(core, body_hash)))
        return Entry(leaf, body), (seq, entry_id(core, body_hash))
