"""One fresh node for one run: made, started, asked and stopped through its command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Client", "Node"]

COMMAND = (sys.executable, "-m", "fhir_bridge")
START_DEADLINE_S = 60.0
TOKEN_LIFE_S = 200.0


@dataclass(slots=True)
class Client:
    """A registered client and its last token."""

    name: str
    organization: str
    key: Path
    token: str = ""
    minted_s: float = float("-inf")


@dataclass(slots=True)
class Node:
    """A node in ``home``; ``start`` it, then talk to ``base``."""

    home: Path
    port: int = field(default_factory=lambda: _free_port())
    config: Path = field(init=False)
    data: Path = field(init=False)
    _server: subprocess.Popen[bytes] | None = None

    def create(self) -> None:
        """``init``: data and keys in two folders of ``home``."""
        made = self.cli(
            *("init", str(self.home / "node"), "--keys", str(self.home / "keys")),
            *("--port", str(self.port)),
            config=False,
        )
        self.config, self.data = Path(made["config"]), Path(made["data"])

    @property
    def origin(self) -> str:
        """Where the node listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def base(self) -> str:
        """The FHIR base."""
        return f"{self.origin}/fhir"

    def cli(self, *words: str, config: bool = True) -> Any:
        """One command with ``--json``; its object. Raises RuntimeError with its stderr."""
        settings = ("--config", str(self.config)) if config else ()
        done = subprocess.run(
            [*COMMAND, *words, *settings, "--json"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"fhir-bridge {' '.join(words)}: {done.stderr.strip()}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    def start(self) -> None:
        """``serve`` and wait until it says that it is ready."""
        log = (self.home / "serve.log").open("ab")
        self._server = subprocess.Popen(
            [*COMMAND, "serve", "--config", str(self.config)], stdout=log, stderr=log
        )
        deadline = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < deadline:
            if self._server.poll() is not None:
                break
            try:
                self.ready()
            except (OSError, ValueError):
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"the node did not start; see {self.home / 'serve.log'}")

    def stop(self) -> None:
        """SIGTERM to the process we started, and wait."""
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGTERM)
            self._server.wait(60)

    def ready(self) -> Any:
        """What /health/ready says, or an error while it is not."""
        with urllib.request.urlopen(f"{self.origin}/health/ready", timeout=5) as answer:
            return json.load(answer)

    def register(self, name: str, organization: str) -> Client:
        """Register a client for treatment with a new key."""
        key = self.home / f"{name}.pem"
        self.cli(
            *("client", "add", name, "--organization", organization),
            *("--purpose", "TREAT", "--new-key", str(key)),
        )
        return Client(name, organization, key)

    def token(self, client: Client) -> str:
        """A token with time enough left for one measurement."""
        if time.monotonic() - client.minted_s > TOKEN_LIFE_S:
            client.minted_s = time.monotonic()
            client.token = self.cli("token", client.name, "--key", str(client.key))["access_token"]
        return client.token

    def ask(self, client: Client, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """One request under the FHIR base; status and body, whatever the status."""
        headers = {"Authorization": f"Bearer {self.token(client)}"}
        if body is not None:
            headers["Content-Type"] = "application/fhir+json"
        url = path if path.startswith("http") else f"{self.base}/{path}".rstrip("/")
        request = urllib.request.Request(url, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return int(answer.status), answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def memory_bytes(self) -> dict[str, int]:
        """Resident and proportional memory of the server and its children, summed."""
        if self._server is None:
            return {}
        sums = {"processes": 0, "rss": 0, "pss": 0}
        for pid in _family(self._server.pid):
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            sums["processes"] += 1
            for line in text.splitlines():
                name, _, rest = line.partition(":")
                if name.lower() in ("rss", "pss"):
                    sums[name.lower()] += int(rest.split()[0]) * 1024
        return sums


def _family(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            after_name = entry.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(after_name[1]), []).append(int(entry.parent.name))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def folder_bytes(folder: Path) -> dict[str, int]:
    """Size of each file below ``folder``, by name."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not os.path.islink(path)
    }
