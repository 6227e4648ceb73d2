"""The benchmark measures what it says: its records are valid, its checks bite, its page adds up."""

from __future__ import annotations

import http.server
import json
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.check import Counts, Void, check_answers, count, reconcile
from benchmarks.load import Answer, Load, Target, decode, run_wrk, samples
from benchmarks.records import Maker, text, transaction


def _load(answers: int = 100, wrong: int = 0, lost: int = 0) -> Load:
    return Load(answers, 1.0, wrong, lost, 1, 2, 3, 4)


def _served(maker: Maker, **changes: Any) -> tuple[dict[str, Any], Answer]:
    tree = maker.observation("Patient/p")
    stored = {**tree, "id": "a", "meta": {"versionId": "7"}, **changes}
    return tree, Answer(200, "-", 'W/"7"', text(stored).encode())


def _nothing(path: str) -> tuple[int, bytes]:
    raise AssertionError(path)


def test_one_seed_gives_the_same_bytes() -> None:
    first, second = (text(Maker(seed=3).household("Organization/c", 3, 2)) for _ in range(2))
    assert first == second


def test_decimals_are_written_with_their_digits() -> None:
    maker = Maker(seed=5)
    written = [text(maker.observation("Patient/p")) for _ in range(200)]
    assert all("\\u0000" not in one and "E+" not in one for one in written)
    assert any(str(decode(one.encode())["valueQuantity"]["value"]).endswith("0") for one in written)


def test_the_gate_admits_every_kind_of_record() -> None:
    from fhir_bridge.fhir import admit

    maker = Maker(seed=2)
    charts = [maker.household("Organization/c", 3, 6), maker.visit("Patient/p")]
    trees = [entry["resource"] for chart in charts for entry in chart["entry"]]
    for tree in [*trees, maker.organization("x")]:
        admit(text(tree).encode())


def test_a_transaction_names_every_entry_by_its_own_url() -> None:
    maker = Maker(seed=1)
    entries = maker.visit("Patient/p")["entry"]
    assert len({entry["fullUrl"] for entry in entries}) == 4
    assert {entry["resource"].get("encounter", {}).get("reference") for entry in entries[1:]} == {
        entries[0]["fullUrl"]
    }
    assert transaction([])["type"] == "transaction"


def test_the_ledger_may_hold_what_was_in_flight_and_no_more() -> None:
    before = Counts(10, 10, 10)
    reconcile(before, Counts(200, 110, 110), _load(), 1)
    reconcile(before, Counts(200, 118, 118), _load(), 1)
    for bodies in (109, 119):
        with pytest.raises(Void, match="bodies"):
            reconcile(before, Counts(200, bodies, 200), _load(), 1)
    with pytest.raises(Void, match="bodies"):
        reconcile(before, Counts(200, 11, 200), _load(), 0)


def test_a_read_without_its_audit_row_voids_the_run() -> None:
    with pytest.raises(Void, match="audit"):
        reconcile(Counts(0, 0, 0), Counts(5, 0, 99), _load(), 0)


@pytest.mark.parametrize("load", [_load(wrong=1), _load(lost=1), _load(answers=0)])
def test_a_wrong_or_lost_answer_voids_the_run(load: Load) -> None:
    with pytest.raises(Void):
        reconcile(Counts(0, 0, 0), Counts(100, 0, 100), load, 0)


def test_a_right_read_passes_and_any_change_voids_the_run() -> None:
    maker = Maker(seed=9)
    _, right = _served(maker)
    assert check_answers("read", [right], maker.sent, _nothing) == 1
    changes: list[dict[str, Any]] = [
        {"status": "amended"},
        {"subject": {}},
        {"meta": {"versionId": "8"}},
        {"id": ""},
    ]
    for change in changes:
        _, wrong = _served(maker, **change)
        with pytest.raises(Void):
            check_answers("read", [wrong], maker.sent, _nothing)


def test_a_number_with_other_digits_voids_the_run() -> None:
    maker = Maker(seed=9)
    tree, right = _served(maker)
    value = str(tree["valueQuantity"]["value"])
    changed = right.body.replace(f'"value":{value},'.encode(), f'"value":{value}.0,'.encode(), 1)
    if "." in value:
        changed = right.body.replace(f'"value":{value},'.encode(), f'"value":{value}0,'.encode(), 1)
    assert changed != right.body
    with pytest.raises(Void):
        check_answers("read", [Answer(200, "-", 'W/"7"', changed)], maker.sent, _nothing)


def test_a_create_is_read_back_by_the_checker() -> None:
    maker = Maker(seed=9)
    _, right = _served(maker)
    made = Answer(201, "http://x/fhir/Observation/a/_history/7", 'W/"7"', b"")
    asked: list[str] = []

    def fetch(path: str) -> tuple[int, bytes]:
        asked.append(path)
        return 200, right.body

    assert check_answers("create", [made], maker.sent, fetch) == 1
    assert asked == ["Observation/a"]
    with pytest.raises(Void, match="reads as 404"):
        check_answers("create", [made], maker.sent, lambda _: (404, b""))


def test_a_page_of_search_must_be_full_of_one_patient_and_newest_first() -> None:
    maker = Maker(seed=9)
    found = [
        {
            **maker.observation("Patient/p"),
            "id": str(n),
            "meta": {"versionId": "1", "lastUpdated": f"2026-01-01T00:00:{59 - n:02d}.000Z"},
        }
        for n in range(20)
    ]

    def page(trees: list[dict[str, Any]]) -> Answer:
        entries = [{"resource": tree, "search": {"mode": "match"}} for tree in trees]
        bundle = {"resourceType": "Bundle", "type": "searchset", "entry": entries}
        return Answer(200, "-", "-", text(bundle).encode())

    assert check_answers("subject", [page(found)], maker.sent, _nothing) == 1
    for wrong in (found[1:], found[::-1], [*found[:19], found[0]]):
        with pytest.raises(Void):
            check_answers("subject", [page(wrong)], maker.sent, _nothing)


def test_counts_come_from_the_ledger_file_and_leave_out_control_bodies(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as database:
        database.executescript(
            "CREATE TABLE leaf(i); CREATE TABLE body(i, body, box); CREATE TABLE audit(a, n);"
            "INSERT INTO leaf VALUES (0), (1), (2); INSERT INTO audit VALUES (0, 2), (2, 3);"
            "INSERT INTO body VALUES (0, x'00', NULL), (1, x'00', x''), (2, x'00', x'01');"
        )
    assert count(path) == Counts(leaves=3, bodies=1, audits=5)


class _Fake(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self, status: int) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length) or json.dumps({"path": self.path}).encode()
        self.send_response(status if self.headers["Authorization"] == "Bearer t" else 401)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", 'W/"1"')
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._answer(200)

    def do_POST(self) -> None:
        self._answer(201)

    def log_message(self, *args: object) -> None:
        return


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *args: object) -> None:
        return  # wrk resets its connections when its time is up


@pytest.fixture
def fake() -> Iterator[str]:
    server = _Server(("127.0.0.1", 0), _Fake)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("script", "expect", "line", "kept"),
    [
        ("read", 200, "Patient/p", {"path": "/fhir/Patient/p"}),
        ("subject", 200, "Observation?subject=x", {"path": "/fhir/Observation?subject=x"}),
        ("create", 201, '{"resourceType":"Patient"}', {"resourceType": "Patient"}),
        ("transaction", 201, '{"resourceType":"Bundle"}', {"resourceType": "Bundle"}),
    ],
)
def test_a_script_counts_every_answer_and_keeps_each_hundredth(
    fake: str, tmp_path: Path, script: str, expect: int, line: str, kept: dict[str, str]
) -> None:
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed")
    found = run_wrk(Target(script, fake, "t", [line], expect), tmp_path, 1)
    answers = list(samples(tmp_path))
    assert found.wrong == 0
    assert found.answers > 100
    assert len(answers) >= found.answers // 100
    assert {(one.status, one.etag) for one in answers} == {(expect, 'W/"1"')}
    assert all(json.loads(one.body) == kept for one in answers)


def test_a_script_counts_answers_with_another_status_as_wrong(fake: str, tmp_path: Path) -> None:
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed")
    found = run_wrk(Target("read", fake, "stale", ["Patient/p"], 200), tmp_path, 1)
    assert found.wrong >= found.answers > 0


def test_the_page_names_commit_machine_and_peers() -> None:
    cell = {"resources_per_s": 1234.5, "p50_ms": 1, "p95_ms": 2, "p99_ms": 3, "max_ms": 4}
    cell |= {"answers": 10, "checked": 1}
    cells = dict.fromkeys(report.KINDS, cell)
    size = {
        "folder_bytes": 9,
        "records": 3,
        "json_bytes_per_record": 2.0,
        "body_bytes_per_record": 1.0,
    }
    machine = dict.fromkeys(("processor", "cores", "memory_gb", "system", "python", "sqlite"), 1)
    shown = report.page(
        {
            "commit": "abc123",
            "date": "2026-01-01",
            "machine": machine,
            "fsync_ms": 0.1,
            "help_ms": 99,
            "protections": {"status": "ready"},
            "ledger_head": {"size": 1},
            "cells": {"own": cells, "other": cells},
            "read_beside_bundle": cell | {"entries": 1000, "rate": 1.0, "bundle_ms": 1.0},
            "load_per_s": 1.0,
            "import": {"per_s": 1.0, "own_per_s": 2.0, "records": 9, "before": 4},
            "import_anew": {"per_s": 1.0, "own_per_s": 2.0, "records": 9, "before": 0},
            "verify": {"plain": {"per_s": 1.0}, "signatures": {"per_s": 1.0}},
            "size": size,
            "real_size": size | {"sent_bytes_per_record": 4.0},
            "memory": {"rss": 1, "pss": 1, "processes": 3},
            "memory_loaded": {"rss": 1, "pss": 1, "processes": 3},
        }
    )
    for expected in (
        "abc123",
        "Medplum",
        "| 1,234 |",
        "9 resources into a new node",
        "into a node that holds 4",
        "p99 3 ms",
        "JSON without white space (2 B) 1.50 x and 0.50 x",
        "JSON as sent (4 B) 0.75 x and 0.25 x",
        '"status": "ready"',
    ):
        assert expected in shown
