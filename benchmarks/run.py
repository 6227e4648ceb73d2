"""``make bench``: one fresh node on loopback, loaded, measured, checked, told.

The story: make a node, register a hospital and a clinic, let the hospital write charts whose
patients permit the clinic, then measure both: ``own`` is the hospital on its own data,
``other`` the clinic on the hospital's data, by consent.
"""

from __future__ import annotations

import argparse
import bz2
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks import machine, report
from benchmarks.check import Counts, Void, body_bytes, check_answers, count, reconcile
from benchmarks.load import Load, Target, run_wrk, samples
from benchmarks.node import COMMAND, Client, Node, folder_bytes
from benchmarks.records import IDENTIFIERS, Maker, Tree, text, transaction
from fhir_bridge.fhir import split_bundle

__all__ = ["main"]

ROOT = Path(__file__).resolve().parents[1]
REST_S = 5.0
"""After so long without work a node has emptied its write-ahead logs."""
WRITES = {"create": 1, "transaction": 4, "read": 0, "identifier": 0, "subject": 0}


@dataclass(frozen=True, slots=True)
class Size:
    """How much is loaded and how long each cell runs."""

    patients: int
    observations: int
    import_patients: int
    seconds: float
    rounds: int


@dataclass(slots=True)
class Bench:
    """One run: the node, its clients, what was loaded, what was found."""

    node: Node
    size: Size
    say: Callable[[str], None]
    maker: Maker = field(default_factory=lambda: Maker(seed=20261))
    clients: dict[str, Client] = field(default_factory=dict)
    patients: list[tuple[str, str]] = field(default_factory=list)
    """(Type/id, value of its identifier) of the many patients."""
    big: str = ""
    """Patient/id of the one with many observations."""
    json_bytes: int = 0
    records: int = 0

    def post(self, client: Client, bundle: Tree) -> list[str]:
        """Post one transaction; Type/id of each entry. Raises Void unless all was created."""
        body = text(bundle).encode()
        status, answer = self.node.ask(client, "", body)
        if status != 200:
            raise Void(f"loading answered {status}: {answer[:300].decode(errors='replace')}")
        self.json_bytes += sum(len(text(e["resource"])) for e in bundle["entry"])
        self.records += len(bundle["entry"])
        responses = [entry["response"] for entry in json.loads(answer)["entry"]]
        return ["/".join(r["location"].split("/_history/")[0].split("/")[-2:]) for r in responses]

    def ledger(self) -> Counts:
        """Counts of the ledger file."""
        [path] = self.node.data.rglob("ledger.db")
        return count(path)


def load(bench: Bench) -> float:
    """Organisations, clients, many small charts and one large one; resources per second."""
    node, maker = bench.node, bench.maker
    founder = node.register("founder", "Organization/founder")
    names = ("hospital", "clinic")
    made = bench.post(
        founder, transaction([(maker.urn(), maker.organization(name)) for name in names])
    )
    for name, place in zip(names, made, strict=True):
        bench.clients[name] = node.register(name, place)
    hospital, clinic = bench.clients["hospital"], bench.clients["clinic"]
    started, before = time.monotonic(), bench.records
    while len(bench.patients) < bench.size.patients:
        bundle = maker.household(clinic.organization, 50, 2)
        places = bench.post(hospital, bundle)
        for place, entry in zip(places, bundle["entry"], strict=True):
            if place.startswith("Patient/"):
                bench.patients.append((place, entry["resource"]["identifier"][0]["value"]))
    bench.big = bench.post(hospital, maker.household(clinic.organization, 1, 0))[0]
    left = bench.size.observations
    while left > 0:
        batch = maker.observations(bench.big, min(1000, left))
        bench.post(hospital, transaction([(maker.urn(), one) for one in batch]))
        left -= 1000
    return (bench.records - before) / (time.monotonic() - started)


def lines_for(bench: Bench, kind: str) -> list[str]:
    """What one kind of request sends, line by line; cycled through while the clock runs."""
    subjects = [place for place, _ in bench.patients[:500]]
    if kind == "create":
        return [text(bench.maker.observation(subjects[n % len(subjects)])) for n in range(2000)]
    if kind == "transaction":
        return [text(bench.maker.visit(subjects[n % len(subjects)])) for n in range(1000)]
    if kind == "read":
        return [place for place, _ in bench.patients[:2000]]
    if kind == "identifier":
        return [
            f"Patient?identifier={quote(f'{IDENTIFIERS}|{value}', safe='')}"
            for _, value in bench.patients[:2000]
        ]
    return [f"Observation?subject={quote(bench.big, safe='')}&_count=20"]


def target(bench: Bench, client: Client, kind: str) -> Target:
    """The wrk target of one cell."""
    expect = 201 if kind == "create" else 200
    lines = lines_for(bench, kind)
    return Target(kind, bench.node.origin, bench.node.token(client), lines, expect)


def measure(bench: Bench, client: Client, kind: str) -> dict[str, Any]:
    """One cell: warm up, run several times, the run with the middle rate."""
    aim = target(bench, client, kind)
    run_wrk(aim, bench.node.home / "cell", 2)
    runs = [_measured(bench, client, aim, kind) for _ in range(bench.size.rounds)]
    runs.sort(key=lambda run: float(run["resources_per_s"]))
    cell = runs[len(runs) // 2]
    cell["rates"] = [run["resources_per_s"] for run in runs]
    spread = " ".join(f"{rate:,.0f}" for rate in cell["rates"])
    bench.say(
        f"  {kind:12} {cell['resources_per_s']:>10,.0f}/s   p99 {cell['p99_ms']:.1f} ms"
        f"   checked {cell['checked']}   ({spread})"
    )
    return cell


def _measured(bench: Bench, client: Client, aim: Target, kind: str) -> dict[str, Any]:
    """One run, reconciled with the ledger, its kept answers checked."""
    folder = bench.node.home / "cell"
    time.sleep(0.5)
    before = bench.ledger()
    found = run_wrk(aim, folder, bench.size.seconds)
    time.sleep(0.5)
    grown = reconcile(before, bench.ledger(), found, WRITES[kind])
    checked = check_answers(
        kind,
        list(samples(folder)),
        bench.maker.sent,
        lambda path: bench.node.ask(client, path),
    )
    bench.records += grown["bodies"]
    per_answer = max(1, WRITES[kind]) if kind in ("create", "transaction") else 1
    rate = round(found.rate * per_answer, 1)
    return {**asdict(found), "resources_per_s": rate, "checked": checked, "grown": grown}


def read_beside_bundle(bench: Bench) -> dict[str, Any]:
    """Reads while the same node takes transactions of 1,000 entries, one after the other."""
    hospital, entries = bench.clients["hospital"], 1000
    # Written out before the clock runs: what the client does would be taken from the server.
    bodies = []
    for _ in range(4):
        batch = bench.maker.observations(bench.big, entries)
        bodies.append(text(transaction([(bench.maker.urn(), one) for one in batch])).encode())
    stop, took, refused = threading.Event(), list[float](), list[int]()

    def write() -> None:
        while not stop.is_set() and not refused:
            started = time.monotonic()
            status, _ = bench.node.ask(hospital, "", bodies[len(took) % len(bodies)])
            took.append(time.monotonic() - started)
            if status != 200:
                refused.append(status)

    writer = threading.Thread(target=write)
    aim = target(bench, hospital, "read")
    writer.start()
    found: Load = run_wrk(aim, bench.node.home / "cell", bench.size.seconds)
    stop.set()
    writer.join()
    bench.records += entries * len(took)
    if found.wrong or found.lost or refused or not took:
        raise Void(
            f"{found.wrong} wrong and {found.lost} lost reads, {len(took)} transactions,"
            f" refused with {refused}"
        )
    return {
        **asdict(found),
        "rate": found.rate,
        "entries": entries,
        "bundles": len(took),
        "bundle_ms": sum(took) / len(took) * 1e3,
    }


def to_import(bench: Bench) -> tuple[Path, int]:
    """A folder of Bundles, and how many records they hold."""
    folder, maker = bench.node.home / "import", Maker(seed=4)
    folder.mkdir()
    records = 0
    for n in range(-(-bench.size.import_patients // 20)):
        bundle = maker.household(bench.clients["clinic"].organization, 20, 8)
        (folder / f"{n}.json").write_text(text(bundle))
        records += len(bundle["entry"])
    return folder, records


def imported(node: Node, folder: Path, records: int) -> dict[str, Any]:
    """``import`` of the folder beside the running server of ``node``."""
    [ledger] = node.data.rglob("ledger.db")
    before, started = count(ledger), time.monotonic()
    told = node.cli("import", str(folder))
    seconds = time.monotonic() - started
    stored = count(ledger).bodies - before.bodies
    if stored != records:
        raise Void(f"{records} records in the folder, {stored} on the ledger")
    return {
        "before": before.bodies,
        "records": records,
        "seconds": seconds,
        "per_s": records / seconds,
        "own_per_s": records / told["seconds"],
    }


def import_anew(bench: Bench, folder: Path, records: int) -> dict[str, Any]:
    """The first load of a node: the middle of several, each into a new one."""
    runs = []
    for n in range(bench.size.rounds):
        node = Node(bench.node.home / f"new{n}")
        node.home.mkdir()
        node.create()
        node.start()
        try:
            runs.append(imported(node, folder, records))
        finally:
            node.stop()
    runs.sort(key=lambda run: float(run["per_s"]))
    return runs[len(runs) // 2] | {"rates": [round(run["per_s"], 1) for run in runs]}


def verify_rate(bench: Bench, *words: str) -> dict[str, Any]:
    """``ledger verify``: entries per second, start-up included."""
    started = time.monotonic()
    told = bench.node.cli("ledger", "verify", *words)
    seconds = time.monotonic() - started
    leaves = bench.ledger().leaves
    return {"entries": leaves, "seconds": seconds, "per_s": leaves / seconds, "told": told}


def size_of(bench: Bench) -> dict[str, Any]:
    """The data folder at rest against the JSON of what is in it."""
    time.sleep(REST_S)
    files = folder_bytes(bench.node.data)
    mean = bench.json_bytes / max(1, len(bench.maker.sent))
    return {
        "files": files,
        "folder_bytes": sum(files.values()),
        "records": bench.ledger().bodies,
        "json_bytes_per_record": mean,
        "body_bytes_per_record": body_bytes(bench.node.data) / bench.ledger().bodies,
    }


def real_size(home: Path) -> dict[str, Any] | None:
    """The same for the shared Synthea records, imported into a node of their own; None where
    they are not at hand."""
    place = os.environ.get("FHIR_BRIDGE_TESTDATA", str(ROOT.parent / "shared" / "data"))
    found = sorted(Path(place, "fhir", "synthea").glob("*.json*"))
    if not found:
        return None
    node = Node(home / "real")
    node.home.mkdir()
    node.create()
    told = node.cli("import", *(str(path) for path in found))
    raws = (path.read_bytes() for path in found)
    plain = (bz2.decompress(raw) if raw[:3] == b"BZh" else raw for raw in raws)
    sent = [entry.resource_raw or b"" for raw in plain for entry in split_bundle(raw).entries]
    sizes = [
        len(json.dumps(json.loads(one), separators=(",", ":"), ensure_ascii=False).encode())
        for one in sent
    ]
    return {
        "records": told["resources"],
        "json_bytes_per_record": sum(sizes) / len(sizes),
        "sent_bytes_per_record": sum(map(len, sent)) / len(sent),
        "folder_bytes": sum(folder_bytes(node.data).values()),
        "body_bytes_per_record": body_bytes(node.data) / told["resources"],
    }


def story(bench: Bench) -> dict[str, Any]:
    """The whole run; what the report is written from."""
    node, say = bench.node, bench.say
    results: dict[str, Any] = {
        "commit": machine.commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "machine": machine.describe(),
        "fsync_ms": machine.fsync_ms(node.home),
        "help_ms": machine.help_ms(COMMAND),
    }
    node.create()
    node.start()
    results["protections"], results["ledger_head"] = node.ready(), node.cli("ledger", "head")
    say(json.dumps(results["protections"]))
    results["load_per_s"] = load(bench)
    say(f"loaded {bench.records:,} records at {results['load_per_s']:,.0f}/s")
    results["size"] = size_of(bench)
    results["memory_loaded"] = node.memory_bytes()
    results["cells"] = {}
    for relation, name in (("other", "clinic"), ("own", "hospital")):
        say(f"{relation}:")
        cells = {kind: measure(bench, bench.clients[name], kind) for kind in report.KINDS}
        results["cells"][relation] = cells
    results["memory"] = node.memory_bytes()
    results["read_beside_bundle"] = read_beside_bundle(bench)
    folder, records = to_import(bench)
    results["import"] = imported(node, folder, records)
    results["real_size"] = real_size(node.home)
    results["import_anew"] = import_anew(bench, folder, records)
    results["verify"] = {
        "plain": verify_rate(bench),
        "signatures": verify_rate(bench, "--signatures"),
    }
    return results


def main(argv: Sequence[str] | None = None) -> int:
    """Run, print, write; 1 when the run is void."""
    parser = argparse.ArgumentParser(description="measure a fresh node, every protection on")
    parser.add_argument("--patients", type=int, default=2000)
    parser.add_argument("--observations", type=int, default=10_000, help="of the one large chart")
    parser.add_argument("--import-patients", type=int, default=4000)
    parser.add_argument("--seconds", type=float, default=5, help="per run of a cell")
    parser.add_argument("--rounds", type=int, default=3, help="runs of a cell; the middle counts")
    parser.add_argument("--dry", action="store_true", help="print only; write no result")
    parser.add_argument("--keep", action="store_true", help="leave the node's folder")
    arguments = parser.parse_args(argv)
    if shutil.which("wrk") is None:
        sys.stderr.write("wrk is missing. Debian and Ubuntu: sudo apt-get install wrk\n")
        return 1
    size = Size(
        arguments.patients,
        arguments.observations,
        arguments.import_patients,
        arguments.seconds,
        arguments.rounds,
    )
    home = Path(tempfile.mkdtemp(prefix="fhir-bridge-bench-"))
    bench = Bench(Node(home), size, partial(print, flush=True))
    try:
        results = story(bench)
    except Void as void:
        sys.stderr.write(f"the run is void: {void}\n")
        return 1
    finally:
        bench.node.stop()
        if not arguments.keep:
            shutil.rmtree(home, ignore_errors=True)
    if arguments.dry:
        print(report.page(results))
    else:
        print(report.write(results).name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
