"""Files and functions stop at the sizes the house allows."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.house.tree import ROOT, files, python_files

FILE_LINES = 500
FUNCTION_LINES = 60
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}


def _functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text())
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_no_python_file_is_longer_than_the_limit() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in python_files()
        if (lines := len(path.read_text().splitlines())) > FILE_LINES
    }
    assert long == {}


def test_no_function_is_longer_than_the_limit() -> None:
    long = {
        f"{path.relative_to(ROOT)}:{found.lineno} {found.name}": lines
        for path in python_files()
        for found in _functions(path)
        if (lines := (found.end_lineno or 0) - found.lineno + 1) > FUNCTION_LINES
    }
    assert long == {}


def test_no_module_is_named_for_having_no_room() -> None:
    named = [
        str(path.relative_to(ROOT))
        for path in files()
        if path.suffix == ".py" and {path.stem, path.parent.name} & BANNED_NAMES
    ]
    assert named == []


def test_every_python_file_has_a_docstring_and_postponed_annotations() -> None:
    bare = []
    for path in python_files():
        text = path.read_text()
        if not text.strip():
            continue
        tree = ast.parse(text)
        postponed = "from __future__ import annotations" in text or len(tree.body) == 1
        if ast.get_docstring(tree) is None or not postponed:
            bare.append(str(path.relative_to(ROOT)))
    assert bare == []
