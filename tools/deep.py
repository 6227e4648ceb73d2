"""``make test-deep``: every suite at its full count, one after the other, resumable.

Each suite (a folder or file under tests/) is its own pytest process. What has passed on this
very state of the files is not run again, so an interrupted run goes on where it stopped;
``--fresh`` forgets. The table goes to the screen and to docs/evidence/deep.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["Outcome", "main", "suites", "table"]

ROOT = Path(__file__).resolve().parents[1]
STATE = ROOT / "build" / "deep"
PAGE = ROOT / "docs" / "evidence" / "deep.md"


@dataclass(frozen=True, slots=True)
class Outcome:
    """One suite at one seed: tests, random cases asked for, failures, skips, seconds."""

    suite: str
    seed: int
    tests: int
    cases: int
    failures: int
    skipped: int
    seconds: float


def suites(root: Path = ROOT) -> list[str]:
    """Every folder under tests/ that holds tests, and test files beside them."""
    tests = root / "tests"
    folders = {path.relative_to(tests).parts[0] for path in tests.rglob("test_*.py")}
    return sorted(f"tests/{name}" for name in folders)


def fingerprint(root: Path = ROOT) -> str:
    """Names this state of package and tests: a change anywhere makes old results void."""
    digest = hashlib.sha256()
    for folder in ("fhir_bridge", "tests"):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(str(path.relative_to(root)).encode() + b"\0")
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def run_suite(suite: str, seed: int) -> Outcome:
    """Run one suite at the deep tier; pytest's own lines go to the screen."""
    STATE.mkdir(parents=True, exist_ok=True)
    report, cases = STATE / "report.xml", STATE / "cases"
    for stale in (report, cases):
        stale.unlink(missing_ok=True)
    environment = os.environ | {
        "FHIR_BRIDGE_TESTS": "deep",
        "FHIR_BRIDGE_SEED": str(seed),
        "FHIR_BRIDGE_TESTS_CASES": str(cases),
    }
    started = time.monotonic()
    pytest = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml")]
    status = subprocess.run(
        [*pytest, "-p", "tools.deep_cases", f"--junitxml={report}", suite],
        cwd=ROOT,
        env=environment,
        check=False,
    ).returncode
    seconds = time.monotonic() - started
    tests, failures, skipped = _counts(report) if report.exists() else (0, 0, 0)
    if status and not failures:
        failures = 1  # pytest itself could not go through: that is a failure too
    asked = int(cases.read_text()) if cases.exists() else 0
    return Outcome(suite, seed, tests, asked, failures, skipped, round(seconds, 1))


def _counts(report: Path) -> tuple[int, int, int]:
    found = ET.parse(report).getroot().find("testsuite")
    if found is None:
        return 0, 0, 0
    n = {name: int(found.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
    return n["tests"], n["failures"] + n["errors"], n["skipped"]


def table(outcomes: Sequence[Outcome]) -> str:
    """The outcomes as a Markdown table with its sum."""
    head = "| suite | seed | tests | random cases | failures | skipped | seconds |\n"
    lines = [head, "|---|---|---|---|---|---|---|\n"]
    for one in outcomes:
        lines.append(
            f"| {one.suite} | {one.seed} | {one.tests:,} | {one.cases:,} | {one.failures} "
            f"| {one.skipped} | {one.seconds:,.0f} |\n"
        )
    lines.append(
        f"| **all** | | {sum(o.tests for o in outcomes):,} | {sum(o.cases for o in outcomes):,} "
        f"| {sum(o.failures for o in outcomes)} | {sum(o.skipped for o in outcomes)} "
        f"| {sum(o.seconds for o in outcomes):,.0f} |\n"
    )
    return "".join(lines)


def _commit() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "no commit yet"


def _page(outcomes: Sequence[Outcome], state: str) -> str:
    today = datetime.now(UTC).date().isoformat()
    return (
        "# The deep test run\n\n"
        "Written by `make test-deep`: every random suite at its full count.\n\n"
        f"Commit `{_commit()}`, files `{state}`, {today}, Python "
        f"{sys.version_info.major}.{sys.version_info.minor}, {os.cpu_count()} cores.\n\n"
        + table(outcomes)
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is left, print the table, write the page; 1 when anything failed."""
    parser = argparse.ArgumentParser(description="every suite at its full count, resumable")
    parser.add_argument("--seed", type=int, default=20261)
    parser.add_argument("--fresh", action="store_true", help="forget earlier results")
    parser.add_argument("suite", nargs="*", help="only these (default: all)")
    arguments = parser.parse_args(argv)
    state = fingerprint()
    memory = STATE / f"{state}-{arguments.seed}.jsonl"
    if arguments.fresh:
        memory.unlink(missing_ok=True)
    lines = memory.read_text().splitlines() if memory.exists() else []
    passed = {o.suite: o for o in (Outcome(**json.loads(line)) for line in lines)}
    outcomes = []
    for suite in arguments.suite or suites():
        outcome = passed.get(suite) or run_suite(suite, arguments.seed)
        if suite not in passed and not outcome.failures:
            with memory.open("a") as out:
                out.write(json.dumps(asdict(outcome)) + "\n")
        outcomes.append(outcome)
    sys.stdout.write("\n" + table(outcomes))
    if not arguments.suite:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(_page(outcomes, state))
    return 1 if any(outcome.failures for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
