"""The locator's answers against a list scan, and what hidden rows may change: nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as changed

from fhir_bridge.errors import Fault, Unsupported
from fhir_bridge.locator import Facts, Hit, Locator, LocatorWriter, Page, Row
from tests.locator.made import (
    CODE,
    DATE,
    KEY,
    PATIENTS,
    STATUS,
    SUBJECT,
    Ask,
    By,
    Follow,
    Search,
    current,
    hidden_more,
    matches,
    some_rows,
    some_search,
)
from tests.tiers import count, seed

See = Callable[[Facts], bool]


def everyone(facts: Facts) -> bool:
    return True


def not_b(facts: Facts) -> bool:
    return facts.author != "B"


def not_hidden(facts: Facts) -> bool:
    return facts.author != "H"


def only_normal(facts: Facts) -> bool:
    return facts.classes == ("normal",)


def built(path: Path, rows: Sequence[Row], batch: int = 97, **bounds: Any) -> Locator:
    writer = LocatorWriter(path, KEY)
    for at in range(0, len(rows), batch):
        part = list(rows[at : at + batch])
        random.Random(at).shuffle(part)
        writer.index(part, upto=rows[min(at + batch, len(rows)) - 1].index + 1)
    writer.close()
    return Locator(path, KEY, **bounds)


def gate(locator: Locator, see: See) -> Callable[[int], bool]:
    return lambda group: see(locator.facts(group))


def pages(locator: Locator, search: Search, see: See) -> list[Page]:
    found = [locator.search(search, gate(locator, see))]
    while found[-1].next_key is not None:
        found.append(locator.search(search, gate(locator, see), found[-1].next_key))
        assert len(found) < 10_000
    return found


def all_hits(found: Iterable[Page]) -> list[Hit]:
    return [hit for page in found for hit in page.hits]


def test_random_searches_agree_with_a_list_scan(tmp_path: Path) -> None:
    rnd = random.Random(seed())
    for n in range(4):
        rows = some_rows(rnd, 400)
        locator = built(tmp_path / f"{n}.db", rows)
        for _ in range(count(2_000) // 4):
            search = some_search(rnd)
            see = rnd.choice((everyone, not_b, only_normal))
            expected = matches(rows, search, see)
            found = pages(locator, search, see)
            assert [h.index for h in all_hits(found)] == [r.index for r in expected], search
            assert all(len(page.hits) == search.count for page in found[:-1])
            wanted_total = len(expected) if search.total else None
            assert all(page.total == wanted_total for page in found)
        locator.close()


def test_hits_carry_what_was_written(tmp_path: Path) -> None:
    rows = some_rows(random.Random(seed()), 300)
    rows.append(
        changed(
            rows[-1],
            index=rows[-1].index + 1,
            type="Observation",
            id="5b0bd4ee-0d3e-4c0f-8d55-3a2a6f5f1c11",
            version_id="ea8b1f1c-50d6-4b43-9b1e-5a0b5f0f6f0a",
            number=1,
            deleted=False,
        )
    )
    locator = built(tmp_path / "l.db", rows)
    for row in rows:
        hit = locator.version(row.type, row.id, row.version_id)
        assert hit is not None
        assert (hit.index, hit.number, hit.updated_us, hit.deleted, hit.id, hit.version_id) == (
            row.index,
            row.number,
            row.updated_us,
            row.deleted,
            row.id,
            row.version_id,
        )
        assert locator.facts(hit.group) == row.group


def test_current_and_history_follow_the_versions(tmp_path: Path) -> None:
    rows = some_rows(random.Random(seed() + 1), 600)
    locator = built(tmp_path / "l.db", rows, batch=31)
    by_id: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        by_id.setdefault((row.type, row.id), []).append(row)
    assert max(map(len, by_id.values())) > 3
    for (type_, id_), versions in by_id.items():
        newest = locator.current(type_, id_)
        assert newest is not None
        assert (newest.index, newest.deleted) == (versions[-1].index, versions[-1].deleted)
        expected = [row.index for row in reversed(versions)]
        assert [h.index for h in locator.history(type_, id_, count=1_000)] == expected
        later = locator.history(type_, id_, before=expected[0], count=2)
        assert [h.index for h in later] == expected[1:3]
    assert locator.current("Observation", "nobody") is None
    assert locator.current("Nothing", "nobody") is None
    assert locator.version("Patient", PATIENTS[0], "v999") is None


@pytest.mark.parametrize("total", [True, False])
def test_rows_behind_the_gate_change_nothing(tmp_path: Path, total: bool) -> None:
    rnd = random.Random(seed() + 2)
    rows = some_rows(rnd, 400)
    more = hidden_more(rnd, rows, "H")
    assert len(more) > len(rows) + 50
    bare, full = built(tmp_path / "bare.db", rows), built(tmp_path / "full.db", more)

    def seen(hits: Iterable[Hit]) -> list[Hit]:
        return [changed(hit, group=0) for hit in hits]

    for _ in range(count(1_000)):
        search = replace(some_search(rnd), total=total)
        after: tuple[Any, ...] | None = None
        for _ in range(3):
            one = bare.search(search, gate(bare, not_hidden), after)
            two = full.search(search, gate(full, not_hidden), after)
            assert (seen(one.hits), one.total, one.next_key) == (
                seen(two.hits),
                two.total,
                two.next_key,
            )
            around = [
                seen(
                    locator.includes(
                        page.hits,
                        [Follow(search.type, (SUBJECT,))],
                        [Follow("Observation", (SUBJECT,))],
                        gate(locator, not_hidden),
                        30,
                    ).hits
                )
                for locator, page in ((bare, one), (full, two))
            ]
            assert around[0] == around[1]
            after = one.next_key
            if after is None:
                break
    for patient in PATIENTS:
        assert seen(bare.everything(patient, gate(bare, not_hidden)).hits) == seen(
            full.everything(patient, gate(full, not_hidden)).hits
        )


def test_work_per_page_is_bounded_and_a_short_page_goes_on(tmp_path: Path) -> None:
    rows = some_rows(random.Random(seed() + 3), 600)
    locator = built(tmp_path / "l.db", rows, examine=7)
    looked = 0

    def counting(facts: Facts) -> bool:
        nonlocal looked
        looked += 1
        return not_b(facts)

    search = Search("Observation", (Ask("token", STATUS, ((None, "on"),)),), count=5)
    found: list[Hit] = []
    after = None
    while True:
        looked = 0
        page = locator.search(search, gate(locator, counting), after)
        assert looked <= 7
        found += page.hits
        after = page.next_key
        if after is None:
            break
    assert [h.index for h in found] == [r.index for r in matches(rows, search, not_b)]


def test_nothing_visible_gives_empty_pages_and_no_total_but_zero(tmp_path: Path) -> None:
    locator = built(tmp_path / "l.db", some_rows(random.Random(seed()), 100))
    page = locator.search(Search("Observation", total=True), lambda group: False)
    assert page == Page((), 0, None)


def test_a_sort_or_total_beyond_its_bound_is_not_guessed(tmp_path: Path) -> None:
    rows = some_rows(random.Random(seed()), 300)
    locator = built(tmp_path / "l.db", rows, sortable=50)
    assert locator.search(Search("Observation", total=True), lambda g: True).total is None
    with pytest.raises(Unsupported, match="narrow"):
        locator.search(Search("Observation", order=(By("date", DATE, True),)), lambda g: True)


def test_a_gate_that_fails_fails_the_search(tmp_path: Path) -> None:
    locator = built(tmp_path / "l.db", some_rows(random.Random(seed()), 50))

    def broken(group: int) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        locator.search(Search("Observation"), broken)
    assert locator.search(Search("Observation"), lambda g: True).hits


def test_a_gate_may_itself_search(tmp_path: Path) -> None:
    rows = some_rows(random.Random(seed()), 200)
    locator = built(tmp_path / "l.db", rows)
    search = Search("Observation", (Ask("token", STATUS, ((None, "on"),)),), count=50)

    def searching(facts: Facts) -> bool:
        inner = locator.search(search, gate(locator, everyone)).hits
        assert inner
        return not_b(facts)

    found = locator.search(search, gate(locator, searching))
    assert [h.index for h in found.hits] == [r.index for r in matches(rows, search, not_b)][:50]


def test_an_unknown_predicate_or_sort_is_a_fault(tmp_path: Path) -> None:
    locator = built(tmp_path / "l.db", some_rows(random.Random(seed()), 20))
    with pytest.raises(Fault):
        locator.search(Search("Patient", (Ask("colour", 1, ()),)), lambda g: True)
    with pytest.raises(Fault):
        locator.search(Search("Patient", order=(By("colour", 1, True),)), lambda g: True)
    with pytest.raises(Fault):
        locator.search(Search("Patient", order=(By("id", 0, True),)), lambda g: True, (1, 2, 3))


def _plan_of(locator: Locator, search: Search) -> str:
    told: list[str] = []
    db = locator._session.db
    db.trace_v2(
        1, lambda event: told.append(str(event["sql"])) if "seen(" in str(event["sql"]) else None
    )
    locator.search(search, lambda g: True)
    db.trace_v2(0, None)
    steps = db.execute(f"explain query plan {told[-1]}", [None] * told[-1].count("?")).fetchall()
    return "\n".join(str(step[3]) for step in steps)


@pytest.mark.parametrize(
    "ask",
    [
        Ask("ref", SUBJECT, (("Patient", "p1", ""),)),
        Ask("ref", SUBJECT, (("Patient", "p1", ""), ("Patient", "p2", ""))),
        Ask("token", CODE, ((None, "c1"),)),
        Ask("token", CODE, (("urn:a", "c1"),)),
        None,
    ],
)
def test_newest_first_needs_no_sorting(tmp_path: Path, ask: Ask | None) -> None:
    locator = built(tmp_path / "l.db", some_rows(random.Random(seed()), 300))
    plan = _plan_of(locator, Search("Observation", (ask,) if ask else ()))
    assert "TEMP B-TREE" not in plan
    assert "SCAN r" not in plan


def test_includes_go_both_ways_once_and_never_repeat_a_hit(tmp_path: Path) -> None:
    rows = some_rows(random.Random(seed() + 4), 400)
    locator = built(tmp_path / "l.db", rows)
    now = current(rows)
    patients = {r.id: r for r in now if r.type == "Patient"}
    search = Search("Observation", (Ask("missing", SUBJECT, ((False,),)),), count=10)
    hits = locator.search(search, gate(locator, not_b)).hits
    forward = [Follow("Observation", (SUBJECT,), "Patient")]
    found = locator.includes(hits, forward, [], gate(locator, not_b))
    by_index = {r.index: r for r in rows}
    named = {t[3] for h in hits for t in by_index[h.index].terms if t[0] == "ref" and t[3]}
    expected = {patients[p].index for p in named if p in patients and not_b(patients[p].group)}
    assert {h.index for h in found.hits} == expected
    assert found.complete
    assert locator.includes(hits, [Follow("Observation", (SUBJECT,), "Group")], [], everyone_gate)

    most = Search("Patient", (Ask("id", 0, tuple((p,) for p in PATIENTS)),), count=1)
    one = locator.search(most, gate(locator, everyone)).hits
    back = locator.includes(one, [], [Follow("Observation", (SUBJECT,), "Patient")], everyone_gate)
    pointing = {
        r.index
        for r in now
        if ("ref", SUBJECT, "Patient", one[0].id, "") in r.terms and r.index != one[0].index
    }
    assert {h.index for h in back.hits} == pointing
    cut = locator.includes(one, [], [Follow("Observation", (SUBJECT,))], everyone_gate, 1)
    assert (len(cut.hits), cut.complete) == (1, False)


def everyone_gate(group: int) -> bool:
    return True


def test_everything_and_consents_of_a_patient(tmp_path: Path) -> None:
    rows = some_rows(random.Random(seed() + 5), 400)
    locator = built(tmp_path / "l.db", rows)
    for patient in PATIENTS:
        expected = [r for r in current(rows) if patient in r.group.patients]
        found: list[int] = []
        after = None
        while True:
            page = locator.everything(patient, gate(locator, not_b), after, 7)
            found += [h.index for h in page.hits]
            if page.next_key is None:
                break
            after = page.next_key[0]
        assert found == [r.index for r in expected if not_b(r.group)]
        consents = [r.index for r in reversed(expected) if r.type == "Consent"]
        assert locator.consents_of(patient) == consents
        groups = {locator.facts(g) for g in locator.gids_of(patient)}
        assert groups == {r.group for r in rows if patient in r.group.patients}
    assert locator.everything("nobody", everyone_gate) == Page(())
    assert locator.consents_of("nobody") == []
