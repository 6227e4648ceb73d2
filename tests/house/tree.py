"""The files of the project as the house tests see them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PACKAGE", "ROOT", "files", "python_files", "rooms"]

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "fhir_bridge"


def files() -> list[Path]:
    """Every file that is in the project or would be: tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if listed.returncode == 0:
        found = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:  # an unpacked source archive has no .git
        hidden = {".venv", ".git", "build", "dist"}
        found = [
            path
            for path in ROOT.rglob("*")
            if not hidden & set(path.relative_to(ROOT).parts) and "cache" not in str(path)
        ]
    return sorted(path for path in found if path.is_file())


def python_files() -> Iterator[Path]:
    """Our Python, tests and tools included."""
    return (path for path in files() if path.suffix == ".py")


def rooms() -> list[Path]:
    """The folders of the package that are packages themselves."""
    return sorted(path.parent for path in PACKAGE.glob("*/__init__.py"))
