"""The deep run finds every suite, goes on where it stopped, and never hides a failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import deep


def _outcome(suite: str, failures: int = 0) -> deep.Outcome:
    return deep.Outcome(suite, 7, 10, 1000, failures, 0, 1.5)


def test_every_folder_with_tests_is_a_suite() -> None:
    found = deep.suites()
    assert "tests/tools" in found
    assert "tests/house" in found


def test_the_table_sums_cases_and_failures() -> None:
    shown = deep.table([_outcome("tests/a"), _outcome("tests/b", failures=2)])
    assert "| **all** | | 20 | 2,000 | 2 |" in shown


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(deep, "STATE", tmp_path)
    monkeypatch.setattr(deep, "fingerprint", lambda: "state")
    return tmp_path


def test_a_passed_suite_is_not_run_again(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[str] = []

    def run_suite(suite: str, seed: int) -> deep.Outcome:
        runs.append(suite)
        return _outcome(suite, failures=suite == "tests/bad")

    monkeypatch.setattr(deep, "run_suite", run_suite)
    assert deep.main(["tests/good", "tests/bad"]) == 1
    assert deep.main(["tests/good", "tests/bad"]) == 1
    assert runs == ["tests/good", "tests/bad", "tests/bad"]
    assert deep.main(["--fresh", "tests/good"]) == 0
    assert runs.count("tests/good") == 2


def test_a_suite_that_pytest_cannot_load_counts_as_failed(elsewhere: Path) -> None:
    broken = elsewhere / "test_broken.py"
    broken.write_text("import no_such_module_anywhere\n")
    assert deep.run_suite(str(broken), 7).failures == 1


def test_a_suite_at_the_deep_tier_reports_its_random_cases(elsewhere: Path) -> None:
    suite = elsewhere / "test_cases.py"
    suite.write_text(
        "from tests.tiers import count, tier\n"
        "def test_asks_for_its_full_count():\n"
        "    assert (tier(), count(250)) == ('deep', 250)\n"
    )
    outcome = deep.run_suite(str(suite), 7)
    assert (outcome.tests, outcome.cases, outcome.failures) == (1, 250, 0)
