"""One measurement with wrk: lines in, rate and latencies out, every hundredth answer kept."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Answer", "Load", "run_wrk", "samples"]

_SCRIPTS = Path(__file__).resolve().parent / "wrk"
CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Load:
    """What wrk counted: complete answers, wrong statuses, lost requests, latencies in ms."""

    answers: int
    seconds: float
    wrong: int
    lost: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float

    @property
    def rate(self) -> float:
        """Answers per second."""
        return self.answers / self.seconds


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as wrk received it."""

    status: int
    location: str
    etag: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Target:
    """What to send where: script, origin, token, lines and the status that is right."""

    script: str
    origin: str
    token: str
    lines: Sequence[str]
    expect: int


def run_wrk(target: Target, folder: Path, seconds: float) -> Load:
    """Run one script for ``seconds`` at eight connections; samples land in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "lines").write_text("".join(line + "\n" for line in target.lines))
    (folder / "samples").unlink(missing_ok=True)
    environment = os.environ | {
        "BENCH_LUA": str(_SCRIPTS),
        "BENCH_TOKEN": target.token,
        "BENCH_LINES": str(folder / "lines"),
        "BENCH_SAMPLES": str(folder / "samples"),
        "BENCH_BASE": "/fhir",
        "BENCH_EXPECT": str(target.expect),
    }
    done = subprocess.run(
        [
            *("wrk", "--threads", "1", "--connections", str(CONNECTIONS), "--latency"),
            *("--duration", f"{seconds:.0f}s", "--timeout", "30s"),
            *("--script", str(_SCRIPTS / f"{target.script}.lua"), target.origin),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return parse(done.stdout, done.stderr)


def parse(printed: str, complaint: str = "") -> Load:
    """The Load in what a script printed. Raises RuntimeError when there is none."""
    for line in printed.splitlines():
        if line.startswith("BENCH "):
            return Load(**json.loads(line.removeprefix("BENCH ")))
    raise RuntimeError(f"wrk gave no result: {complaint.strip() or printed.strip()}")


def samples(folder: Path) -> Iterator[Answer]:
    """The kept answers, in the order of arrival."""
    path = folder / "samples"
    if not path.exists():
        return
    raw = path.read_bytes()
    at = 0
    while at < len(raw):
        end = raw.index(b"\n", at)
        status, location, etag, length = raw[at:end].decode().split(" ")
        body = raw[end + 1 : end + 1 + int(length)]
        if len(body) != int(length):  # cut short when wrk ended
            return
        yield Answer(int(status), location, etag, body)
        at = end + int(length) + 2


def decode(body: bytes) -> Any:
    """JSON with numbers as they were written."""
    return json.loads(body, parse_float=_Number, parse_int=_Number)


class _Number(str):
    """A number's own digits."""

    __slots__ = ()
