"""The state machine of the log: which entries are taken, and what is refused and why.

No input or output and no clock: the same appends in the same order give the same outcomes and
the same state in every engine. A ``Turn`` judges the appends of one commit on top of the
durable ``State`` and touches the state only when the commit has succeeded (``settle``).

What it knows of an entry: origin, author key, place in the author's chain, claims, and the
control kinds that change these (genesis, key.add, key.retire, void). Everything else in a body
is noise to it. Signatures are the authors' own affair (``verify_log`` and proofs check them);
only control entries, which are rare, have theirs checked here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from msgspec import Struct

from fhir_bridge.errors import Corrupt
from fhir_bridge.fbe1 import (
    FIRST,
    Core,
    Kind,
    decode_core,
    entry_id,
    key_id,
    parse_control,
    signed_bytes,
    split_leaf,
)
from fhir_bridge.ledger.claims import Claims, claim_key
from fhir_bridge.ledger.contract import (
    CELL_BYTES,
    HINT_BYTES,
    Append,
    Appended,
    Entry,
    Refused,
    Verify,
)
from fhir_bridge.ledger.merkle import leaf_hash
from fhir_bridge.ledger.stretch import Stretch

__all__ = [
    "RECENT",
    "Author",
    "Chain",
    "Examined",
    "Read",
    "State",
    "Turn",
    "examine",
    "first_entry_id",
    "read_entry",
]

RECENT = 16_384
MOST_CELLS = 65_536
WRITER_KINDS = frozenset({"genesis", "void", "audit"})
"""Only the sequencer itself writes these."""

Chain = tuple[int, bytes]
"""Sequence number and entry id of an author key's last entry."""


@dataclass(frozen=True, slots=True)
class Author:
    """An author key as the log knows it."""

    member: str
    public: bytes
    added: int
    """Index of its key.add entry; -1 for the genesis key until that is appended."""
    retired: int = -1
    """Index of its key.retire entry, or -1."""


class Read(Struct, frozen=True, gc=False):
    """An entry taken apart."""

    core: Core
    core_bytes: bytes
    body_hash: bytes
    signature: bytes
    id: bytes


class Examined(Struct, frozen=True, gc=False):
    """What can be told of an entry without the log."""

    read: Read
    leaf_hash: bytes


class State:
    """What is durable, as far as judging needs it."""

    def __init__(self, origin: str, verify: Verify | None = None) -> None:
        self.origin = origin
        self.verify = verify
        self.sequencer = b""
        """Key id of the genesis key, which signs control entries of the log itself."""
        self.authors: dict[bytes, Author] = {}
        self.chains: dict[bytes, Chain] = {}
        self.claims = Claims()
        self.cells: dict[bytes, int] = {}
        self.floor = 0
        """A cell that is not in memory was last bumped at this size at the latest."""
        self._recent: dict[bytes, Appended | Refused] = {}
        self._older: dict[bytes, Appended | Refused] = {}

    def outcome_of(self, first_entry: bytes) -> Appended | Refused | None:
        """What became of an append whose first entry has this id, if it is remembered."""
        return self._recent.get(first_entry) or self._older.get(first_entry)

    def bump(self, cells: dict[bytes, int]) -> None:
        """Take these cells; of too many, the half that was bumped first goes below the floor."""
        self.cells.update(cells)
        if len(self.cells) > MOST_CELLS:
            order = sorted(self.cells, key=self.cells.__getitem__)
            old = order[: len(order) // 2]
            self.floor = self.cells[old[-1]]
            for cell in old:
                del self.cells[cell]

    def remember(self, outcomes: dict[bytes, Appended | Refused]) -> None:
        """Keep the outcomes of the last 16,384 appends at least, of twice that at most."""
        self._recent.update(outcomes)
        if len(self._recent) >= RECENT:
            self._older, self._recent = self._recent, {}


class _Refusal(Exception):
    def __init__(self, code: str, position: int) -> None:
        self.code = code
        self.position = position


class Turn:
    """One commit's worth of judging."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.authors: dict[bytes, Author] = {}
        self.chains: dict[bytes, Chain] = {}
        self.claims: set[int] = set()
        self._cells: dict[bytes, int] = {}
        self._outcomes: dict[bytes, Appended | Refused] = {}
        self._sequencer = state.sequencer

    def known(self, first_entry: bytes) -> Appended | Refused | None:
        """What became of the append whose first entry has this id, where it is remembered."""
        return self._state.outcome_of(first_entry)

    def admit(
        self,
        append: Append,
        examined: Sequence[Examined | None],
        index: int,
        *,
        own: bool = False,
        stretch: Stretch | None = None,
    ) -> Refused | None:
        """Take all entries, the first of them at ``index``, or none and say why.

        ``examined``: each entry as `examine` found it. ``own``: the sequencer's control entries,
        which nobody else may write. ``stretch``: the same entries, all of them; it changes what
        judging costs, not what comes of it.
        """
        try:
            self._check_guards(append)
            if stretch is None or not self._goes_on_with(stretch):
                self._judge(append, examined, index, own)
        except _Refusal as refusal:
            return Refused(refusal.code, refusal.position)
        for cell in append.bumps:
            self._cells[cell] = index + len(append.entries)
        return None

    def _goes_on_with(self, stretch: Stretch) -> bool:
        """Take the stretch if it fits as a whole; else it has to be judged entry by entry."""
        author = self.author(stretch.key_id)
        fits = (
            stretch.holds
            and author is not None
            and author.retired < 0
            and (stretch.origin, stretch.member) == (self.origin, author.member)
            and self.chain(stretch.key_id) == stretch.start
            and self.claims.isdisjoint(stretch.claims)
            and not self._state.claims.has_any(stretch.claims)
        )
        if fits:
            self.chains[stretch.key_id] = stretch.end
            self.claims |= stretch.claims
        return fits

    def _judge(
        self, append: Append, examined: Sequence[Examined | None], index: int, own: bool
    ) -> None:
        """Entry by entry; nothing is taken where one is refused."""
        draft = _Draft(self)
        for position, (entry, found) in enumerate(zip(append.entries, examined, strict=True)):
            if found is None:
                raise _Refusal("malformed", position)
            draft.take(found.read, entry.body, position, index + position, own)
        self.authors.update(draft.authors)
        self.chains.update(draft.chains)
        self.claims |= draft.claims
        self._sequencer = draft.sequencer

    def voidable(self, entries: Sequence[Entry]) -> list[tuple[bytes, int, bytes]]:
        """``(key id, seq, entry id)`` of refused entries that were next in their chains.

        The chains move on as if the entries had been taken: a void entry closes each gap.
        """
        closed = []
        for entry in entries:
            try:
                read = read_entry(entry.leaf)
            except Corrupt:
                continue
            key = read.core.key_id
            author = self.author(key)
            if author is None or author.retired >= 0:
                continue
            if (read.core.seq - 1, read.core.previous) == self.chain(key):
                self.chains[key] = (read.core.seq, read.id)
                closed.append((key, read.core.seq, read.id))
        return closed

    def note(self, first_entry: bytes, outcome: Appended | Refused) -> None:
        """Remember the outcome for a second submission of the same entries."""
        self._outcomes[first_entry] = outcome

    def settle(self) -> None:
        """The commit is durable: make it the state."""
        state = self._state
        state.authors.update(self.authors)
        state.chains.update(self.chains)
        state.claims.add(self.claims)
        state.bump(self._cells)
        state.sequencer = self._sequencer
        state.remember(self._outcomes)

    def author(self, key: bytes) -> Author | None:
        return self.authors.get(key) or self._state.authors.get(key)

    def chain(self, key: bytes) -> Chain:
        return self.chains.get(key) or self._state.chains.get(key) or (0, FIRST)

    def taken(self, claim: int) -> bool:
        return claim in self.claims or claim in self._state.claims

    @property
    def origin(self) -> str:
        return self._state.origin

    @property
    def verify(self) -> Verify | None:
        return self._state.verify

    @property
    def sequencer(self) -> bytes:
        return self._sequencer

    def _cell(self, cell: bytes) -> int:
        if cell in self._cells:
            return self._cells[cell]
        return self._state.cells.get(cell, self._state.floor)

    def _check_guards(self, append: Append) -> None:
        for position, (cell, expected) in enumerate(append.guards):
            if self._cell(cell) > expected:
                raise _Refusal("stale-guard", position)
        if any(len(c) != CELL_BYTES for c in append.bumps):
            raise _Refusal("malformed", 0)


class _Draft:
    """The entries of one append, judged one after the other, not yet taken."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self.authors: dict[bytes, Author] = {}
        self.chains: dict[bytes, Chain] = {}
        self.claims: set[int] = set()
        self.sequencer = turn.sequencer
        self._origin = turn.origin
        self._known: tuple[bytes, str] | None = None
        """Key id and member of the entry before: they need no second look."""
        self._chain: Chain = (0, FIRST)

    def take(self, read: Read, body: bytes, position: int, index: int, own: bool) -> None:
        core = read.core
        key = core.key_id
        if core.origin != self._origin:
            raise _Refusal("wrong-origin", position)
        control = core.kind is Kind.CONTROL
        if control:
            self._control(read, body, position, index, own)
        if control or self._known != (key, core.member):
            self._check_author(core, position, index)
            # A control entry may change what the next one is judged by.
            self._known = None if control else (key, core.member)
            self._chain = self.chains.get(key) or self._turn.chain(key)
        if (core.seq - 1, core.previous) != self._chain:
            raise _Refusal("author-sequence", position)
        for claim in map(claim_key, core.claims):
            if claim in self.claims or self._turn.taken(claim):
                raise _Refusal("claim-taken", position)
            self.claims.add(claim)
        self._chain = self.chains[key] = (core.seq, read.id)

    def _author(self, key: bytes) -> Author | None:
        return self.authors.get(key) or self._turn.author(key)

    def _check_author(self, core: Core, position: int, index: int) -> None:
        author = self._author(core.key_id)
        if author is None:
            raise _Refusal("unknown-author", position)
        if author.retired not in (-1, index):
            raise _Refusal("retired-author", position)
        if author.member != core.member:
            raise _Refusal("wrong-member", position)

    def _control(self, read: Read, body: bytes, position: int, index: int, own: bool) -> None:
        try:
            value = parse_control(body)
            self._transition(read, value, position, index, own)
        except (Corrupt, ValueError, TypeError):
            raise _Refusal("malformed", position) from None
        if not own:
            self._check_signature(read, position)

    def _transition(
        self, read: Read, value: dict[str, Any], position: int, index: int, own: bool
    ) -> None:
        kind, key = value["kind"], read.core.key_id
        if kind in WRITER_KINDS and not own:
            raise _Refusal("control-kind", position)
        if kind == "genesis":
            if index != 0 or self.sequencer:
                raise _Refusal("control-kind", position)
            self.authors[key] = Author(read.core.member, _added_key(value, key), -1)
            self.sequencer = key
        elif kind == "key.add":
            # Signed by the key it adds: that is the proof of possession.
            known = self._author(key)
            if known is not None and known.added >= 0:
                raise _Refusal("key-known", position)
            if value["member"] != read.core.member:
                raise _Refusal("wrong-member", position)
            self.authors[key] = Author(read.core.member, _added_key(value, key), index)
        elif kind == "key.retire":
            self._retire(bytes.fromhex(value["key_id"]), key, position, index)

    def _retire(self, retired: bytes, by: bytes, position: int, index: int) -> None:
        known = self._author(retired)
        if known is None or known.retired >= 0 or by not in (retired, self.sequencer):
            raise _Refusal("control-kind", position)
        if retired == self.sequencer:
            raise _Refusal("control-kind", position)
        self.authors[retired] = replace(known, retired=index)

    def _check_signature(self, read: Read, position: int) -> None:
        verify, author = self._turn.verify, self._author(read.core.key_id)
        if verify is None or author is None:
            return
        message = signed_bytes(read.core_bytes, read.body_hash)
        if not verify(author.public, message, read.signature):
            raise _Refusal("signature", position)


def examine(entry: Entry) -> Examined | None:
    """An entry taken apart, its body being the one that it names; None: it is malformed."""
    try:
        read = read_entry(entry.leaf)
    except Corrupt:
        return None
    if hashlib.sha256(entry.body).digest() != read.body_hash:
        return None
    if len(entry.hint) not in (0, HINT_BYTES):
        return None
    return Examined(read, leaf_hash(entry.leaf))


def read_entry(leaf: bytes) -> Read:
    """The parts of a leaf; Corrupt when it is not well formed."""
    core_bytes, body_hash, signature = split_leaf(leaf)
    return Read(
        decode_core(core_bytes),
        core_bytes,
        body_hash,
        signature,
        entry_id(core_bytes, body_hash),
    )


def first_entry_id(entries: Sequence[Entry]) -> bytes | None:
    """The id of the first entry, by which an append is known; None without a readable one."""
    if not entries:
        return None
    try:
        core, body_hash, _ = split_leaf(entries[0].leaf)
    except Corrupt:
        return None
    return entry_id(core, body_hash)


def _added_key(value: dict[str, Any], author: bytes) -> bytes:
    """The public key that a genesis or key.add body brings; ValueError unless it is its author."""
    public = bytes.fromhex(value["key"])
    if len(public) != 32 or key_id(public) != author or value["key_id"] != author.hex():
        raise ValueError("the key does not belong to its id")
    return public
