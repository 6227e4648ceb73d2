"""Compression, and the dictionary that holds nothing but inventions."""

from __future__ import annotations

import hashlib
import importlib.util
import threading
from pathlib import Path
from types import ModuleType

import pytest
import zstandard

from fhir_bridge.errors import Corrupt
from fhir_bridge.keys import compression
from fhir_bridge.keys.compression import compress, decompress

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "fhir_bridge" / "keys" / "data"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("train", ROOT / "tools" / "train_dictionary.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_shipped_dictionary_is_the_one_in_the_catalogue() -> None:
    catalogue = compression.catalogue()
    assert str(catalogue["current"]) in catalogue["files"]
    assert sorted(p.name for p in DATA.glob("*.zdict")) == sorted(catalogue["sha256"])
    for number, name in catalogue["files"].items():
        content = (DATA / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == catalogue["sha256"][name]
        assert zstandard.ZstdCompressionDict(content).dict_id() == int(number)


def test_the_records_of_the_training_are_invented_anew_from_a_seed(tool: ModuleType) -> None:
    assert tool.records(50) == tool.records(50)
    assert tool.records(50, seed=1) != tool.records(50, seed=2)


def test_every_stretch_of_the_dictionary_comes_from_an_invented_record(tool: ModuleType) -> None:
    """So it can hold nothing of anybody: it was trained on nothing else."""
    content = (DATA / f"fbe1-{tool.DICTIONARY_ID}.zdict").read_bytes()
    text = b"\n".join(tool.records(tool.SAMPLES))
    body = content[-40_000:]
    for at in range(0, len(body) - 32, 997):
        piece = body[at : at + 32]
        assert piece[:16] in text or piece[16:] in text


def test_an_invented_record_shrinks_well(tool: ModuleType) -> None:
    records = tool.records(200, seed=99)
    small = sum(len(compress(record)[0]) for record in records)
    assert small < 0.3 * sum(map(len, records))


@pytest.mark.parametrize("plain", [b"", b"x", b"{}" * 500, bytes(200_000)])
def test_what_is_compressed_comes_back(plain: bytes) -> None:
    frame, dictionary = compress(plain)
    assert dictionary == (100_001 if len(plain) <= 1 << 17 else 0)
    assert decompress(frame, len(plain), dictionary) == plain


def test_a_frame_that_lies_about_its_size_takes_no_memory() -> None:
    frame, dictionary = compress(b"a" * 1000)
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(b"a" * 1000)
    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(compression.MAX_PLAIN_BYTES + 1))
    for broken, length, number in (
        (frame, 999, dictionary),
        (frame, 1001, dictionary),
        (unsized, 1000, 0),
        (bomb, compression.MAX_PLAIN_BYTES + 1, 0),
        (frame + b"\x00", 1000, dictionary),
        (frame + frame, 1000, dictionary),
        (frame[:-1], 1000, dictionary),
        (b"", 0, 0),
        (b"not zstd", 8, 0),
        (frame, 1000, 4242),
    ):
        with pytest.raises(Corrupt):
            decompress(broken, length, number)


def test_threads_have_their_own_engines() -> None:
    wrong: list[int] = []

    def work(seed: int) -> None:
        for i in range(300):
            plain = f'{{"n":{seed},"i":{i}}}'.encode() * 20
            frame, dictionary = compress(plain)
            if decompress(frame, len(plain), dictionary) != plain:
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
