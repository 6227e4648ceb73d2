"""Authors and signers for ledger tests: real keys, bodies of noise, no FHIR and no key store."""

from __future__ import annotations

import hashlib
from pathlib import Path

from fhir_bridge.clock import Clock
from fhir_bridge.errors import Corrupt
from fhir_bridge.fbe1 import (
    FIRST,
    Core,
    Kind,
    control_body,
    encode_core,
    entry_id,
    join_leaf,
    key_id,
    signed_bytes,
)
from fhir_bridge.keys import signing
from fhir_bridge.ledger import Append, Checkpoints, Entry, HeadMemory, Writer
from fhir_bridge.ledger.checkpoint import Verifiers

__all__ = [
    "LOG_SIGNERS",
    "MEMBER",
    "ORIGIN",
    "SEQUENCER",
    "VERIFIERS",
    "Author",
    "FixedClock",
    "checkpoints",
    "verify_ed25519",
    "verify_mldsa44",
    "writer",
]

ORIGIN = "ledger.example/log"
MEMBER = "example-hospital"
SEQUENCER = signing.ed25519_signer(hashlib.sha256(b"sequencer").digest())
LOG_SIGNERS = (
    signing.ed25519_signer(hashlib.sha256(b"log").digest()),
    signing.mldsa44_signer(hashlib.sha256(b"log pq").digest()),
)


class FixedClock(Clock):
    """Time stands still; random bytes are counted."""

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._count = 0

    def now_us(self) -> int:
        return 1_780_000_000_000_000

    def random(self, n: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(b"%d/%d" % (self._seed, self._count)).digest(n)


def verify_ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        signing.verify_ed25519(public, message, signature)
    except Corrupt:
        return False
    return True


def verify_mldsa44(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        signing.verify_mldsa44(public, message, signature)
    except Corrupt:
        return False
    return True


VERIFIERS = Verifiers(verify_ed25519, verify_mldsa44)


def writer(path: Path, **options: object) -> Writer:
    """A writer of the test log at ``path``."""
    return Writer(
        path,
        origin=ORIGIN,
        member=MEMBER,
        signer=SEQUENCER,
        clock=FixedClock(),
        verify=verify_ed25519,
        **options,  # type: ignore[arg-type]
    )


def checkpoints(of: Writer, memory: Path, interval_s: float = 10.0) -> Checkpoints:
    return Checkpoints(of, LOG_SIGNERS, HeadMemory(memory), FixedClock(), interval_s)


class Author:
    """One author key and its chain."""

    def __init__(self, name: str = "worker", origin: str = ORIGIN, member: str = MEMBER) -> None:
        self.signer = signing.ed25519_signer(hashlib.sha256(name.encode()).digest())
        self.key_id = key_id(self.signer.public)
        self.origin = origin
        self.member = member
        self.seq = 0
        self.previous = FIRST
        self._clock = FixedClock(int.from_bytes(self.key_id[:4], "big"))

    def entry(
        self,
        body: bytes = b"noise",
        *,
        claims: tuple[bytes, ...] = (),
        control: bool = False,
        advance: bool = True,
    ) -> Entry:
        """The next entry of this author; ``advance=False`` leaves the chain where it is."""
        core = encode_core(
            Core(
                origin=self.origin,
                kind=Kind.CONTROL if control else Kind.DATA,
                member=self.member,
                key_id=self.key_id,
                seq=self.seq + 1,
                previous=self.previous,
                subject_ref=self._clock.random(16),
                claims=claims,
                day=20_600,
                length_class=0 if control else 8,
                nonce=self._clock.random(16),
            )
        )
        body_hash = hashlib.sha256(body).digest()
        leaf = join_leaf(core, body_hash, self.signer.sign(signed_bytes(core, body_hash)))
        if advance:
            self.seq, self.previous = self.seq + 1, entry_id(core, body_hash)
        plain = control
        return Entry(leaf, body, b"" if plain else bytes(40), b"" if plain else bytes(16))

    def control(self, kind: str, **members: object) -> Entry:
        return self.entry(control_body(kind, **members), control=True)

    def key_add(self) -> Entry:
        return self.control(
            "key.add",
            key=self.signer.public.hex(),
            key_id=self.key_id.hex(),
            member=self.member,
            use="author",
        )

    def joined(self, to: Writer) -> Author:
        """This author, with its key on the log."""
        to.commit([Append((self.key_add(),))])
        return self
