"""Signatures and the public vectors of the primitives underneath."""

from __future__ import annotations

import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from fhir_bridge.errors import Corrupt
from fhir_bridge.keys import (
    check_public_key,
    ed25519_holds,
    ed25519_signer,
    mldsa44_holds,
    mldsa44_signer,
    unseal_bytes,
    verify_ed25519,
    verify_mldsa44,
)
from fhir_bridge.keys.mac import hkdf
from tests.fbe1 import second_opinion

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
unhex = bytes.fromhex


def cases(testdata: Path, name: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    content = json.loads((testdata / "crypto" / "wycheproof" / f"{name}_test.json").read_text())
    return [(group, test) for group in content["testGroups"] for test in group["tests"]]


def add(a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
    """RFC 8032 §5.1.4, in affine coordinates."""
    (x1, y1), (x2, y2) = a, b
    t = D * x1 * x2 * y1 * y2 % P
    return (
        (x1 * y2 + x2 * y1) * pow(1 + t, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - t, -1, P) % P,
    )


def point(y: int) -> tuple[int, int] | None:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    return (x, y) if x * x % P == square else None


def small_order_ys() -> set[int]:
    """The y of all points of order 1, 2, 4 and 8, found by multiplying by the group order."""
    order = 2**252 + 27742317777372353535851937790883648493
    found: set[int] = set()
    for y in range(2, 60):
        here = point(y)
        if here is None:
            continue
        total, step = (0, 1), here
        for bit in range(order.bit_length()):
            if order >> bit & 1:
                total = add(total, step)
            step = add(step, step)
        for _ in range(8):
            found.add(total[1])
            total = add(total, add(total, (0, 1)))
    return found


def test_public_keys_of_small_order_are_refused_however_they_are_written() -> None:
    small = small_order_ys()
    assert len(small) == 5
    for y in small:
        for value in {y, y + P} if y + P < 2**255 else {y}:
            for sign in (0, 1 << 255):
                with pytest.raises(Corrupt) as caught:
                    check_public_key((value | sign).to_bytes(32, "little"))
                assert caught.value.code == "public-key"
    for broken in (b"", bytes(31), bytes(33), P.to_bytes(32, "little")):
        with pytest.raises(Corrupt):
            check_public_key(broken)
    check_public_key(ed25519_signer(bytes(32)).public)


def test_the_library_alone_would_have_taken_a_small_order_key() -> None:
    """The danger that the check is for: one signature fits every message."""
    identity = (1).to_bytes(32, "little")
    signature = identity + bytes(32)
    Ed25519PublicKey.from_public_bytes(identity).verify(signature, b"anything")
    with pytest.raises(Corrupt):
        verify_ed25519(identity, b"anything", signature)


def test_both_algorithms_verify_what_they_signed_and_nothing_else() -> None:
    for make, verify, holds in (
        (ed25519_signer, verify_ed25519, ed25519_holds),
        (mldsa44_signer, verify_mldsa44, mldsa44_holds),
    ):
        signer = make(b"\x01" * 32)
        signature = signer.sign(b"message")
        verify(signer.public, b"message", signature)
        assert holds(signer.public, b"message", signature)
        other = make(b"\x02" * 32).public
        for public, message, claimed in (
            (signer.public, b"massage", signature),
            (other, b"message", signature),
            (signer.public, b"message", signature[:-1]),
            (signer.public, b"message", b""),
            (signer.public, b"message", bytes(len(signature))),
            (b"", b"message", signature),
        ):
            with pytest.raises(Corrupt):
                verify(public, message, claimed)
            assert not holds(public, message, claimed)


def test_wycheproof_ed25519(testdata: Path) -> None:
    for group, test in cases(testdata, "ed25519"):
        arguments = unhex(group["publicKey"]["pk"]), unhex(test["msg"]), unhex(test["sig"])
        if test["result"] == "valid":
            verify_ed25519(*arguments)
        else:
            with pytest.raises(Corrupt):
                verify_ed25519(*arguments)


def test_wycheproof_mldsa_44(testdata: Path) -> None:
    checked = 0
    for group, test in cases(testdata, "mldsa_44_verify"):
        if test.get("ctx"):
            continue  # checkpoints are signed with an empty context
        arguments = unhex(group["publicKey"]), unhex(test["msg"]), unhex(test["sig"])
        checked += 1
        if test["result"] == "valid":
            verify_mldsa44(*arguments)
        else:
            with pytest.raises(Corrupt):
                verify_mldsa44(*arguments)
    assert checked > 50


def library_alone(key: bytes, context: bytes, sealed: bytes) -> bytes:
    """For the vectors without a context, which our wrapper refuses to take."""
    decryptor = Cobblestone256Decryptor(key, context)
    return decryptor.update(sealed) + decryptor.finalize()


def test_wycheproof_cobblestone_256(testdata: Path) -> None:
    results = set()
    for group, test in cases(testdata, "c2sp_chunked_encryption_aes_256_gcm"):
        assert (group["aead"], group["sha"]) == ("AEAD_AES_256_GCM", "SHA-512")
        context, sealed = unhex(test["ctx"]), zlib.decompress(unhex(test["ct"]))
        opens = [second_opinion.unseal, unseal_bytes if context else library_alone]
        results.add((test["result"], bool(context)))
        for unseal in opens:
            if test["result"] == "valid":
                plain = unseal(unhex(test["key"]), context, sealed)
                assert len(plain) == test["msgLength"]
                assert hashlib.sha512(plain).hexdigest() == test["msgSha512"]
            else:
                with pytest.raises((Corrupt, InvalidTag, ValueError)):
                    unseal(unhex(test["key"]), context, sealed)
    assert ("valid", True) in results


def test_wycheproof_aes_key_wrap(testdata: Path) -> None:
    for _, test in cases(testdata, "aes_wrap"):
        key, plain, box = unhex(test["key"]), unhex(test["msg"]), unhex(test["ct"])
        if test["result"] == "valid":
            assert aes_key_wrap(key, plain) == second_opinion.kw(key, plain) == box
            assert aes_key_unwrap(key, box) == second_opinion.unkw(key, box) == plain
        elif test["result"] == "invalid":
            with pytest.raises((InvalidUnwrap, ValueError)):
                aes_key_unwrap(key, box)


def test_wycheproof_hkdf_sha256(testdata: Path) -> None:
    ours = 0
    for _, test in cases(testdata, "hkdf_sha256"):
        secret, salt, info = (unhex(test[n]) for n in ("ikm", "salt", "info"))
        if test["result"] != "valid":
            with pytest.raises(ValueError):
                HKDF(SHA256(), test["size"], salt, info).derive(secret)
            continue
        expected = unhex(test["okm"])
        prk = second_opinion.mac(salt or bytes(32), secret)
        assert second_opinion.hkdf_expand(prk, info, test["size"]) == expected
        if not salt and len(expected) >= 32:
            assert hkdf(secret, info) == expected[:32]
            ours += 1
    assert ours


def test_wycheproof_aes_gcm_as_the_second_implementation_uses_it(testdata: Path) -> None:
    for group, test in cases(testdata, "aes_gcm"):
        if (group["keySize"], group["ivSize"], group["tagSize"]) != (256, 96, 128):
            continue
        aead = AESGCM(unhex(test["key"]))
        sealed, aad = unhex(test["ct"] + test["tag"]), unhex(test["aad"])
        if test["result"] == "valid":
            assert aead.decrypt(unhex(test["iv"]), sealed, aad) == unhex(test["msg"])
        else:
            with pytest.raises(InvalidTag):
                aead.decrypt(unhex(test["iv"]), sealed, aad)


def test_wycheproof_x25519_of_the_library(testdata: Path) -> None:
    for _, test in cases(testdata, "x25519"):
        if test["result"] == "invalid":
            continue
        private = X25519PrivateKey.from_private_bytes(unhex(test["private"]))
        public = X25519PublicKey.from_public_bytes(unhex(test["public"]))
        if not any(unhex(test["shared"])):
            with pytest.raises(ValueError):
                private.exchange(public)
            continue
        assert private.exchange(public) == unhex(test["shared"])


def test_an_invalid_signature_is_the_only_thing_the_library_says() -> None:
    signer = ed25519_signer(bytes(32))
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(signer.public).verify(bytes(64), b"")
