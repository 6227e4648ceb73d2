"""Writes what people read about settings, from the schema: run after every change to it.

    python tools/settings_page.py           write the files
    python tools/settings_page.py --check   exit 1 if one is not current

Files: fhir_bridge/data/bridge.toml, deploy/bridge.toml (the same), docs/settings.md.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fhir_bridge.config import environment_name, expected, schema

ROOT = Path(__file__).resolve().parents[1]
_WIDTH = 96


def toml_text() -> str:
    """The shipped ``bridge.toml``."""
    lines = [
        "# Settings of a fhir_bridge node. Every key is here with its default; all are optional.",
        "# The environment overrides them: FHIR_BRIDGE_<SECTION>_<KEY>, for example",
        "# FHIR_BRIDGE_HTTP_PORT=8081. A key that does not exist stops the start.",
    ]
    for table, part in _sections(schema(), ""):
        lines += ["", "", *_comment(part["description"]), f"[{table}]"]
        for name, own in part["properties"].items():
            if "properties" not in own:
                lines += ["", *_comment(own["description"]), f"{name} = {_toml(own['default'])}"]
    return "\n".join(lines) + "\n"


def page_text() -> str:
    """``docs/settings.md``."""
    lines = [
        "# Settings",
        "",
        "<!-- written by tools/settings_page.py from fhir_bridge/data/bridge.schema.json -->",
        "",
        "One file, `bridge.toml`; every key is optional and `fhir-bridge init` writes them all",
        "with their defaults. The environment overrides the file. A key that does not exist, or a",
        "value outside its limits, stops the start with the line and what to do. Relative paths",
        "start at the folder of the file. In the environment, lists and tables are TOML values.",
    ]
    for table, part in _sections(schema(), ""):
        lines += ["", f"## [{table}]", "", part["description"]]
        for name, own in part["properties"].items():
            if "properties" in own:
                continue
            lines += [
                "",
                f"### `{table}.{name}`",
                "",
                own["description"],
                "",
                f"* takes: {_takes(own)}",
                f"* default: `{_toml(own['default'])}`",
                f"* environment: `{environment_name(f'{table}.{name}')}`",
            ]
    return "\n".join(lines) + "\n"


def written() -> dict[Path, str]:
    """Every file this tool writes, with its text."""
    return {
        ROOT / "fhir_bridge" / "data" / "bridge.toml": toml_text(),
        ROOT / "deploy" / "bridge.toml": toml_text(),
        ROOT / "docs" / "settings.md": page_text(),
    }


def _sections(part: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, own in part["properties"].items():
        if "properties" in own:
            yield prefix + name, own
            yield from _sections(own, f"{prefix}{name}.")


def _comment(text: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _takes(own: Mapping[str, Any]) -> str:
    return "text" if own.get("type") == "string" and "enum" not in own else expected(own)


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{k} = {_toml(v)}" for k, v in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def main(arguments: list[str]) -> int:
    """Write or check; the exit code."""
    stale = [
        path
        for path, text in written().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in arguments:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is not current: run tools/settings_page.py")
        return 1 if stale else 0
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(written()[path], encoding="utf-8")
        print(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
