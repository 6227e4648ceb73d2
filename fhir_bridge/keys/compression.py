"""zstd with our own dictionaries (RFC 8878 §5), one compressor per thread.

A dictionary holds pieces of what it was trained on: ours have only ever seen records invented
by tools/train_dictionary.py. A compressor shared between threads corrupts data.
"""

from __future__ import annotations

import json
import threading
from functools import lru_cache
from importlib.resources import files
from typing import Any

import zstandard

from fhir_bridge.errors import Corrupt, TooLarge

__all__ = ["MAX_PLAIN_BYTES", "compress", "current_dictionary", "decompress"]

LEVEL = 3
MAX_PLAIN_BYTES = 64 * 1024 * 1024
"""No stored bytes longer than this are sealed or opened."""
_SMALL_BYTES = 1 << 17
"""Above this a dictionary no longer pays."""
_WITH_DICTIONARY: dict[str, Any] = {
    "window_log": 17,
    "hash_log": 15,
    "chain_log": 15,
    "search_log": 4,
    "min_match": 6,
    "target_length": 8,
    "strategy": zstandard.STRATEGY_GREEDY,
    "write_content_size": 1,
    "write_dict_id": 0,
}
"""No level of zstd finds as much of a dictionary for so little (docs/decisions/0037)."""

_local = threading.local()


@lru_cache(maxsize=1)
def catalogue() -> dict[str, Any]:
    """data/dictionaries.json: which dictionaries there are and which one is current."""
    text = files("fhir_bridge.keys").joinpath("data/dictionaries.json").read_text("ascii")
    value: dict[str, Any] = json.loads(text)
    return value


@lru_cache(maxsize=1)
def current_dictionary() -> int:
    """The id of the dictionary that new entries are sealed with."""
    return int(catalogue()["current"])


def compress(plain: bytes) -> tuple[bytes, int]:
    """(zstd frame with its content size, dictionary id or 0)."""
    size = len(plain)
    if size > MAX_PLAIN_BYTES:
        raise TooLarge(f"more than {MAX_PLAIN_BYTES} bytes to seal", code="plain-length")
    dictionary = current_dictionary() if size <= _SMALL_BYTES else 0
    frame: bytes = _engine("compressor", dictionary).compress(plain)
    return frame, dictionary


def decompress(frame: bytes, plain_length: int, dictionary: int) -> bytes:
    """The plain bytes. The frame must claim exactly ``plain_length`` before any memory is
    taken; Corrupt otherwise, and for an unknown dictionary."""
    try:
        # zstd itself refuses a frame that unpacks to another length than it claims.
        if plain_length > MAX_PLAIN_BYTES or zstandard.frame_content_size(frame) != plain_length:
            raise Corrupt("compressed bytes claim another length", code="compression")
        plain: bytes = _engine("decompressor", dictionary).decompress(frame, allow_extra_data=False)
        return plain
    except zstandard.ZstdError:
        raise Corrupt("compressed bytes are damaged", code="compression") from None


def _engine(kind: str, dictionary: int) -> Any:
    """This thread's compressor or decompressor for a dictionary."""
    engines: dict[tuple[str, int], Any] | None = getattr(_local, "engines", None)
    if engines is None:
        engines = _local.engines = {}
    engine = engines.get((kind, dictionary))
    if engine is None:
        engine = engines[kind, dictionary] = _build(kind, dictionary)
    return engine


def _build(kind: str, dictionary: int) -> Any:
    data = None
    if dictionary:
        names = catalogue()["files"]
        if str(dictionary) not in names:
            raise Corrupt("sealed with an unknown dictionary", code="dictionary")
        content = files("fhir_bridge.keys").joinpath(f"data/{names[str(dictionary)]}").read_bytes()
        data = zstandard.ZstdCompressionDict(content)
    if kind == "decompressor":
        return zstandard.ZstdDecompressor(dict_data=data)
    if data is None:
        return zstandard.ZstdCompressor(level=LEVEL)
    parameters = zstandard.ZstdCompressionParameters(**_WITH_DICTIONARY)
    data.precompute_compress(compression_params=parameters)
    return zstandard.ZstdCompressor(dict_data=data, compression_params=parameters)
