"""A pytest plugin: how many random cases the suites of one run asked for.

Loaded with ``-p tools.deep_cases`` before any test module, so that every
``from tests.tiers import count`` takes the counting function.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import tiers

_asked: list[int] = []


def _counted(original: Callable[[int], int]) -> Callable[[int], int]:
    def count(full: int) -> int:
        cases = original(full)
        _asked.append(cases)
        return cases

    return count


setattr(tiers, "count", _counted(tiers.count))  # noqa: B010 - a function, not a method


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave the sum where the runner asked for it."""
    target = os.environ.get("FHIR_BRIDGE_TESTS_CASES")
    if target:
        Path(target).write_text(str(sum(_asked)))
