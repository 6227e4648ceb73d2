"""The commands of README.md run, in their order, and print what the page says they print."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.house.tree import ROOT

MARK = "\x1fdone\x1f"


@dataclass(frozen=True, slots=True)
class Step:
    """One command of the page and the lines shown under it."""

    command: str
    shown: tuple[str, ...]


def steps(page: str) -> list[Step]:
    """Every ``$ command`` of the console blocks; lines below it are its output."""
    found: list[Step] = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Step(line[2:], ()))
            else:
                found[-1] = Step(found[-1].command, (*found[-1].shown, line))
    return found


def fits(shown: str, printed: str) -> bool:
    """Whether a printed line is the shown one; ``…`` in the page stands for anything."""
    pattern = ".*".join(re.escape(part) for part in shown.split("…"))
    return re.fullmatch(pattern, printed.rstrip()) is not None


def _script(chosen: list[Step]) -> str:
    # Background jobs end with the shell, whatever happens above.
    lines = ["set -eo pipefail -m", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for step in chosen:
        lines += [step.command, f"printf '%s\\n' ${MARK!r}"]
    return "\n".join(lines) + "\n"


def test_the_page_shows_a_refusal_and_a_proof() -> None:
    commands = [step.command for step in steps((ROOT / "README.md").read_text())]
    assert any("%{http_code}" in command for command in commands)
    assert any(command.startswith("fhir-bridge proof verify") for command in commands)


def test_every_make_target_of_the_page_exists() -> None:
    page, makefile = (ROOT / "README.md").read_text(), (ROOT / "Makefile").read_text()
    asked = {s.command.split()[1] for s in steps(page) if s.command.startswith("make ")}
    assert asked
    assert [name for name in asked if not re.search(rf"^{name}:", makefile, re.MULTILINE)] == []


def test_every_folder_of_the_map_exists() -> None:
    page = (ROOT / "README.md").read_text()
    named = re.findall(r"^\| `([a-z_]+)/`", page, re.MULTILINE)
    assert len(named) > 5
    assert [name for name in named if not (ROOT / name).is_dir()] == []


def test_dots_in_the_page_stand_for_anything() -> None:
    assert fits("index … of …", "index 7 of 9")
    assert not fits("index … of 8", "index 7 of 9")
    assert not fits("404", "4040")


def test_the_commands_of_the_page_run_and_print_what_it_shows(tmp_path: Path) -> None:
    chosen = [
        step
        for step in steps((ROOT / "README.md").read_text())
        if not step.command.startswith("make ")
    ]
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
    }
    with socket.socket() as probe:  # the page's port may be taken on this machine
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    done = subprocess.run(
        ["bash", "-c", _script(chosen).replace("8099", port)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    printed = done.stdout.split(f"{MARK}\n")
    at = len(printed) - 1
    assert at == len(chosen), f"stopped at: {chosen[at].command}\n{done.stdout}\n{done.stderr}"
    for step, output in zip(chosen, printed, strict=False):
        if step.shown:
            lines = output.rstrip("\n").splitlines()
            pairs = list(zip(step.shown, lines, strict=False))
            assert len(step.shown) == len(lines), f"{step.command}\n{output}"
            assert [pair for pair in pairs if not fits(*pair)] == [], step.command
