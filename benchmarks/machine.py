"""What a figure needs beside it: machine, versions, how fast this disk makes things durable."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

__all__ = ["commit", "describe", "fsync_ms", "help_ms"]

_ROOT = Path(__file__).resolve().parents[1]


def commit() -> str:
    """The commit under test, marked when files differ from it."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "no commit yet"


def describe() -> dict[str, Any]:
    """Processor, cores, memory, system and the versions that matter; no host name."""
    processor = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    libraries = ("aiohttp", "uvloop", "cryptography", "apsw-sqlite3mc", "zstandard")
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(pages / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in libraries},
    }


def fsync_ms(folder: Path, times: int = 200) -> float:
    """Median milliseconds of a 4 KiB append made durable in ``folder``."""
    path = folder / "fsync-probe"
    took = []
    with path.open("wb", buffering=0) as out:
        for _ in range(times):
            started = time.perf_counter()
            out.write(b"\0" * 4096)
            os.fdatasync(out.fileno())
            took.append(time.perf_counter() - started)
    path.unlink()
    return round(statistics.median(took) * 1e3, 3)


def help_ms(command: tuple[str, ...], times: int = 7) -> float:
    """Median milliseconds of ``--help``."""
    took = []
    for _ in range(times):
        started = time.perf_counter()
        subprocess.run([*command, "--help"], capture_output=True, check=True)
        took.append(time.perf_counter() - started)
    return round(statistics.median(took) * 1e3, 1)
