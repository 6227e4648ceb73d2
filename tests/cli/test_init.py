"""init: a try that fails says why in one line and stands in nobody's way."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_bridge.cli import run


@pytest.mark.parametrize(
    "words",
    [
        ("--port", "0"),
        ("--port", "99999"),
        ("--member", "http://a b"),
        ("--keys", "file/keys"),
    ],
)
def test_a_refused_init_can_be_repeated_rightly(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    assert run(["init", "node", *words]) == 1
    told = capsys.readouterr().err
    assert told.startswith("fhir-bridge: ")
    assert "Traceback" not in told
    assert run(["init", "node", "--keys", "keys"]) == 0
    assert Path("node/policy.txt").exists()


def test_a_place_that_cannot_be_written_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "file"
    place.touch()
    for folder in (place, place / "node"):
        assert run(["init", str(folder)]) == 1
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert str(place) in told
