"""Policy files (c2sp.org/tlog-policy): whose signatures make a checkpoint count.

Our own rule on top: of the log whose origin the checkpoint bears, *every* listed key must have
signed, so that taking the Ed25519 or the ML-DSA-44 line out of a proof is noticed. The modes of
a node differ only by this file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from fhir_bridge.errors import Corrupt
from fhir_bridge.ledger.checkpoint import Checkpoint, Verifiers, holds
from fhir_bridge.ledger.note import (
    COSIGNATURE_ED25519,
    COSIGNATURE_MLDSA44,
    ED25519,
    Signature,
    VerifierKey,
    parse_vkey,
)

__all__ = ["Group", "Policy", "Trust", "parse_policy", "policy_text"]

_MAX_BYTES = 1 << 20
_LOG_TYPES = (ED25519, COSIGNATURE_MLDSA44)
_WITNESS_TYPES = (COSIGNATURE_ED25519, COSIGNATURE_MLDSA44)
_MISSING = {ED25519: "missing-ed25519", COSIGNATURE_MLDSA44: "missing-mldsa44"}
_ALGORITHM = {ED25519: "Ed25519", COSIGNATURE_MLDSA44: "ML-DSA-44"}


@dataclass(frozen=True, slots=True)
class Group:
    """``threshold`` of ``members`` (witnesses or groups named before)."""

    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Trust:
    """Who stands behind a checkpoint that the policy accepted."""

    line: str
    """``operator only …``, ``operator and witness …`` or ``k of n …``."""
    witnesses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy file, parsed."""

    logs: tuple[VerifierKey, ...]
    witnesses: dict[str, VerifierKey]
    groups: dict[str, Group]
    quorum: str
    fingerprint: str
    """First 16 hex digits of the SHA-256 of the file."""

    def accept(self, checkpoint: Checkpoint, verifiers: Verifiers) -> Trust:
        """Who signed; Corrupt with a code of its own for each way not to be accepted.

        ``wrong-policy``, ``missing-ed25519``, ``missing-mldsa44``, ``bad-signature``,
        ``quorum``.
        """
        self._check_log(checkpoint, verifiers)
        seen = tuple(
            name
            for name, key in self.witnesses.items()
            if any(holds(key, s, checkpoint, verifiers) for s in _lines(checkpoint, key))
        )
        if self.quorum != "none" and not self._met(self.quorum, seen):
            raise Corrupt(
                f"the policy's quorum {self.quorum} is not met:"
                f" {len(seen)} of {len(self.witnesses)} witnesses signed",
                code="quorum",
            )
        return Trust(self._line(seen), seen)

    def _check_log(self, checkpoint: Checkpoint, verifiers: Verifiers) -> None:
        keys = [key for key in self.logs if key.name == checkpoint.head.origin]
        signed = [key for key in keys if _lines(checkpoint, key)]
        if not signed:
            raise Corrupt(
                "the proof is of a log that this policy does not list", code="wrong-policy"
            )
        for key in keys:
            lines = _lines(checkpoint, key)
            if not lines:
                raise Corrupt(
                    f"the checkpoint lacks the log's {_ALGORITHM[key.type]} signature",
                    code=_MISSING[key.type],
                )
            if not all(holds(key, line, checkpoint, verifiers) for line in lines):
                raise Corrupt(
                    f"the log's {_ALGORITHM[key.type]} signature does not verify",
                    code="bad-signature",
                )

    def _met(self, name: str, seen: Sequence[str]) -> bool:
        group = self.groups.get(name)
        if group is None:
            return name in seen
        return sum(self._met(member, seen) for member in group.members) >= group.threshold

    def _line(self, seen: Sequence[str]) -> str:
        if self.quorum == "none":
            return "operator only: history can be rewritten by this operator"
        group = self.groups.get(self.quorum)
        if group is None:
            return f"operator and witness {self.quorum}"
        met = sum(self._met(member, seen) for member in group.members)
        return f"operator and {met} of {len(group.members)} in {self.quorum}"


def _lines(checkpoint: Checkpoint, key: VerifierKey) -> list[Signature]:
    name, key_id = key.name, key.id
    return [s for s in checkpoint.note.signatures if s.name == name and s.key_id == key_id]


def policy_text(
    logs: Iterable[VerifierKey], witnesses: Iterable[tuple[str, VerifierKey]] = ()
) -> str:
    """A policy for these log keys; with witnesses, all of them make the quorum."""
    witnesses = list(witnesses)
    lines = [f"log {key}" for key in logs]
    lines += [f"witness {name} {key}" for name, key in witnesses]
    if not witnesses:
        lines.append("quorum none")
    elif len(witnesses) == 1:
        lines.append(f"quorum {witnesses[0][0]}")
    else:
        lines.append("group all-witnesses all " + " ".join(name for name, _ in witnesses))
        lines.append("quorum all-witnesses")
    return "\n".join(lines) + "\n"


def parse_policy(text: str | bytes) -> Policy:
    """A policy file; Corrupt (code ``policy``, with the line) unless it is a valid one."""
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    if len(data) > _MAX_BYTES:
        raise Corrupt("policy: too long", code="policy")
    reader = _Reader()
    for number, raw in enumerate(data.split(b"\n"), 1):
        if any((c < 32 and c != 9) or c == 127 for c in raw):
            raise _wrong(number, "control character")
        words = raw.decode("utf-8", "surrogateescape").replace("\t", " ").split(" ")
        words = [word for word in words if word]
        if words and not words[0].startswith("#"):
            reader.line(number, words)
    if reader.quorum is None:
        raise Corrupt("policy: there is no quorum line", code="policy")
    return Policy(
        tuple(reader.logs),
        reader.witnesses,
        reader.groups,
        reader.quorum,
        hashlib.sha256(data).hexdigest()[:16],
    )


class _Reader:
    """The definitions so far."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[str, VerifierKey] = {}
        self.groups: dict[str, Group] = {}
        self.quorum: str | None = None
        self._used: set[str] = set()

    def line(self, number: int, words: list[str]) -> None:
        read = {
            "log": self._log,
            "witness": self._witness,
            "group": self._group,
            "quorum": self._quorum,
        }.get(words[0])
        if read is None:
            raise _wrong(number, "unknown keyword")
        read(number, words[1:])

    def _log(self, number: int, words: list[str]) -> None:
        if len(words) not in (1, 2):
            raise _wrong(number, "log takes a key and at most a URL")
        key = _key(number, words[0], _LOG_TYPES)
        if any(key.public == other.public for other in self.logs):
            raise _wrong(number, "the same log key twice")
        self.logs.append(key)

    def _witness(self, number: int, words: list[str]) -> None:
        if len(words) not in (2, 3):
            raise _wrong(number, "witness takes a name, a key and at most a URL")
        key = _key(number, words[1], _WITNESS_TYPES)
        if any(key.public == other.public for other in self.witnesses.values()):
            raise _wrong(number, "the same witness key twice")
        self._new_name(number, words[0])
        self.witnesses[words[0]] = key

    def _group(self, number: int, words: list[str]) -> None:
        if len(words) < 3:
            raise _wrong(number, "group takes a name, a threshold and members")
        name, threshold, members = words[0], words[1], words[2:]
        for member in members:
            self._check_known(number, member)
            if member in self._used:
                raise _wrong(number, "a member is listed twice")
            self._used.add(member)
        counts = {"all": len(members), "any": 1}
        k = counts.get(threshold) or (
            int(threshold) if threshold.isascii() and threshold.isdigit() else 0
        )
        if not 1 <= k <= len(members):
            raise _wrong(number, "the threshold is not between 1 and the number of members")
        self._new_name(number, name)
        self.groups[name] = Group(k, tuple(members))

    def _quorum(self, number: int, words: list[str]) -> None:
        if len(words) != 1 or self.quorum is not None:
            raise _wrong(number, "there is one quorum line with one name")
        if words[0] != "none":
            self._check_known(number, words[0])
        self.quorum = words[0]

    def _new_name(self, number: int, name: str) -> None:
        if name == "none" or name in self.witnesses or name in self.groups:
            raise _wrong(number, "the name is taken")

    def _check_known(self, number: int, name: str) -> None:
        if name not in self.witnesses and name not in self.groups:
            raise _wrong(number, "a name is not defined on a line before")


def _key(number: int, text: str, types: tuple[int, ...]) -> VerifierKey:
    try:
        key = parse_vkey(text)
    except Corrupt as error:
        raise _wrong(number, error.message) from None
    if key.type not in types:
        raise _wrong(number, "the key's signature type does not fit its role")
    return key


def _wrong(number: int, why: str) -> Corrupt:
    return Corrupt(f"policy line {number}: {why}", code="policy", where=f"line {number}")
