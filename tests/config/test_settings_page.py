"""What people read about settings is what the schema says."""

from __future__ import annotations

import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from fhir_bridge import config
from fhir_bridge.config import keys as every_key

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = spec_from_file_location("settings_page", ROOT / "tools" / "settings_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_written_file_is_current(tool: ModuleType) -> None:
    stale = [p for p, text in tool.written().items() if p.read_text(encoding="utf-8") != text]
    assert stale == [], "run tools/settings_page.py"
    assert tool.main(["--check"]) == 0


def test_the_deployed_file_is_the_shipped_file() -> None:
    deployed = (ROOT / "deploy" / "bridge.toml").read_text(encoding="utf-8")
    assert deployed == config.default_text()


@pytest.mark.parametrize("key", every_key())
def test_every_key_is_described_alike_in_schema_file_and_page(key: str) -> None:
    described = every_key()[key]["description"]
    assert described.endswith(".")
    assert len(described) > 10
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    section = page.split(f"### `{key}`\n")[1].split("\n#")[0]
    assert described in section
    assert config.environment_name(key) in section
    assert _comment_above(key) == described


def _comment_above(key: str) -> str:
    """The comment block right above a key, as one line."""
    table, _, name = key.rpartition(".")
    _, _, part = config.default_text().partition(f"\n[{table}]\n")
    head = re.split(rf"(?m)^{name} = ", part)[0]
    block = head.rstrip("\n").split("\n\n")[-1]
    return " ".join(line.removeprefix("# ") for line in block.strip("\n").splitlines())
