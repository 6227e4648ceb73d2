"""A second implementation of fbe1, written from docs/fbe1.md alone: no line of ours in it.

It seals with given randomness, so that whole entries can be compared byte for byte, and opens
from PEKs or from a DEK. Any deviation raises ValueError.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Any

import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def sha(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def mac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf_expand(prk: bytes, info: bytes, length: int, name: str = "sha256") -> bytes:
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([counter]), name).digest()
        out, counter = out + block, counter + 1
    return out[:length]


def set_key(peks: list[bytes]) -> bytes:
    return hkdf_expand(mac(b"", b"".join(peks)), b"fbe1/set", 32)


def kw(key: bytes, plain: bytes) -> bytes:
    """RFC 3394 §2.2.1."""
    aes = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    a, r = b"\xa6" * 8, [plain[i : i + 8] for i in range(0, len(plain), 8)]
    for j in range(6):
        for i in range(len(r)):
            b = aes.update(a + r[i])
            a = struct.pack(">Q", struct.unpack(">Q", b[:8])[0] ^ (len(r) * j + i + 1))
            r[i] = b[8:]
    return a + b"".join(r)


def unkw(key: bytes, box: bytes) -> bytes:
    """RFC 3394 §2.2.2."""
    aes = Cipher(algorithms.AES(key), modes.ECB()).decryptor()
    a, r = box[:8], [box[i : i + 8] for i in range(8, len(box), 8)]
    for j in reversed(range(6)):
        for i in reversed(range(len(r))):
            t = struct.unpack(">Q", a)[0] ^ (len(r) * j + i + 1)
            b = aes.update(struct.pack(">Q", t) + r[i])
            a, r[i] = b[:8], b[8:]
    if a != b"\xa6" * 8:
        raise ValueError("box")
    return b"".join(r)


def _cobblestone_keys(key: bytes, salt: bytes, context: bytes) -> tuple[AESGCM, int, bytes]:
    if len(key) != 32:
        raise ValueError("key size")
    info = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00" + salt + context
    out = hkdf_expand(key, info, 76, "sha512")
    return AESGCM(out[:32]), int.from_bytes(out[32:44], "big"), out[44:]


def seal(key: bytes, context: bytes, plain: bytes, salt: bytes) -> bytes:
    aead, base, commitment = _cobblestone_keys(key, salt, context)
    out = salt + commitment
    for number in range(len(plain) // 16384 + 1):
        chunk = plain[number * 16384 : (number + 1) * 16384]
        out += aead.encrypt((base ^ number).to_bytes(12, "big"), chunk, None)
    return out


def unseal(key: bytes, context: bytes, sealed: bytes) -> bytes:
    aead, base, commitment = _cobblestone_keys(key, sealed[:24], context)
    if sealed[24:56] != commitment:
        raise ValueError("commitment")
    out, rest, number = b"", sealed[56:], 0
    while True:
        chunk, rest = rest[:16400], rest[16400:]
        out += aead.decrypt((base ^ number).to_bytes(12, "big"), chunk, None)
        number += 1
        if len(chunk) < 16400:
            return out


def tlv(*values: bytes) -> bytes:
    return b"".join(struct.pack(">BH", i, len(v)) + v for i, v in enumerate(values, 1))


def untlv(data: bytes, count: int) -> list[bytes]:
    out = []
    for expected in range(1, count + 1):
        tag, length = struct.unpack(">BH", data[:3])
        if tag != expected or len(data) < 3 + length:
            raise ValueError("tlv")
        out.append(data[3 : 3 + length])
        data = data[3 + length :]
    if data:
        raise ValueError("tlv tail")
    return out


def seal_entry(case: dict[str, Any]) -> dict[str, bytes]:
    """The whole entry of a vector's ``given`` (hex where bytes are meant)."""
    g: dict[str, Any] = dict(case["given"])
    g |= {name: bytes.fromhex(g[name]) for name in case["hex"]}
    key = set_key([bytes.fromhex(p) for p in case["given"]["peks"]])
    author = Ed25519PrivateKey.from_private_bytes(g["author_seed"])
    key_id = sha(b"fhir_bridge/fbe1/key\x00" + author.public_key().public_bytes_raw())[:16]
    h = case["given"]["header"]
    header = tlv(
        b"\x01",
        bytes([h["entry_type"]]),
        ",".join(h["classes"]).encode(),
        bytes.fromhex(h["consent"]),
        struct.pack(">Q", h["time_us"]),
        h["media_type"].encode(),
        struct.pack(">I", len(g["stored"])),
        struct.pack(">I", h["dictionary"]),
        bytes.fromhex("".join(h["mappings"])),
        h["organisation"].encode(),
        struct.pack(">I", h["version"]),
    )
    payload = struct.pack(">H", len(header)) + header
    payload += struct.pack(">I", len(g["frame"])) + g["frame"]
    length_class = 8
    while 1 << length_class < len(payload):
        length_class += 1
    payload += bytes((1 << length_class) - len(payload))
    about_someone = any(patient for patient, _ in g["pairs"])
    ref = mac(hkdf_expand(key, b"fbe1/ref", 32), g["nonce"])[:16]
    core = tlv(
        b"\x01",
        b"\x01",
        g["origin"].encode(),
        b"\x01",
        g["member"].encode(),
        key_id,
        struct.pack(">Q", g["seq"]),
        g["previous"],
        ref if about_someone else g["random_ref"],
        bytes.fromhex("".join(g["claims"])),
        struct.pack(">I", h["time_us"] // 86_400_000_000),
        bytes([length_class]),
        g["nonce"],
    )
    dek = mac(g["hedge_key"], b"fbe1/dek" + g["dek_random"] + sha(core) + sha(payload))
    body = seal(dek, b"fhir_bridge/fbe1/body" + sha(core), payload, g["salt"])
    name = sha(b"fhir_bridge/fbe1/id\x00" + core + sha(body))
    signed = author.sign(b"fhir_bridge/fbe1/leaf\x00" + core + sha(body))
    check = mac(hkdf_expand(g["hint_key"], b"fbe1/handle-check", 32), g["handle_random"])[:4]
    handle = g["handle_random"] + check
    return {
        "core": core,
        "leaf": core + sha(body) + signed,
        "body": body,
        "box": kw(hkdf_expand(key, b"fbe1/wrap" + name, 32), dek),
        "hint": xor(handle, mac(g["hint_key"], name)),
        "entry_id": name,
        "dek": dek,
        "handle": handle,
    }


def xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left[:16], right[:16], strict=True))


def dek_of(leaf: bytes, box: bytes, peks: list[bytes]) -> bytes:
    """Step 4 of §8, from the PEKs of the sorted pairs."""
    name = sha(b"fhir_bridge/fbe1/id\x00" + leaf[:-64])
    return unkw(hkdf_expand(set_key(peks), b"fbe1/wrap" + name, 32), box)


def open_entry(
    leaf: bytes, body: bytes, dek: bytes, public: bytes, dictionaries: dict[int, bytes]
) -> tuple[list[bytes], bytes]:
    """(header values, stored bytes): the steps of §8 from an opening."""
    core, body_hash, signature = leaf[:-96], leaf[-96:-64], leaf[-64:]
    values = untlv(core, 13)
    if values[0] != b"\x01" or values[1] != b"\x01" or values[3] != b"\x01":
        raise ValueError("core")
    if sha(body) != body_hash:
        raise ValueError("body hash")
    if values[5] != sha(b"fhir_bridge/fbe1/key\x00" + public)[:16]:
        raise ValueError("author key")
    signed = b"fhir_bridge/fbe1/leaf\x00" + core + body_hash
    Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)
    payload = unseal(dek, b"fhir_bridge/fbe1/body" + sha(core), body)
    if len(payload) != 1 << values[11][0]:
        raise ValueError("length class")
    (header_length,) = struct.unpack_from(">H", payload)
    header = untlv(payload[2 : 2 + header_length], 11)
    start = 2 + header_length + 4
    (frame_length,) = struct.unpack_from(">I", payload, start - 4)
    frame, padding = payload[start : start + frame_length], payload[start + frame_length :]
    if padding.strip(b"\x00"):
        raise ValueError("padding")
    dictionary = struct.unpack(">I", header[7])[0]
    data = zstandard.ZstdCompressionDict(dictionaries[dictionary]) if dictionary else None
    plain = zstandard.ZstdDecompressor(dict_data=data).decompress(frame)
    if len(plain) != struct.unpack(">I", header[6])[0]:
        raise ValueError("plain length")
    return header, plain


def open_audit(row: bytes, peks: list[bytes]) -> tuple[int, bytes, bytes]:
    """(seq, previous, JSON) of an audit row, §6."""
    if row[0] != 1:
        raise ValueError("row")
    nonce = row[1:17]
    key = hkdf_expand(set_key(peks), b"fbe1/audit" + nonce, 32)
    record = unseal(key, b"fhir_bridge/fbe1/audit" + nonce, row[17:])
    version, seq, previous, length = struct.unpack_from(">BQ32sI", record)
    if version != 1 or record[45 + length :].strip(b"\x00"):
        raise ValueError("record")
    return seq, previous, record[45 : 45 + length]


def seal_audit(case: dict[str, Any]) -> dict[str, bytes]:
    """An audit row of a vector's ``given``."""
    g: dict[str, Any] = dict(case["given"])
    g |= {name: bytes.fromhex(g[name]) for name in case["hex"]}
    key = set_key([bytes.fromhex(p) for p in case["given"]["peks"]])
    record = struct.pack(">BQ32sI", 1, g["seq"], g["previous"], len(g["record"])) + g["record"]
    size = next((s for s in (2048, 8192, 32768) if len(record) <= s), 0)
    size = size or -(-len(record) // 32768) * 32768
    nonce = g["nonce"]
    sealed = seal(
        hkdf_expand(key, b"fbe1/audit" + nonce, 32),
        b"fhir_bridge/fbe1/audit" + nonce,
        record.ljust(size, b"\x00"),
        g["salt"],
    )
    check = mac(hkdf_expand(g["hint_key"], b"fbe1/handle-check", 32), g["handle_random"])[:4]
    row = b"\x01" + nonce + sealed
    return {"row": row, "hint": xor(g["handle_random"] + check, mac(g["hint_key"], nonce))}
