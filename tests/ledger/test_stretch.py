"""Looking at entries ahead changes what judging costs, never what comes of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_bridge.errors import Fault
from fhir_bridge.ledger import Append, Appended, Entry, Refused
from fhir_bridge.ledger.apply import State, Turn, examine
from fhir_bridge.ledger.claims import claim_key
from fhir_bridge.ledger.engines.sqlite.prepared import Prepared
from tests.ledger.authors import ORIGIN, Author, writer
from tests.tiers import count, seed

TAKEN = b"t" * 32
CELL = b"c" * 16


def test_judged_as_a_stretch_as_if_judged_one_by_one(tmp_path: Path) -> None:
    rng = random.Random(seed())
    log = writer(tmp_path / "ledger.db")
    known = [Author(name).joined(log) for name in ("one", "two", "gone")]
    log.commit([Append((known[2].control("key.retire", key_id=known[2].key_id.hex()),))])
    state: State = log._state
    state.claims.add([claim_key(TAKEN)])
    state.bump({CELL: 7})
    seen: dict[str, int] = {}
    for _ in range(count(2000)):
        append = _append(rng, known)
        outcomes = [_judged(state, append, ahead=ahead) for ahead in (False, True)]
        assert outcomes[0] == outcomes[1]
        code = str(outcomes[0][0]) or "taken"
        seen[code] = seen.get(code, 0) + 1
    assert set(seen) >= {
        *("taken", "author-sequence", "claim-taken", "malformed", "wrong-origin"),
        *("unknown-author", "wrong-member", "retired-author", "stale-guard"),
    }


def test_most_appends_are_taken_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    log = writer(tmp_path / "ledger.db")
    author = Author().joined(log)

    def never(*_: object) -> None:
        raise Fault("judged entry by entry", code="test")

    monkeypatch.setattr(Turn, "_judge", never)
    many = Append(tuple(author.entry(claims=(bytes([n]) * 32,)) for n in range(200)))
    one = Append((author.entry(),))
    assert [type(outcome) for outcome in log.commit([many, one])] == [Appended, Appended]


def _judged(state: State, append: Append, *, ahead: bool) -> tuple[object, ...]:
    """What becomes of it, and everything that a later append would be judged by."""
    ready = Prepared.of(append)
    while not ready.is_ready:
        ready.examine(3)
    turn = Turn(state)
    examined = list(map(examine, append.entries))
    outcome = turn.admit(append, examined, 50, stretch=ready.stretch if ahead else None)
    code = outcome.code if isinstance(outcome, Refused) else ""
    position = outcome.position if isinstance(outcome, Refused) else -1
    return code, position, turn.chains, turn.claims, turn.authors, turn._cells, turn.sequencer


def _append(rng: random.Random, known: list[Author]) -> Append:
    """One author's chain, mostly; sometimes with one thing wrong with it."""
    authors = [_copy(author) for author in known]
    author = authors[0] if rng.random() < 0.9 else authors[2]
    entries: list[Entry] = []
    fault = rng.choice(("", "", *_FAULTS))
    length = rng.randint(1, 8)
    at = rng.randrange(length)
    for n in range(length):
        if n == at and fault:
            entries += _FAULTS[fault](author, authors)
        else:
            entries.append(author.entry(claims=(rng.randbytes(32),) * rng.randint(0, 1)))
    guards = ((CELL, rng.choice((6, 7))),) if rng.random() < 0.1 else ()
    return Append(tuple(entries), guards=guards, bumps=(CELL,))


def _copy(author: Author) -> Author:
    """The same author where the log knows it."""
    twin = Author.__new__(Author)
    twin.__dict__.update(author.__dict__)
    return twin


def _flaw(author: Author, **other: str) -> list[Entry]:
    """An entry of the same chain in another name."""
    for name, value in other.items():
        setattr(author, name, value)
    return [author.entry()]


def _gap(author: Author) -> list[Entry]:
    author.entry()
    return [author.entry()]


def _usurped(author: Author, other: Author) -> list[Entry]:
    """Another key's entry in this very place."""
    other.seq, other.previous = author.seq, author.previous
    entry = other.entry()
    author.seq, author.previous = other.seq, other.previous
    return [entry]


_FAULTS: dict[str, Callable[[Author, list[Author]], list[Entry]]] = {
    "usurped": lambda a, all_: _usurped(a, all_[1]),
    "gap": lambda a, _: _gap(a),
    "twice": lambda a, _: [a.entry(advance=False), a.entry()],
    "taken": lambda a, _: [a.entry(claims=(TAKEN,))],
    "same claim": lambda a, _: [a.entry(claims=(b"s" * 32,)), a.entry(claims=(b"s" * 32,))],
    "malformed": lambda a, _: [Entry(b"leaf", b"")],
    "other body": lambda a, _: [Entry(a.entry().leaf, b"other")],
    "origin": lambda a, _: _flaw(a, origin="elsewhere.example/log"),
    "member": lambda a, _: _flaw(a, member="somebody-else"),
    "between": lambda a, all_: [a.entry(), all_[1].entry(), a.entry()],
    "stranger": lambda a, _: [Author("nobody").entry()],
    "retired": lambda a, all_: [all_[2].entry()],
    "new key": lambda a, _: [Author("new", ORIGIN).key_add(), a.entry()],
    "void": lambda a, _: [a.control("void", key_id=a.key_id.hex(), seq=3, entry_id="00" * 32)],
}
