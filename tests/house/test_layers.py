"""The contracts in pyproject.toml hold, and they speak about every module there is."""

from __future__ import annotations

import logging
import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from importlinter.cli import lint_imports

from tests.house.tree import PACKAGE, ROOT


def _contracts() -> dict[str, dict[str, Any]]:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    return {contract["id"]: contract for contract in settings["contracts"]}


def _modules() -> set[str]:
    inside = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    return inside | {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}


def test_every_import_contract_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    before = os.environ.copy()
    status = lint_imports(
        config_filename=str(ROOT / "pyproject.toml"), cache_dir=str(tmp_path), verbose=False
    )
    os.environ.clear()
    os.environ.update(before)
    # The library configures logging and thereby silences every logger made before it.
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False
    assert status == 0


def test_the_layers_name_every_module_of_the_package() -> None:
    layers = _contracts()["layers"]["layers"]
    assert {name.strip() for layer in layers for name in layer.split("|")} == _modules()


@pytest.mark.parametrize(
    ("contract", "allowed"),
    [
        ("aiohttp", {"api", "assembly", "cli"}),
        ("cryptography", {"keys", "smart"}),
        ("models", {"fhir"}),
    ],
)
def test_a_library_is_forbidden_everywhere_but_in_its_rooms(
    contract: str, allowed: set[str]
) -> None:
    sources = {
        name.removeprefix("fhir_bridge.") for name in _contracts()[contract]["source_modules"]
    }
    assert sources == _modules() - allowed
