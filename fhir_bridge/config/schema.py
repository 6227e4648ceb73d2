"""The schema of ``bridge.toml`` and what is written from it.

``data/bridge.schema.json`` is the one place where keys, defaults, limits and descriptions
stand; ``data/bridge.toml`` and ``docs/settings.md`` follow it (tools/settings_page.py).
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from fhir_bridge.errors import Incorrect

__all__ = [
    "default_text",
    "environment_name",
    "expected",
    "keys",
    "line_of",
    "schema",
    "with_values",
]

PREFIX = "FHIR_BRIDGE_"
_TYPE_WORDS = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list of texts",
    "object": "a section",
}


@functools.cache
def schema() -> dict[str, Any]:
    """The JSON Schema of ``bridge.toml``."""
    loaded: dict[str, Any] = json.loads(_data("bridge.schema.json"))
    return loaded


def default_text() -> str:
    """The shipped ``bridge.toml``: every key, its description and its default."""
    return _data("bridge.toml")


def keys() -> dict[str, dict[str, Any]]:
    """Schema of every key by dotted name, in the order of the file."""
    return dict(_keys(schema(), ""))


def environment_name(key: str) -> str:
    """``http.port`` → ``FHIR_BRIDGE_HTTP_PORT``."""
    return PREFIX + key.replace(".", "_").upper()


def with_values(values: Mapping[str, str | int | float | bool]) -> str:
    """The shipped ``bridge.toml`` with other values for some keys; comments stay."""
    text = default_text()
    lines = text.splitlines()
    for key, value in values.items():
        number = line_of(key, text)
        if key not in keys() or number is None:
            raise Incorrect("there is no such setting", code="settings", where=key)
        # JSON text, numbers and booleans are TOML as well (TOML 1.0.0, basic strings)
        lines[number - 1] = f"{key.rpartition('.')[2]} = {json.dumps(value, ensure_ascii=False)}"
    return "\n".join(lines) + "\n"


def line_of(key: str, text: str) -> int | None:
    """The line where a key or a section stands: a best effort, as the TOML reader gives none."""
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([^\[\]]+)\]", line):
            table = header[1].strip()
            if table == key:
                return number
        elif (name := re.match(r"\s*([\w.\"'-]+)\s*=", line)) and (
            f"{table}.{name[1]}".lstrip(".") == key
        ):
            return number
    return None


def expected(own: Mapping[str, Any]) -> str:
    """What a key takes, in words."""
    if "$ref" in own:
        return "permit, deny or a table with effect, purposes, except_labels, break_glass"
    if "enum" in own:
        return "one of " + ", ".join(own["enum"])
    words = _TYPE_WORDS[own["type"]]
    if "minimum" in own:
        words += f" from {own['minimum']} to {own['maximum']}"
    if "pattern" in own:
        words += f" of the form {own['pattern']}"
    return words


def _data(name: str) -> str:
    return (files("fhir_bridge") / "data" / name).read_text(encoding="utf-8")


def _keys(part: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, own in part["properties"].items():
        if "properties" in own:
            yield from _keys(own, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", own
