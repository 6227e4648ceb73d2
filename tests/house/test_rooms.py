"""Every room says what it is for and what it offers, and offers what it says."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path

import pytest

from tests.house.tree import PACKAGE, ROOT, rooms

ROOMS = [path.name for path in rooms()]
EXPECTED = {
    *("fhir", "fbe1", "labels", "consent", "search", "keys", "ledger", "locator", "audit"),
    *("smart", "exchange", "api", "assembly", "cli"),
}


def test_every_room_of_the_house_is_there() -> None:
    assert set(ROOMS) >= EXPECTED


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_offers_the_names_it_lists(room: str) -> None:
    module = importlib.import_module(f"fhir_bridge.{room}")
    names = getattr(module, "__all__", None)
    assert names is not None, f"fhir_bridge/{room}/__init__.py has no __all__"
    assert [name for name in names if not hasattr(module, name)] == []
    assert [name for name in names if name.startswith("_")] == []


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_what_it_is_for(room: str) -> None:
    text = (PACKAGE / room / "__init__.py").read_text()
    said = ast.get_docstring(ast.parse(text)) or ""
    assert len(said) > 60, f"fhir_bridge/{room}/__init__.py: say purpose and invariants"


def _imports(path: Path) -> list[tuple[str, str, int]]:
    return [
        (node.module, alias.name, node.lineno)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    ]


def test_no_room_takes_a_private_name_of_another() -> None:
    taken = []
    for path in PACKAGE.rglob("*.py"):
        home = path.relative_to(PACKAGE).parts[0]
        for module, name, line in _imports(path):
            parts = module.split(".")
            foreign = parts[0] == "fhir_bridge" and parts[1:2] != [home]
            if foreign and name.startswith("_") and not name.startswith("__"):
                taken.append(f"{path.relative_to(ROOT)}:{line} {module}.{name}")
    assert taken == []


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*.py")
        if ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert silent == []


def test_the_map_of_the_house_names_every_room() -> None:
    said = ast.get_docstring(ast.parse((PACKAGE / "__init__.py").read_text())) or ""
    assert [room for room in ROOMS if f"{room}" not in said] == []
