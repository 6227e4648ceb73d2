"""The results as JSON and as the page people read, beside what peers were measured at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "page", "write"]

_HERE = Path(__file__).resolve().parent

KINDS = {
    "create": "creates",
    "transaction": "transactions of 4, as resources",
    "read": "reads",
    "identifier": "search by identifier",
    "subject": "search by subject, 20 of many",
}

# Measured side by side on 2 cores of the same kind: creates, transactions of 4 as resources,
# reads, search by identifier, search by subject.
PEERS = (
    ("Medplum + PostgreSQL + Redis", "206", "310", "2,138", "1,735", "732"),
    (
        "FastAPI + fhir.resources + SQLite server, no authorisation",
        *("~600", "~1,000", "~2,700", "1,780", "40 (10k matches)"),
    ),
    ("fhirstarter, in memory", "743", "–", "1,224", "–", "–"),
)
PUBLISHED = (
    "Published by their makers, on other machines: Blaze import 10,108 resources/s on 16 cores;"
    " HAPI 3,058 CRUD requests/s and import 2,214 resources/s on 8 cores; Aidbox 5,212 and 2,678."
)


def write(results: Mapping[str, Any]) -> Path:
    """Keep the JSON under results/ and write RESULTS.md; the path of the JSON."""
    folder = _HERE / "results"
    folder.mkdir(exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    kept = folder / f"{stamp}-{results['commit']}.json"
    kept.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    (_HERE / "RESULTS.md").write_text(page(results))
    return kept


def page(results: Mapping[str, Any]) -> str:
    """RESULTS.md in full."""
    machine = results["machine"]
    parts = [
        "# Results\n\n",
        "Written by `make bench`. Answers per second at 8 connections in a closed loop, load",
        " generator on the same cores; every protection on; every hundredth answer checked in",
        " full; ledger growth compared with the answers, or the run is void.\n\n",
        (
            f"Commit `{results['commit']}`, {results['date']}. {machine['processor']},"
            f" {machine['cores']} cores, {machine['memory_gb']} GB, {machine['system']},"
            f" Python {machine['python']}, SQLite {machine['sqlite']}."
            f" A durable 4 KiB append takes {results['fsync_ms']} ms here.\n\n"
        ),
        _protections(results),
        _rates(results),
        _latencies(results),
        _rest(results),
    ]
    return "".join(parts)


def _protections(results: Mapping[str, Any]) -> str:
    said = json.dumps({"ready": results["protections"], "ledger": results["ledger_head"]}, indent=1)
    return f"Protections, as the running node states them:\n\n```json\n{said}\n```\n\n"


def _rates(results: Mapping[str, Any]) -> str:
    lines = ["## Rates\n\n", "| | " + " | ".join(KINDS.values()) + " |\n", "|---" * 6 + "|\n"]
    names = {
        "other": "**fhir_bridge**, another organisation's data, by consent",
        "own": "**fhir_bridge**, own data",
    }
    for relation, name in names.items():
        cells = [results["cells"][relation].get(kind) for kind in KINDS]
        shown = [f"{c['resources_per_s']:,.0f}" if c else "–" for c in cells]
        lines.append(f"| {name} | " + " | ".join(shown) + " |\n")
    lines += ["| " + " | ".join(peer) + " |\n" for peer in PEERS]
    return "".join(lines) + f"\n{PUBLISHED}\n\n"


def _latencies(results: Mapping[str, Any]) -> str:
    lines = [
        "## Latency, ms\n\n",
        "| relation | request | p50 | p95 | p99 | max | answers | checked in full |\n",
        "|---" * 8 + "|\n",
    ]
    for relation, cells in results["cells"].items():
        for kind, cell in cells.items():
            lines.append(
                f"| {relation} | {kind} | {cell['p50_ms']} | {cell['p95_ms']} | {cell['p99_ms']}"
                f" | {cell['max_ms']} | {cell['answers']:,} | {cell['checked']:,} |\n"
            )
    return "".join(lines) + "\n"


def _size(size: Mapping[str, Any]) -> str:
    folder, bodies = size["folder_bytes"] / size["records"], size["body_bytes_per_record"]
    bases = {"as sent": size.get("sent_bytes_per_record")}
    bases["without white space"] = size["json_bytes_per_record"]
    ratios = "; ".join(
        f"against their JSON {name} ({base:,.0f} B) {folder / base:.2f} x and {bodies / base:.2f} x"
        for name, base in bases.items()
        if base
    )
    return (
        f"{size['records']:,} records: folder at rest {folder:,.0f} B each, bodies"
        f" {bodies:,.0f} B; {ratios}"
    )


def _import(run: Mapping[str, Any]) -> tuple[str, str]:
    into = f"a node that holds {run['before']:,}" if run["before"] else "a new node"
    return (
        f"`import` of {run['records']:,} resources into {into}",
        (
            f"{run['per_s']:,.0f} resources/s, the start of the command included;"
            f" {run['own_per_s']:,.0f} without"
        ),
    )


def _rest(results: Mapping[str, Any]) -> str:
    beside, size, memory = results["read_beside_bundle"], results["size"], results["memory"]
    verify = results["verify"]
    rows = (
        (
            f"reads while transactions of {beside['entries']:,} run back to back",
            (
                f"{beside['rate']:,.0f}/s, p99 {beside['p99_ms']} ms;"
                f" one such transaction {beside['bundle_ms']:,.0f} ms"
            ),
        ),
        ("load over HTTP, large transactions", f"{results['load_per_s']:,.0f} resources/s"),
        *(_import(results[which]) for which in ("import_anew", "import")),
        ("`ledger verify`", f"{verify['plain']['per_s']:,.0f} entries/s"),
        ("`ledger verify --signatures`", f"{verify['signatures']['per_s']:,.0f} entries/s"),
        ("size of the small records loaded here", _size(size)),
        (
            "size of the shared Synthea records",
            _size(results["real_size"]) if results["real_size"] else "not at hand",
        ),
        (
            "memory of all processes, after all rates",
            (
                f"{memory['rss'] / 1e6:,.0f} MB resident,"
                f" {memory['pss'] / 1e6:,.0f} MB proportional ({memory['processes']} processes);"
                f" {results['memory_loaded']['pss'] / 1e6:,.0f} MB proportional once loaded"
            ),
        ),
        ("`--help`", f"{results['help_ms']} ms"),
    )
    lines = ["## The rest\n\n", "| | |\n", "|---|---|\n"]
    return "".join(lines) + "".join(f"| {name} | {value} |\n" for name, value in rows)
