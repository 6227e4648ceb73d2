"""The node that every test of a command starts from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.world import Node, make


@pytest.fixture
def node(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Node:
    return make(tmp_path / "node", capsys)
