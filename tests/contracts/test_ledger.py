"""What every ledger engine promises (`fhir_bridge.ledger.contract.Ledger`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fhir_bridge.errors import NotFound
from fhir_bridge.fbe1 import parse_control
from fhir_bridge.ledger import (
    Append,
    Appended,
    AuditRow,
    Refused,
    log_keys,
    parse_checkpoint,
    parse_policy,
    policy_text,
    verify_log,
)
from fhir_bridge.ledger.merkle import root_of
from tests.contracts.ledger_engines import ENGINES, Engine
from tests.ledger.authors import LOG_SIGNERS, ORIGIN, VERIFIERS, Author

CELL = b"c" * 16


@pytest.fixture(params=ENGINES)
async def engine(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Engine]:
    async with ENGINES[request.param](tmp_path) as running:
        yield running
        # Whatever a test did, the file is whole.
        verify_log(running.reader.path, jobs=1)


async def _joined(engine: Engine, name: str = "worker") -> Author:
    author = Author(name)
    await engine.ledger.append(Append((author.key_add(),)))
    return author


async def test_an_outcome_is_readable_at_once_where_it_says(engine: Engine) -> None:
    author = await _joined(engine)
    entries = tuple(author.entry(b"body %d" % n) for n in range(3))
    rows = (AuditRow(b"one", b"h" * 16), AuditRow(b"two", b"i" * 16))
    outcome = await engine.ledger.append(Append(entries, rows))
    assert isinstance(outcome, Appended)
    assert engine.reader.size() == engine.reader.head().size == outcome.size
    stored = engine.reader.rows(outcome.first_index, outcome.first_index + 3)
    assert [(r.leaf, r.body, r.box, r.hint) for r in stored] == [
        (e.leaf, e.body, e.box, e.hint) for e in entries
    ]
    audits = engine.reader.audit_rows(outcome.first_audit, 2)
    assert [(a.sealed, a.hint, a.status) for a in audits] == [
        (b"one", b"h" * 16, 0),
        (b"two", b"i" * 16, 0),
    ]


async def test_an_append_of_audit_rows_alone_points_at_their_batch_leaf(engine: Engine) -> None:
    outcome = await engine.ledger.append(Append(audits=(AuditRow(b"row"),)))
    assert isinstance(outcome, Appended)
    assert engine.reader.audit_batch(outcome.first_index)[0].number == outcome.first_audit
    body = engine.reader.row(outcome.first_index).body
    assert parse_control(body or b"")["count"] == 1


async def test_what_is_submitted_together_keeps_its_order(engine: Engine) -> None:
    author = await _joined(engine)
    appends = [Append((author.entry(b"%d" % n),)) for n in range(600)]
    outcomes = await asyncio.gather(*(engine.ledger.append(a) for a in appends))
    assert all(isinstance(o, Appended) for o in outcomes)
    firsts = [o.first_index for o in outcomes if isinstance(o, Appended)]
    assert firsts == sorted(firsts)
    assert engine.reader.author_chain(author.key_id) == (author.seq, author.previous)


async def test_many_authors_write_side_by_side(engine: Engine) -> None:
    authors = [await _joined(engine, f"author {n}") for n in range(5)]

    async def write(author: Author) -> None:
        for _ in range(40):
            outcome = await engine.ledger.append(
                Append((author.entry(),), (AuditRow(author.key_id),))
            )
            assert isinstance(outcome, Appended)

    await asyncio.gather(*map(write, authors))
    for author in authors:
        assert engine.reader.author_chain(author.key_id) == (author.seq, author.previous)
    assert engine.reader.audit_count() == 200
    leaves = engine.reader.leaves(0, engine.reader.size())
    assert root_of(leaves) == engine.reader.head().root


async def test_one_refused_entry_refuses_its_whole_append_and_nobody_elses(engine: Engine) -> None:
    author, other = await _joined(engine), await _joined(engine, "other")
    claim = b"n" * 32
    appends = [
        Append((author.entry(claims=(claim,)),)),
        Append((other.entry(b"good"), other.entry(claims=(claim,))), (AuditRow(b"tried"),)),
        Append((author.entry(), other.entry()), (AuditRow(b"done"),)),
    ]
    first, refused, last = await asyncio.gather(*(engine.ledger.append(a) for a in appends))
    assert isinstance(first, Appended)
    assert isinstance(last, Appended)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.position) == ("claim-taken", 1)
    bodies = [row.body for row in engine.reader.rows(0, 100)]
    assert b"good" not in bodies
    assert [(a.sealed, a.status) for a in engine.reader.audit_rows(0, 9)] == [
        (b"tried", 1),
        (b"done", 0),
    ]
    voids = [
        v
        for v in (parse_control(b) for b in bodies if b and b[:5] == b"fbe1c")
        if v["kind"] == "void"
    ]
    assert [v["key_id"] for v in voids] == [other.key_id.hex()] * 2


async def test_a_stale_guard_is_refused_and_its_row_is_void(engine: Engine) -> None:
    author = await _joined(engine)
    seen = engine.reader.size()
    moved = await engine.ledger.append(Append((author.entry(),), bumps=(CELL,)))
    assert isinstance(moved, Appended)
    stale = await engine.ledger.append(Append((), (AuditRow(b"read"),), ((CELL, seen),)))
    assert isinstance(stale, Refused)
    assert (stale.code, stale.position) == ("stale-guard", 0)
    assert engine.reader.audit_row(0).status == 1
    fresh = await engine.ledger.append(Append((), (AuditRow(b"read"),), ((CELL, moved.size),)))
    assert isinstance(fresh, Appended)


async def test_submitting_the_same_entries_again_changes_nothing(engine: Engine) -> None:
    author = await _joined(engine)
    append = Append((author.entry(), author.entry()), (AuditRow(b"row"),))
    once = await engine.ledger.append(append)
    again = await engine.ledger.append(append)
    assert once == again
    assert engine.reader.audit_count() == 1


async def test_a_checkpoint_covers_everything_appended_before(engine: Engine) -> None:
    author = await _joined(engine)
    outcome = await engine.ledger.append(Append((author.entry(),)))
    checkpoint = parse_checkpoint(await engine.ledger.checkpoint_now())
    assert isinstance(outcome, Appended)
    assert checkpoint.head == engine.reader.head()
    assert checkpoint.head.size == outcome.size
    policy = parse_policy(policy_text(log_keys(ORIGIN, LOG_SIGNERS)))
    policy.accept(checkpoint, VERIFIERS)
    assert engine.reader.checkpoint_size() == outcome.size
    assert parse_checkpoint(engine.reader.checkpoint() or b"") == checkpoint


async def test_erasing_takes_body_and_box_and_leaves_leaf_and_receipt(engine: Engine) -> None:
    author = await _joined(engine)
    outcome = await engine.ledger.append(Append((author.entry(b"to go"), author.entry(b"stays"))))
    assert isinstance(outcome, Appended)
    receipt = Append((author.control("shred", count=1),), (AuditRow(b"shred"),))
    erased = await engine.ledger.erase(receipt, (outcome.first_index,))
    assert isinstance(erased, Appended)
    row = engine.reader.row(outcome.first_index)
    assert (row.body, row.box, row.hint) == (None, b"", b"")
    assert engine.reader.gone(outcome.first_index) == erased.first_index
    assert engine.reader.row(outcome.first_index + 1).body == b"stays"
    with pytest.raises(NotFound):
        engine.reader.row(10_000)


async def test_a_box_is_replaced_in_place(engine: Engine) -> None:
    author = await _joined(engine)
    outcome = await engine.ledger.append(Append((author.entry(),)))
    assert isinstance(outcome, Appended)
    head = engine.reader.head()
    await engine.ledger.rebox(((outcome.first_index, b"b" * 40, b"h" * 16),))
    row = engine.reader.row(outcome.first_index)
    assert (row.box, row.hint) == (b"b" * 40, b"h" * 16)
    assert engine.reader.head() == head


async def test_a_large_entry_goes_through(engine: Engine) -> None:
    author = await _joined(engine)
    body = bytes(range(256)) * 12_000
    outcome = await engine.ledger.append(Append((author.entry(body),)))
    assert isinstance(outcome, Appended)
    assert engine.reader.row(outcome.first_index).body == body
