"""Reading: the file, the environment over it, and every finding with its place.

Values are not repeated in findings: some are secrets.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from fhir_bridge.config.build import build, contradictions
from fhir_bridge.config.schema import (
    PREFIX,
    environment_name,
    expected,
    keys,
    line_of,
    schema,
)
from fhir_bridge.config.settings import Settings
from fhir_bridge.errors import Incorrect, Issue

__all__ = ["load"]

# Names of ours that are not settings: where the file is, and how the tests run.
_NOT_SETTINGS = re.compile(r"FHIR_BRIDGE_(CONFIG|SEED|TEST[A-Z_]*|BENCH[A-Z_]*)")
_MAX_FILE_BYTES = 1 << 20


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in ``path`` (none: the defaults), the environment laid over them.

    Relative paths start at the folder of the file (none: at the working folder). Incorrect with
    code ``settings`` lists every finding with its key, its line where it can be told, and what
    to do.
    """
    env = os.environ if environ is None else environ
    text = _read(path) if path is not None else ""
    where = _Where(path, text)
    try:
        stated = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        at = f"{path}: {error}"
        raise Incorrect("the settings file is not TOML", code="settings", where=at) from None
    issues = [*_unknown(stated, where), *_overlay(stated, env, where)]
    issues = issues or list(_violations(stated, where))
    if issues:
        raise _refusal(issues)
    folder = path.absolute().parent if path is not None else Path.cwd()
    settings = build(stated, folder, env, path)
    issues = list(contradictions(settings))
    if issues:
        raise _refusal(issues)
    return settings


class _Where:
    """Says where a key stands, with its line when it is in the file."""

    def __init__(self, path: Path | None, text: str) -> None:
        self._name = path.name if path is not None else ""
        self._text = text

    def __call__(self, key: str) -> str:
        number = line_of(key, self._text)
        return key if number is None else f"{self._name} line {number}: {key}"


def _read(path: Path) -> str:
    try:
        raw = path.read_bytes()
        if len(raw) > _MAX_FILE_BYTES:
            raise Incorrect("the settings file is too large", code="settings", where=str(path))
        return raw.decode("utf-8")
    except OSError as error:
        raise Incorrect(
            f"the settings file cannot be read ({error.strerror}): make one with"
            " fhir-bridge init, or name yours with --config",
            code="settings",
            where=str(path),
        ) from None
    except UnicodeDecodeError:
        raise Incorrect(
            "the settings file is not UTF-8", code="settings", where=str(path)
        ) from None


def _unknown(stated: Mapping[str, Any], where: _Where) -> Iterator[Issue]:
    yield from _unknown_in(stated, schema(), "", where)


def _unknown_in(
    stated: Mapping[str, Any], part: Mapping[str, Any], prefix: str, where: _Where
) -> Iterator[Issue]:
    for name, value in stated.items():
        own = part["properties"].get(name)
        if own is None:
            yield Issue("not-found", _no_such(prefix + name), where(prefix + name))
        elif "properties" in own and isinstance(value, Mapping):
            yield from _unknown_in(value, own, f"{prefix}{name}.", where)


def _no_such(key: str) -> str:
    near = difflib.get_close_matches(key, [*keys(), *schema()["properties"]], 1)
    hint = f"did you mean {near[0]}?" if near else "remove it; docs/settings.md lists all keys"
    return f"there is no such setting: {hint}"


def _overlay(stated: dict[str, Any], environ: Mapping[str, str], where: _Where) -> Iterator[Issue]:
    """Lay the environment over ``stated``, in place."""
    names = {environment_name(key): key for key in keys()}
    for name in sorted(environ):
        if not name.startswith(PREFIX) or _NOT_SETTINGS.fullmatch(name):
            continue
        if name not in names:
            near = difflib.get_close_matches(name, list(names), 1)
            hint = f"did you mean {near[0]}?" if near else "unset it"
            yield Issue("not-found", f"there is no such setting: {hint}", name)
            continue
        *path, last = names[name].split(".")
        table = stated
        for step in path:
            below = table.setdefault(step, {})
            if not isinstance(below, dict):
                yield Issue("value", "must be a section", where(step))
                return
            table = below
        table[last] = _from_text(environ[name], keys()[names[name]])


def _from_text(text: str, own: Mapping[str, Any]) -> Any:
    """Text for a text setting; for any other, a TOML value (or the bare word)."""
    if own.get("type") == "string":
        return text
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return found["value"] if len(found) == 1 else text


def _violations(stated: Mapping[str, Any], where: _Where) -> Iterator[Issue]:
    # imported here: it takes longer than all of --help may
    validator = import_module("jsonschema").Draft202012Validator(schema())
    for error in validator.iter_errors(stated):
        names = [str(step) for step in error.absolute_path if isinstance(step, str)]
        key = ".".join(names)
        own = keys().get(key, {"type": "object"})
        yield Issue("value", f"must be {expected(own)}", where(key))


def _refusal(issues: list[Issue]) -> Incorrect:
    first = issues[0]
    more = f" (and {len(issues) - 1} more)" if len(issues) > 1 else ""
    return Incorrect(
        f"settings: {first.where}: {first.message}{more}",
        code="settings",
        where=first.where,
        issues=issues,
    )
