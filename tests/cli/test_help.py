"""Help answers at once, every command shows an example, and exit codes tell the truth."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib import import_module

import pytest

NOUNS = ("client", "token", "ledger", "proof", "keys", "backup", "consent", "index", "export")
LIMIT_S = 0.3


def _leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        yield parser
    for group in groups:
        for inner in group.choices.values():
            yield from _leaves(inner)


def _parser(noun: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fhir-bridge")
    import_module(f"fhir_bridge.cli.{noun}").declare(parser.add_subparsers())
    return parser


@pytest.mark.parametrize("noun", NOUNS)
def test_every_command_has_an_example_json_and_an_end(noun: str) -> None:
    for leaf in _leaves(_parser(noun)):
        text = leaf.format_help()
        assert "example:\n  " in text
        assert "fhir-bridge " in text
        assert "--json" in text
        assert callable(leaf.get_default("run"))


@pytest.mark.parametrize("noun", NOUNS)
def test_an_example_is_a_command_that_parses(noun: str) -> None:
    for leaf in _leaves(_parser(noun)):
        assert leaf.epilog is not None
        # a command inside another one's quotes ends where the quotes do
        text = leaf.epilog.partition("fhir-bridge ")[2].partition(")")[0]
        line = text.split()
        assert callable(_parser(noun).parse_args(line).run)


@pytest.mark.parametrize("noun", ["client", "ledger", "proof", "keys", "consent", "index"])
def test_a_noun_shows_the_example_of_every_verb(noun: str) -> None:
    root = _parser(noun)
    [group] = [a for a in root._actions if isinstance(a, argparse._SubParsersAction)]
    text = group.choices[noun].format_help()
    for leaf in _leaves(root):
        assert leaf.epilog is not None
        assert leaf.epilog.removeprefix("example:\n") in text


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fhir_bridge", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_help_lists_every_command_in_a_third_of_a_second() -> None:
    _run("--help")
    taken = []
    for _ in range(5):
        began = time.monotonic()
        said = _run("--help")
        taken.append(time.monotonic() - began)
        assert said.returncode == 0
    for noun in (*NOUNS, "restore", "upgrade"):
        assert f"    {noun} " in said.stdout
    assert min(taken) < LIMIT_S


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("client",), 2),
        (("no-such-command",), 2),
        (("ledger", "head", "--config", "no-such-file.toml"), 1),
        (("proof", "verify", "absent", "absent", "absent"), 1),
        (("--version",), 0),
    ],
)
def test_the_exit_code_is_zero_only_for_success(words: tuple[str, ...], code: int) -> None:
    said = _run(*words)
    assert said.returncode == code
    assert bool(said.stderr) is (code != 0)
    assert "Traceback" not in said.stderr
