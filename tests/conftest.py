"""What every test shares: where the real data lies, and what to say when it does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_DEFAULT = Path(__file__).resolve().parents[2] / "shared" / "data"


def testdata_path() -> Path:
    """The folder of real data: FHIR_BRIDGE_TESTDATA, else ../shared/data beside the project."""
    return Path(os.environ.get("FHIR_BRIDGE_TESTDATA", _DEFAULT))


_skipped: list[str] = []


@pytest.fixture
def testdata(request: pytest.FixtureRequest) -> Path:
    """The folder of real data; the test is skipped, and counted, where it is absent."""
    path = testdata_path()
    if not path.is_dir():
        _skipped.append(request.node.nodeid)
        if os.environ.get("FHIR_BRIDGE_TESTDATA_REQUIRED"):
            pytest.fail(f"real test data is required and absent at {path}")
        pytest.skip("real test data is absent")
    return path


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _skipped:
        terminalreporter.write_line(
            f"{len(_skipped)} tests skipped: no real data at {testdata_path()}"
            " (set FHIR_BRIDGE_TESTDATA)"
        )
