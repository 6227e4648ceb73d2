"""What may not stand in any file of the project: addresses, machine paths, unfinished work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.tree import PACKAGE, ROOT, files

_SELF = Path(__file__).resolve()

MACHINE_PATHS = re.compile(r"(?<![\w.:/$}~-])/(?:work|root|home|Users)/[\w.]")
REGISTRIES = re.compile(
    r"pypi\.org|pythonhosted\.org|npmjs\.|crates\.io|proxy\.golang|docker\.io|ghcr\.io|quay\.io"
    r"|--(?:extra-)?index-url|--find-links|--trusted-host",
    re.IGNORECASE,
)
AUTHORSHIP = re.compile(
    r"\bclaude\b|anthropic|openai|chatgpt|\bgpt-?\d|copilot|language model|\bLLMs?\b"
    r"|\bAI[- ](?:generated|assist\w*|agent|model)|sub-?agents?\b|system prompt"
    r"|co-authored-by|generated with",
    re.IGNORECASE,
)
UNFINISHED = re.compile(r"\bTODO\b|\bFIXME\b|\bXXX\b|NotImplementedError|xfail|mark\.skip\b")
PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\n[A-Za-z0-9+/=]")


def _texts() -> list[tuple[str, str]]:
    found = []
    for path in files():
        if path == _SELF:
            continue
        try:
            found.append((str(path.relative_to(ROOT)), path.read_text()))
        except UnicodeDecodeError:
            continue
    return found


@pytest.mark.parametrize(
    ("what", "pattern"),
    [
        ("path of one machine", MACHINE_PATHS),
        ("registry address", REGISTRIES),
        ("word about how the text was written", AUTHORSHIP),
        ("unfinished work", UNFINISHED),
        ("private key", PRIVATE_KEY),
    ],
)
def test_no_file_holds_a(what: str, pattern: re.Pattern[str]) -> None:
    # `--no-emit-index-url` in CONTRIBUTING is the option that keeps addresses out.
    hits = [
        f"{name}: {match.group()}"
        for name, text in _texts()
        for match in pattern.finditer(text.replace("--no-emit-index-url", ""))
    ]
    assert hits == [], f"a {what} stands in the project"


def test_the_package_prints_only_from_the_command_line() -> None:
    to_stdout = re.compile(r"^\s*print\((?!.*file=sys\.stderr)", re.MULTILINE)
    printing = [
        str(path.relative_to(ROOT))
        for path in PACKAGE.rglob("*.py")
        if "cli" not in path.parts and to_stdout.search(path.read_text())
    ]
    assert printing == []


def test_only_the_clock_reads_time_or_randomness_and_keys_may_make_keys() -> None:
    allowed = {PACKAGE / "clock.py", *(PACKAGE / "keys").glob("*.py")}
    pattern = re.compile(
        r"\btime\.time(?:_ns)?\(|datetime\.(?:now|utcnow|today)\(|\bos\.urandom\("
        r"|^import (?:random|secrets)\b|uuid\.uuid[14]\(",
        re.MULTILINE,
    )
    reading = [
        f"{path.relative_to(ROOT)}: {match.group().strip()}"
        for path in PACKAGE.rglob("*.py")
        if path not in allowed and "cli" not in path.parts
        for match in pattern.finditer(path.read_text())
    ]
    assert reading == []
