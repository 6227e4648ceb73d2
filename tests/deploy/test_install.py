"""The deployment steps work: the wheel alone, an unprivileged user, a read-only root."""

from __future__ import annotations

import configparser
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534


def _run(*command: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, text=True, capture_output=True, check=False, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel in it; what it depends on is lent by path."""
    work = tmp_path_factory.mktemp("deploy")
    work.chmod(0o755)
    for parent in work.parents:  # pytest makes its folders private; the user must pass through
        if parent == Path(parent.anchor) or parent.stat().st_uid != os.getuid():
            break
        if not parent.stat().st_mode & 0o001 and "pytest" in parent.name:
            parent.chmod(0o755)
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", work, ROOT)
    [wheel] = work.glob("*.whl")
    _run(sys.executable, "-m", "venv", work / "venv")
    python = work / "venv" / "bin" / "python"
    _run(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel)
    where = _run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (Path(where.stdout.strip()) / "lent.pth").write_text("\n".join(sorted(lent)) + "\n")
    return work


def test_the_wheel_carries_its_data_and_none_of_the_tests(installed: Path) -> None:
    [wheel] = installed.glob("*.whl")
    names = _run(sys.executable, "-m", "zipfile", "-l", wheel).stdout
    for needed in (
        "fhir_bridge/demo_records/records.json",
        "fhir_bridge/shipped_mappings/README.md",
        "fhir_bridge/py.typed",
        "licenses/LICENSE",
        "licenses/NOTICE",
    ):
        assert needed in names
    assert "tests/" not in names
    assert "benchmarks/" not in names


def test_the_wheel_runs_from_its_own_files(installed: Path) -> None:
    place = _run(
        installed / "venv/bin/python",
        "-c",
        "import fhir_bridge; print(fhir_bridge.__file__)",
        cwd=installed,
    )
    assert Path(place.stdout.strip()).is_relative_to(installed)


def _sandbox(installed: Path, script: str) -> list[str]:
    """A shell as nobody where only ``$HOME`` can be written. Needs to be started by root."""
    home = installed / "state"
    home.mkdir(exist_ok=True)
    interpreter = shlex.quote(sys.base_prefix)
    # An interpreter under a private home folder is shown again at its own path.
    private = next(
        (p for p in reversed(Path(sys.base_prefix).parents) if not p.stat().st_mode & 0o001), None
    )
    show = ""
    if private is not None:
        show = f"""
        mount -t tmpfs -o mode=755 tmpfs /mnt && mkdir /mnt/python
        mount --bind {interpreter} /mnt/python
        mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(private))}
        mkdir -p {interpreter} && mount --bind /mnt/python {interpreter}
        mount -o remount,bind,ro {interpreter}
        """
    inside = f"""
    set -e
    mount --make-rprivate /
    {show}
    mount -t tmpfs -o mode=700,uid={NOBODY},gid={NOBODY} tmpfs {shlex.quote(str(home))}
    mount -o remount,bind,ro /
    cd {shlex.quote(str(home))}
    export HOME=$PWD XDG_CONFIG_HOME=$PWD/config PATH={installed}/venv/bin:/usr/bin:/bin
    export PYTHONDONTWRITEBYTECODE=1
    exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups --no-new-privs \
      bash -euc {shlex.quote(script)}
    """
    return ["unshare", "--mount", "bash", "-c", textwrap.dedent(inside)]


def _can_sandbox() -> bool:
    if os.getuid() != 0 or not shutil.which("unshare") or not shutil.which("setpriv"):
        return False
    probe = ["unshare", "--mount", "mount", "-o", "remount,bind,ro", "/"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _as_deployed(installed: Path, script: str) -> str:
    """What ``script`` prints: in the sandbox where we may make one, else as ourselves."""
    if _can_sandbox():
        return _run(*_sandbox(installed, script)).stdout
    home = installed / "own"
    home.mkdir(exist_ok=True)
    environment = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "PATH": f"{installed}/venv/bin:/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return _run("bash", "-euc", script, cwd=home, env=environment).stdout


def test_an_unprivileged_user_initialises_a_node_with_a_read_only_root(installed: Path) -> None:
    script = """
        fhir-bridge --help > help
        grep -q serve help
        fhir-bridge init "$HOME/data"
        test -f "$HOME/data/bridge.toml"
        test -z "$(find "$HOME/data" -name '*.key')"
        test -z "$(find "$HOME" -name '*.key' -perm /077)"
        fhir-bridge ledger head --config "$HOME/data/bridge.toml" --json
    """
    assert '"size"' in _as_deployed(installed, script)


def test_the_demo_runs_for_an_unprivileged_user_with_a_read_only_root(installed: Path) -> None:
    assert _as_deployed(installed, 'export TMPDIR="$HOME"; fhir-bridge demo')


def test_the_container_only_installs_the_wheel_and_sets_the_user() -> None:
    text = (ROOT / "deploy/Containerfile").read_text().replace("\\\n", " ")
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line[:1].isupper()]
    kinds = [kind for kind, _ in steps]
    assert kinds.count("RUN") == 1
    assert kinds.count("COPY") == 1
    [user] = [value for kind, value in steps if kind == "USER"]
    assert user not in {"root", "0"}
    [copied] = [value for kind, value in steps if kind == "COPY"]
    assert copied.startswith("dist/*.whl")


def test_the_unit_and_the_container_call_commands_that_exist() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(ROOT / "deploy/fhir-bridge.service")
    started = shlex.split(unit["Service"]["ExecStart"])
    assert unit["Service"]["User"] != "root"
    assert unit["Service"]["ProtectSystem"] == "strict"
    container = (ROOT / "deploy/Containerfile").read_text()
    [listed] = re.findall(r"^CMD \[(.*)\]$", container, re.MULTILINE)
    words = [word.strip(' "') for word in listed.split(",")]
    assert words == started[1:]
    shown = _run(sys.executable, "-m", "fhir_bridge", words[0], "--help").stdout
    assert "--config" in shown
