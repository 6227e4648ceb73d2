"""The demo ends well, and what it prints for a second terminal works as printed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_the_commands_that_the_demo_ends_with_work_as_printed(tmp_path: Path) -> None:
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    told = subprocess.run(
        [sys.executable, "-m", "fhir_bridge", "demo"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    commands = [line.strip() for line in told.stdout.splitlines() if line.startswith("  /")]
    assert len(commands) == 3, told.stdout
    answered, refused, proven = (
        subprocess.run(
            ["bash", "-c", command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for command in commands
    )
    assert answered.returncode == 0
    assert "HTTP 200" in answered.stdout
    assert '"resourceType": "Observation"' in answered.stdout
    assert refused.returncode == 1
    assert "HTTP 404" in refused.stdout
    assert proven.returncode == 0, proven.stderr
