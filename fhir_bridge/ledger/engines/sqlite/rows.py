"""How the blobs inside the ledger file are written: msgpack, typed on the way back."""

from __future__ import annotations

import zlib

import msgspec

__all__ = ["crc_of", "decode_audits", "decode_chains", "encode_audits", "encode_chains"]

StoredAudit = tuple[int, bytes, bytes]
"""Status (0 in effect, 1 void), hint, sealed row."""

_encoder = msgspec.msgpack.Encoder()
_audits = msgspec.msgpack.Decoder(list[tuple[int, bytes, bytes]])
_chains = msgspec.msgpack.Decoder(list[tuple[bytes, int, bytes]])


def crc_of(*parts: bytes) -> int:
    """A checksum against damage, not against anybody: CRC-32 of what stands in no hash; -1 where
    damage left something else than bytes."""
    crc = 0
    for part in parts:
        if type(part) is not bytes:
            return -1
        crc = zlib.crc32(part, crc)
    return crc


def encode_audits(rows: list[StoredAudit]) -> bytes:
    """All audit rows of one commit as one blob: pages fill up, one insert per commit."""
    return _encoder.encode(rows)


def decode_audits(blob: bytes) -> list[StoredAudit]:
    """Raises msgspec.DecodeError for anything else."""
    return _audits.decode(blob)


def encode_chains(chains: dict[bytes, tuple[int, bytes]]) -> bytes:
    """Where every author key's chain stands."""
    return _encoder.encode([(key, seq, last) for key, (seq, last) in chains.items()])


def decode_chains(blob: bytes) -> dict[bytes, tuple[int, bytes]]:
    """Raises msgspec.DecodeError for anything else."""
    return {key: (seq, last) for key, seq, last in _chains.decode(blob)}
