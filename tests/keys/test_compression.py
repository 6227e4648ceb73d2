"""Compression, and the dictionary that holds nothing but inventions."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest
import zstandard

from fhir_bridge.errors import Corrupt
from fhir_bridge.fhir import admit
from fhir_bridge.keys import compression
from fhir_bridge.keys.compression import compress, current_dictionary, decompress
from tools.invented import records
from tools.train_dictionary import DICTIONARY_ID, SAMPLES, SEED

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "fhir_bridge" / "keys" / "data"


def test_every_shipped_dictionary_is_the_one_in_the_catalogue() -> None:
    catalogue = compression.catalogue()
    assert str(catalogue["current"]) in catalogue["files"]
    assert sorted(p.name for p in DATA.glob("*.zdict")) == sorted(catalogue["sha256"])
    for number, name in catalogue["files"].items():
        content = (DATA / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == catalogue["sha256"][name]
        assert zstandard.ZstdCompressionDict(content).dict_id() == int(number)


def test_the_records_of_the_training_are_invented_anew_from_a_seed() -> None:
    assert records(50, 1) == records(50, 1)
    assert records(50, 1) != records(50, 2)


def test_the_records_of_the_training_are_right_resources() -> None:
    for record in records(500, 3):
        admit(record)


def test_every_stretch_of_the_dictionary_comes_from_an_invented_record() -> None:
    """So it can hold nothing of anybody: it was trained on nothing else."""
    content = (DATA / f"fbe1-{DICTIONARY_ID}.zdict").read_bytes()
    text = b"\n".join(records(SAMPLES, SEED))
    body = content[-40_000:]
    for at in range(0, len(body) - 32, 997):
        piece = body[at : at + 32]
        assert piece[:16] in text or piece[16:] in text


def test_an_invented_record_shrinks_well() -> None:
    fresh = records(200, 99)
    small = sum(len(compress(record)[0]) for record in fresh)
    assert small < 0.3 * sum(map(len, fresh))


@pytest.mark.parametrize("plain", [b"", b"x", b"{}" * 500, bytes(200_000)])
def test_what_is_compressed_comes_back(plain: bytes) -> None:
    frame, dictionary = compress(plain)
    assert dictionary == (current_dictionary() if len(plain) <= 1 << 17 else 0)
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
