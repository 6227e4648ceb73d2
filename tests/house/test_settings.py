"""Every setting is described in the schema that checks it, and in the page people read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from fhir_bridge import config
from fhir_bridge.config import keys as settings
from tests.house.tree import ROOT


def _tables(part: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    if "properties" in part:
        yield path, part
        for name, inner in part["properties"].items():
            yield from _tables(inner, f"{path}.{name}" if path else name)


def test_every_setting_has_a_description() -> None:
    bare = [key for key, own in settings().items() if not own.get("description")]
    assert bare == []


def test_no_table_of_settings_takes_unknown_keys() -> None:
    tables = _tables(config.schema())
    assert [path for path, own in tables if own.get("additionalProperties") is not False] == []


def test_every_setting_stands_in_the_page_of_settings_with_its_environment_name() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    missing = [
        key
        for key in settings()
        if f"`{key}`" not in page or config.environment_name(key) not in page
    ]
    assert missing == []


def test_the_shipped_file_states_every_setting() -> None:
    text = config.default_text()
    names = {key.rpartition(".")[2] for key in settings()}
    assert [name for name in names if f"\n{name} = " not in text] == []


def test_every_setting_is_read_by_something() -> None:
    code = "\n".join(
        path.read_text()
        for path in (ROOT / "fhir_bridge").rglob("*.py")
        if "config" not in path.relative_to(ROOT / "fhir_bridge").parts[0]
    )
    # [consent] goes to its room whole, which refuses a key that it does not know.
    ours = [key for key in settings() if not key.startswith("consent.")]
    assert [key for key in ours if not re.search(rf"\b{key.replace('.', '[.]')}\b", code)] == []
