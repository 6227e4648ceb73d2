"""Notes, keys and checkpoints: one way to write them, every other way refused."""

from __future__ import annotations

import base64

import pytest

from fhir_bridge.errors import Corrupt
from fhir_bridge.ledger import Head, log_keys, parse_checkpoint
from fhir_bridge.ledger.checkpoint import checkpoint_text, cosign, holds, sign_checkpoint
from fhir_bridge.ledger.note import (
    Signature,
    VerifierKey,
    format_note,
    parse_note,
    parse_vkey,
)
from tests.ledger.authors import LOG_SIGNERS, ORIGIN, VERIFIERS

HEAD = Head(ORIGIN, 17, bytes(range(32)))

# The example in the documentation of golang.org/x/mod/sumdb/note.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"  # noqa: E501
)


def test_a_published_note_and_its_key_are_read_and_verify() -> None:
    key, note = parse_vkey(PETER), parse_note(PETER_NOTE.encode())
    assert str(key) == PETER
    [line] = note.signatures
    assert (line.name, line.key_id) == (key.name, key.id)
    assert VERIFIERS.ed25519(key.public, note.text.encode(), line.signature)


def test_a_note_is_read_back_as_it_was_written() -> None:
    lines = (Signature("a.example", b"1234", b"x" * 64), Signature("b/c", b"5678", b"y"))
    note = parse_note(format_note("one\n\ntwo\n", lines))
    assert (note.text, note.signatures) == ("one\n\ntwo\n", lines)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAA=",
        b"text\n\n- name AAAAAAA=\n",
        b"text\n\n\xe2\x80\x94  AAAAAAA=\n",
        b"text\n\n\xe2\x80\x94 na+me AAAAAAA=\n",
        b"text\n\n\xe2\x80\x94 name AAAA\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAB=\n",
        b"text\n\n\xe2\x80\x94 name AAAAAAA\n",
        b"te\txt\n\n\xe2\x80\x94 name AAAAAAA=\n",
        b"te\xffxt\n\n\xe2\x80\x94 name AAAAAAA=\n",
        b"text\n\n" + b"\xe2\x80\x94 name AAAAAAA=\n" * 65,
    ],
)
def test_a_malformed_note_is_refused(data: bytes) -> None:
    with pytest.raises(Corrupt):
        parse_note(data)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name+c74f20a3",
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER[:-4],
        "PeterNeumann+c74f20a3+",
        PETER.replace("PeterNeumann", "Peter Neumann"),
        "n+00000000+" + base64.b64encode(b"\x07" + bytes(32)).decode(),
    ],
)
def test_a_malformed_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(Corrupt):
        parse_vkey(text)


def test_a_checkpoint_carries_both_signatures_and_both_hold() -> None:
    checkpoint = parse_checkpoint(sign_checkpoint(HEAD, LOG_SIGNERS, 1_700_000_000))
    assert checkpoint.head == HEAD
    keys = log_keys(ORIGIN, LOG_SIGNERS)
    assert [k.type for k in keys] == [0x01, 0x06]
    for key, line in zip(keys, checkpoint.note.signatures, strict=True):
        assert (line.name, line.key_id) == (key.name, key.id)
        assert holds(key, line, checkpoint, VERIFIERS)


def test_a_signature_does_not_hold_for_another_size_root_origin_or_name() -> None:
    keys = log_keys(ORIGIN, LOG_SIGNERS)
    lines = parse_checkpoint(sign_checkpoint(HEAD, LOG_SIGNERS, 5)).note.signatures
    for head in (
        Head(ORIGIN, 18, HEAD.root),
        Head(ORIGIN, 17, bytes(32)),
        Head(ORIGIN + "2", 17, HEAD.root),
    ):
        other = parse_checkpoint(format_note(checkpoint_text(head), lines))
        for key, line in zip(keys, lines, strict=True):
            assert not holds(key, line, other, VERIFIERS)
    renamed = VerifierKey("another.example", keys[1].type, keys[1].public)
    assert not holds(renamed, lines[1], parse_checkpoint(PAGE), VERIFIERS)


PAGE = sign_checkpoint(HEAD, LOG_SIGNERS, 5)


@pytest.mark.parametrize("which", [0, 1])
def test_a_cosignature_holds_at_its_own_time_only(which: int) -> None:
    checkpoint = parse_checkpoint(PAGE)
    signer = LOG_SIGNERS[which]
    line = cosign(checkpoint, "witness.example/w", signer, 1_700_000_000)
    key = VerifierKey("witness.example/w", (0x04, 0x06)[which], signer.public)
    assert line.key_id == key.id
    assert holds(key, line, checkpoint, VERIFIERS)
    later = Signature(line.name, line.key_id, (9).to_bytes(8, "big") + line.signature[8:])
    assert not holds(key, later, checkpoint, VERIFIERS)
    beyond = Signature(line.name, line.key_id, b"\xff" * 8 + line.signature[8:])
    assert not holds(key, beyond, checkpoint, VERIFIERS)
    assert not holds(key, Signature(line.name, line.key_id, b"short"), checkpoint, VERIFIERS)


@pytest.mark.parametrize(
    "text",
    [
        "origin\n017\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "origin\n-1\n" + base64.b64encode(bytes(32)).decode() + "\n",
        "origin\n1\n" + base64.b64encode(bytes(31)).decode() + "\n",
        "origin\n1\n",
        "\n1\n" + base64.b64encode(bytes(32)).decode() + "\n",
    ],
)
def test_a_malformed_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(Corrupt):
        parse_checkpoint(format_note(text, [Signature("n", b"1234", b"s")]))


def test_extension_lines_are_read_over_but_signed() -> None:
    text = checkpoint_text(HEAD) + "an extension\n"
    checkpoint = parse_checkpoint(format_note(text, [Signature("n", b"1234", b"s")]))
    assert checkpoint.head == HEAD
    assert checkpoint.note.text == text
