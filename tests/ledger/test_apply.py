"""What the log takes and what it refuses: a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_bridge.fbe1 import control_body, parse_control
from fhir_bridge.ledger import Append, Appended, AuditRow, Entry, Reader, Refused, Writer, apply
from tests.ledger.authors import MEMBER, ORIGIN, Author, writer

CELL = b"c" * 16
CLAIM = b"n" * 32


@pytest.fixture
def log(tmp_path: Path) -> Writer:
    return writer(tmp_path / "ledger.db")


def _one(log: Writer, append: Append) -> object:
    [outcome] = log.commit([append])
    return outcome


def _flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


def _unsigned(entry: Entry) -> Entry:
    return Entry(_flip(entry.leaf, len(entry.leaf) - 1), entry.body)


Case = Callable[[Author, Author], Append]
REFUSED: dict[str, tuple[str, Case]] = {
    "a leaf too short": ("malformed", lambda a, b: Append((Entry(b"x", b""),))),
    "a body that is not the named one": (
        "malformed",
        lambda a, b: Append((Entry(a.entry().leaf, b"another"),)),
    ),
    "a hint of the wrong length": (
        "malformed",
        lambda a, b: Append((Entry(a.entry(b"x").leaf, b"x", b"", b"hint"),)),
    ),
    "a bump of the wrong length": (
        "malformed",
        lambda a, b: Append((a.entry(),), bumps=(b"short",)),
    ),
    "an entry for another log": (
        "wrong-origin",
        lambda a, b: Append((Author("worker", origin="elsewhere.example").entry(),)),
    ),
    "an author nobody knows": ("unknown-author", lambda a, b: Append((Author("nobody").entry(),))),
    "another member's name": (
        "wrong-member",
        lambda a, b: Append((Author("worker", member="another").entry(),)),
    ),
    "a step left out": (
        "author-sequence",
        lambda a, b: Append((a.entry(), a.entry())[1:]),
    ),
    "the same place twice": (
        "author-sequence",
        lambda a, b: Append((a.entry(advance=False), a.entry())),
    ),
    "a claim twice in one append": (
        "claim-taken",
        lambda a, b: Append((a.entry(claims=(CLAIM,)), b.entry(claims=(CLAIM,)))),
    ),
    "a void from a worker": (
        "control-kind",
        lambda a, b: Append((a.control("void", key_id=b.key_id.hex(), seq=3, entry_id="00" * 32),)),
    ),
    "an audit leaf from a worker": (
        "control-kind",
        lambda a, b: Append((a.control("audit", root="00" * 32, count=1),)),
    ),
    "a second genesis": ("control-kind", lambda a, b: Append((a.control("genesis"),))),
    "a key twice": ("key-known", lambda a, b: Append((a.key_add(),))),
    "somebody else's key": (
        "key-known",
        lambda a, b: Append(
            (
                a.control(
                    "key.add",
                    key=Author("new").signer.public.hex(),
                    key_id=Author("new").key_id.hex(),
                    member=MEMBER,
                    use="author",
                ),
            )
        ),
    ),
    "a key for another member": (
        "wrong-member",
        lambda a, b: Append(
            (
                (n := Author("new")).control(
                    "key.add",
                    key=n.signer.public.hex(),
                    key_id=n.key_id.hex(),
                    member="x",
                    use="author",
                ),
            )
        ),
    ),
    "a key without proof of possession": (
        "signature",
        lambda a, b: Append((_unsigned(Author("new").key_add()),)),
    ),
    "retiring somebody else": (
        "control-kind",
        lambda a, b: Append((a.control("key.retire", key_id=b.key_id.hex()),)),
    ),
    "a control body that is none": (
        "malformed",
        lambda a, b: Append((a.entry(b"fbe1c\x01{}", control=True),)),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str, log: Writer) -> None:
    code, make = REFUSED[case]
    one, two = Author().joined(log), Author("other").joined(log)
    size = log.head().size
    outcome = _one(log, make(one, two))
    assert isinstance(outcome, Refused)
    assert outcome.code == code
    voids = outcome.size - size
    assert log.head().size == outcome.size
    assert voids <= 2


def test_the_refused_position_is_named(log: Writer) -> None:
    a = Author().joined(log)
    assert isinstance(_one(log, Append((a.entry(claims=(CLAIM,)),))), Appended)
    outcome = _one(log, Append((a.entry(), a.entry(claims=(CLAIM,)))))
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.position) == ("claim-taken", 1)


def test_a_guard_holds_until_its_cell_is_bumped_behind_what_was_read(log: Writer) -> None:
    a = Author().joined(log)
    seen = log.head().size
    assert isinstance(_one(log, Append((a.entry(),), bumps=(CELL,))), Appended)
    row = (AuditRow(b"a"),)
    stale = _one(log, Append(guards=((b"d" * 16, 0), (CELL, seen)), audits=row))
    assert isinstance(stale, Refused)
    assert (stale.code, stale.position) == ("stale-guard", 1)
    assert isinstance(_one(log, Append(guards=((CELL, seen + 1),), audits=row)), Appended)


def test_of_too_many_cells_the_oldest_are_told_by_one_size(
    log: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply, "MOST_CELLS", 4)
    a, row = Author().joined(log), (AuditRow(b"a"),)
    cells = [b"%016d" % n for n in range(5)]
    sizes = []
    for cell in cells:
        assert isinstance(_one(log, Append((a.entry(),), bumps=(cell,))), Appended)
        sizes.append(log.head().size)
    assert len(log._state.cells) == 3

    def stale(cell: bytes, seen: int) -> bool:
        return isinstance(_one(log, Append(guards=((cell, seen),), audits=row)), Refused)

    assert stale(cells[0], sizes[0]), "it may have been bumped up to the floor"
    assert stale(b"never".ljust(16), sizes[1] - 1), "nor is that known of a cell never seen"
    assert not stale(cells[0], sizes[1])
    assert stale(cells[4], sizes[4] - 1)
    assert not stale(cells[3], sizes[3])


def test_of_two_with_the_same_guard_in_one_commit_the_first_wins(log: Writer) -> None:
    a = Author().joined(log)
    guards = ((CELL, log.head().size),)
    appends = [Append((a.entry(),), guards=guards, bumps=(CELL,)) for _ in range(2)]
    first, second = log.commit(appends)
    assert isinstance(first, Appended)
    assert isinstance(second, Refused)


def test_a_refused_append_is_closed_by_voids_and_its_audit_rows_are_void(
    log: Writer, tmp_path: Path
) -> None:
    a, b = Author().joined(log), Author("other").joined(log)
    _one(log, Append((a.entry(claims=(CLAIM,)),)))
    size = log.head().size
    refused = Append(
        (a.entry(), b.entry(claims=(CLAIM,)), a.entry()), audits=(AuditRow(b"row", b"h" * 16),)
    )
    after = Append((a.entry(), b.entry()), audits=(AuditRow(b"fine"),))
    outcomes = log.commit([refused, after])
    assert isinstance(outcomes[0], Refused)
    assert isinstance(outcomes[1], Appended)
    assert outcomes[1].first_index == size + 3
    assert outcomes[1].first_audit == 1
    reader = Reader(tmp_path / "ledger.db")
    rows = reader.rows(size, log.head().size)
    values = [parse_control(row.body or b"") for row in rows[:3]]
    assert [(v["kind"], v["seq"]) for v in values] == [("void", 3), ("void", 2), ("void", 4)]
    assert parse_control(rows[-1].body or b"")["kind"] == "audit"
    audits = reader.audit_rows(0, 10)
    assert [(r.status, r.sealed) for r in audits] == [(1, b"row"), (0, b"fine")]
    assert reader.audit_batch(audits[0].index) == audits
    reader.close()


def test_a_retired_key_writes_no_more_but_its_retirement_stands(log: Writer) -> None:
    a = Author().joined(log)
    assert isinstance(
        _one(log, Append((a.control("key.retire", key_id=a.key_id.hex()),))), Appended
    )
    for entry in (a.entry(), a.key_add()):
        outcome = _one(log, Append((entry,)))
        assert isinstance(outcome, Refused)
    retire_in_between = Author("third").joined(log)
    pair = (
        retire_in_between.control("key.retire", key_id=retire_in_between.key_id.hex()),
        retire_in_between.entry(),
    )
    outcome = _one(log, Append(pair))
    assert isinstance(outcome, Refused)
    assert (outcome.code, outcome.position) == ("retired-author", 1)


def test_the_sequencer_key_cannot_be_retired_by_anybody(log: Writer) -> None:
    a = Author().joined(log)
    outcome = _one(log, Append((a.control("key.retire", key_id=log._author.key_id.hex()),)))
    assert isinstance(outcome, Refused)


def test_the_same_entries_again_give_the_same_outcome(log: Writer, tmp_path: Path) -> None:
    a = Author().joined(log)
    append = Append((a.entry(), a.entry()), audits=(AuditRow(b"row"),))
    once, twice = log.commit([append, append])
    assert once == twice
    size = log.head().size
    assert _one(log, append) == once
    assert log.head().size == size
    log.close()
    again = writer(tmp_path / "ledger.db")
    outcome = _one(again, append)
    assert isinstance(outcome, Appended)
    assert isinstance(once, Appended)
    assert outcome.first_index == once.first_index
    assert again.head().size == size


def test_a_log_begins_with_its_genesis_and_the_sequencers_key(log: Writer, tmp_path: Path) -> None:
    reader = Reader(tmp_path / "ledger.db")
    genesis, add = (parse_control(row.body or b"") for row in reader.rows(0, 2))
    assert (genesis["kind"], genesis["origin"], add["kind"]) == ("genesis", ORIGIN, "key.add")
    assert reader.author_chain(log._author.key_id) is not None
    assert reader.author_chain(bytes(16)) is None
    assert control_body(**add) == (reader.row(1).body or b"")
    reader.close()
