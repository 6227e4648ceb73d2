"""Trains the zstd dictionary of fbe1 bodies on invented records, and on nothing else.

    python -m tools.train_dictionary            writes fhir_bridge/keys/data/
    python -m tools.train_dictionary --check    trains again and compares

A dictionary holds pieces of what it was trained on, and it is shipped to everybody: every record
here is drawn by `tools.invented` from a fixed seed. A dictionary that was ever released stays.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any, cast

import zstandard

from tools.invented import records

DICTIONARY_ID = 100_002
SIZE_BYTES = 48 * 1024
SAMPLES = 6000
SEED = 20261
DATA = Path(__file__).resolve().parents[1] / "fhir_bridge" / "keys" / "data"


def train() -> bytes:
    """The dictionary; the same bytes with the same version of zstd."""
    samples = cast(Any, records(SAMPLES, SEED))
    return zstandard.train_dictionary(
        SIZE_BYTES, samples, dict_id=DICTIONARY_ID, level=3, k=1024, d=8
    ).as_bytes()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="train again and compare")
    arguments = parser.parse_args()
    content, name = train(), f"fbe1-{DICTIONARY_ID}.zdict"
    if arguments.check:
        same = (DATA / name).read_bytes() == content
        print("same" if same else "different (another version of zstd trains differently)")
        return int(not same)
    DATA.mkdir(parents=True, exist_ok=True)
    (DATA / name).write_bytes(content)
    catalogue = {
        "current": DICTIONARY_ID,
        "files": {str(DICTIONARY_ID): name},
        "sha256": {name: hashlib.sha256(content).hexdigest()},
    } | {"source": "tools/train_dictionary.py, invented records only"}
    (DATA / "dictionaries.json").write_text(json.dumps(catalogue, indent=2) + "\n", "ascii")
    print(f"{name}: {len(content)} bytes from {SAMPLES} invented records")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
