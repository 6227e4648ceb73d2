"""A resource, a proof, a policy: one verdict, and a code of its own for every way to fail."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge.errors import Corrupt, NotFound, Unavailable
from fhir_bridge.ledger import (
    Append,
    Appended,
    Head,
    Reader,
    Writer,
    log_keys,
    parse_policy,
    parse_proof,
    policy_text,
    prove,
    verify,
)
from fhir_bridge.ledger.checkpoint import sign_checkpoint
from fhir_bridge.ledger.note import format_note, parse_note
from fhir_bridge.ledger.opening import Opening, decode_opening, encode_opening
from fhir_bridge.ledger.proof import format_proof
from fhir_bridge.ledger.verify import verify_inclusion_only
from tests.ledger.authors import (
    LOG_SIGNERS,
    MEMBER,
    ORIGIN,
    VERIFIERS,
    Author,
    checkpoints,
    writer,
)

POLICY = parse_policy(policy_text(log_keys(ORIGIN, LOG_SIGNERS)))
DEK = b"k" * 32
GLUCOSE = b'{"resourceType":"Observation","id":"a","valueQuantity":{"value":7.40}}'
SODIUM = b'{"resourceType":"Observation","id":"b","valueQuantity":{"value":140}}'


def _seal(stored: bytes) -> bytes:
    """Stands for sealing: what matters here is that the right key and core are asked for."""
    return DEK + stored


def _open(core: bytes, body: bytes, dek: bytes) -> bytes:
    if body[:32] != dek or not core:
        raise Corrupt("does not open", code="unseal")
    return body[32:]


class Made:
    """A log with two resources and proofs of both."""

    def __init__(self, folder: Path) -> None:
        self.log: Writer = writer(folder / "ledger.db")
        author = Author().joined(self.log)
        self.at = []
        for resource in (GLUCOSE, SODIUM):
            [outcome] = self.log.commit([Append((author.entry(_seal(resource)),))])
            assert isinstance(outcome, Appended)
            self.at.append(outcome.first_index)
        checkpoints(self.log, folder / "memory").now()
        self.reader = Reader(folder / "ledger.db")

    def proof(self, n: int = 0, dek: bytes | None = DEK) -> bytes:
        return prove(self.reader, self.at[n], dek)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("log"))


def _refusal(resource: bytes, proof: bytes, policy: object = POLICY) -> Corrupt:
    with pytest.raises(Corrupt) as caught:
        verify(resource, proof, policy, VERIFIERS, _open)  # type: ignore[arg-type]
    return caught.value


def _opening(proof: bytes, **changes: object) -> bytes:
    parsed = parse_proof(proof)
    opening = replace(decode_opening(parsed.extra or b""), **changes)  # type: ignore[arg-type]
    return format_proof(replace(parsed, extra=encode_opening(opening)))


def _without_line(proof: bytes, which: int) -> bytes:
    parsed = parse_proof(proof)
    note = parse_note(parsed.checkpoint)
    lines = [s for n, s in enumerate(note.signatures) if n != which]
    return format_proof(replace(parsed, checkpoint=format_note(note.text, lines)))


def test_a_logged_resource_verifies_and_the_verdict_says_by_whom_and_where(made: Made) -> None:
    verdict = verify(GLUCOSE, made.proof(), POLICY, VERIFIERS, _open)
    assert (verdict.origin, verdict.index, verdict.member) == (ORIGIN, made.at[0], MEMBER)
    assert verdict.author_key == Author().signer.public
    assert verdict.size == made.log.head().size
    assert verdict.policy == POLICY.fingerprint
    assert verdict.trust.startswith("operator only: history can be rewritten")


def test_one_changed_digit_is_a_resource_mismatch_at_that_byte(made: Made) -> None:
    error = _refusal(GLUCOSE.replace(b"7.40", b"7.41"), made.proof())
    assert error.code == "resource-mismatch"
    assert f"from byte {GLUCOSE.index(b'7.40') + 3} on" in error.message
    assert "7.4" not in error.message


def test_a_number_written_otherwise_is_a_resource_mismatch(made: Made) -> None:
    assert _refusal(GLUCOSE.replace(b"7.40", b"7.4"), made.proof()).code == "resource-mismatch"


def test_another_resources_proof_is_told_apart(made: Made) -> None:
    assert _refusal(SODIUM, made.proof()).code == "another-resource"
    assert _refusal(b"not json", made.proof()).code == "another-resource"
    assert _refusal(b"[]", made.proof()).code == "another-resource"


def test_a_proof_without_opening_says_so(made: Made) -> None:
    assert _refusal(GLUCOSE, made.proof(dek=None)).code == "no-opening"
    bare = format_proof(replace(parse_proof(made.proof()), extra=None))
    assert _refusal(GLUCOSE, bare).code == "no-opening"


def test_a_removed_signature_line_is_named(made: Made) -> None:
    assert _refusal(GLUCOSE, _without_line(made.proof(), 0)).code == "missing-ed25519"
    assert _refusal(GLUCOSE, _without_line(made.proof(), 1)).code == "missing-mldsa44"


def test_a_checkpoint_without_any_signature_is_named(made: Made) -> None:
    parsed = parse_proof(made.proof())
    text = parse_note(parsed.checkpoint).text.encode() + b"\n"
    error = _refusal(GLUCOSE, format_proof(replace(parsed, checkpoint=text)))
    assert error.code == "missing-ed25519"


def test_the_wrong_policy_is_named(made: Made) -> None:
    other = parse_policy(policy_text(log_keys("elsewhere.example", LOG_SIGNERS)))
    assert _refusal(GLUCOSE, made.proof(), other).code == "wrong-policy"


def test_an_unmet_quorum_is_named(made: Made) -> None:
    logs = "".join(f"log {key}\n" for key in log_keys(ORIGIN, LOG_SIGNERS))
    [witness] = log_keys("w.example", [LOG_SIGNERS[1]])
    policy = parse_policy(f"{logs}witness w {witness}\nquorum w\n")
    assert _refusal(GLUCOSE, made.proof(), policy).code == "quorum"


def test_every_part_of_the_opening_is_held_against_the_log(made: Made) -> None:
    proof = made.proof()
    other = decode_opening(parse_proof(made.proof(1)).extra or b"")
    cases: dict[str, dict[str, Any]] = {
        "wrong-inclusion": {"leaf": other.leaf},
        "wrong-body": {"body": other.body},
        "wrong-opening": {"dek": bytes(32)},
    }
    change: dict[str, Any]
    for code, change in cases.items():
        assert _refusal(GLUCOSE, _opening(proof, **change)).code == code
    own = decode_opening(parse_proof(proof).extra or b"")
    for change in (
        {"key_leaf": own.leaf},
        {"key_index": own.key_index - 1},
        {"key_body": b"fbe1c\x01{}"},
        {
            "key_leaf": made.reader.row(1).leaf,
            "key_body": made.reader.row(1).body or b"",
            "key_index": 1,
            "key_path": tuple(made.reader.inclusion(1, made.log.head().size)),
        },
    ):
        assert _refusal(GLUCOSE, _opening(proof, **change)).code == "wrong-author-key"


def test_a_moved_index_or_path_is_a_wrong_inclusion(made: Made) -> None:
    parsed = parse_proof(made.proof())
    for changed in (
        replace(parsed, index=parsed.index + 1),
        replace(parsed, index=10_000),
        replace(parsed, path=parsed.path[:-1]),
        replace(parsed, path=(bytes(32), *parsed.path[1:])),
    ):
        assert _refusal(GLUCOSE, format_proof(changed)).code == "wrong-inclusion"


def test_a_forged_author_signature_is_found_even_when_logged(tmp_path: Path) -> None:
    log = writer(tmp_path / "ledger.db")
    author = Author().joined(log)
    entry = author.entry(_seal(GLUCOSE))
    forged = type(entry)(entry.leaf[:-64] + bytes(64), entry.body, entry.box, entry.hint)
    [outcome] = log.commit([Append((forged,))])
    assert isinstance(outcome, Appended)
    checkpoints(log, tmp_path / "memory").now()
    proof = prove(Reader(tmp_path / "ledger.db"), outcome.first_index, DEK)
    assert _refusal(GLUCOSE, proof).code == "wrong-author-signature"


def test_an_entry_made_for_another_log_proves_nothing_here(made: Made) -> None:
    head = Head("elsewhere.example", made.log.head().size, made.log.head().root)
    note = sign_checkpoint(head, LOG_SIGNERS, 5)
    proof = format_proof(replace(parse_proof(made.proof()), checkpoint=note))
    policy = parse_policy(policy_text(log_keys(head.origin, LOG_SIGNERS)))
    assert _refusal(GLUCOSE, proof, policy).code == "wrong-inclusion"


def test_an_entry_is_proved_without_its_content(made: Made) -> None:
    row = made.reader.row(made.at[0])
    checkpoint = verify_inclusion_only(row.leaf, made.proof(dek=None), POLICY, VERIFIERS)
    assert checkpoint.head == made.log.head()
    with pytest.raises(Corrupt):
        verify_inclusion_only(row.leaf + b"x", made.proof(dek=None), POLICY, VERIFIERS)


def test_a_proof_waits_for_a_checkpoint_that_covers_the_entry(tmp_path: Path) -> None:
    log = writer(tmp_path / "ledger.db")
    reader = Reader(tmp_path / "ledger.db")
    with pytest.raises(Unavailable) as caught:
        prove(reader, 0)
    assert caught.value.code == "not-yet-signed"
    checkpoints(log, tmp_path / "memory").now()
    assert parse_proof(prove(reader, 1)).index == 1
    author = Author().joined(log)
    [outcome] = log.commit([Append((author.entry(),))])
    assert isinstance(outcome, Appended)
    with pytest.raises(Unavailable):
        prove(reader, outcome.first_index)


def test_the_content_of_an_erased_entry_is_not_proved(tmp_path: Path) -> None:
    log = writer(tmp_path / "ledger.db")
    author = Author().joined(log)
    log.commit([Append((author.entry(),))])
    log.erase(Append((author.control("shred", count=1),)), [3])
    checkpoints(log, tmp_path / "memory").now()
    reader = Reader(tmp_path / "ledger.db")
    with pytest.raises(NotFound):
        prove(reader, 3, DEK)
    assert parse_proof(prove(reader, 3)).index == 3


def test_a_proof_file_is_read_back_as_it_was_written(made: Made) -> None:
    for dek in (DEK, None):
        proof = made.proof(dek=dek)
        assert format_proof(parse_proof(proof)) == proof
    lines = made.proof().decode().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert lines[1].startswith("extra ")
    assert lines[2] == f"index {made.at[0]}"


HASH = base64.b64encode(bytes(32))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"c2sp.org/tlog-proof@v2\nindex 0\n\nnote",
        b"c2sp.org/tlog-proof@v1\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 0",
        b"c2sp.org/tlog-proof@v1\nindex 00\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex -1\n\nnote",
        b"c2sp.org/tlog-proof@v1\nextra AAA\nindex 0\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 0\nextra AAAA\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n\nnote",
        b"c2sp.org/tlog-proof@v1\nindex 0\n" + (HASH + b"\n") * 65 + b"\nnote",
        b"c2sp.org/tlog-proof@v1\nindex \xff\n\nnote",
    ],
)
def test_a_malformed_proof_is_refused(data: bytes) -> None:
    with pytest.raises(Corrupt) as caught:
        parse_proof(data)
    assert caught.value.code == "proof"


def test_an_opening_has_one_encoding() -> None:
    opening = Opening(b"leaf", b"b" * 70_000, DEK, b"key", b"body", 7, (bytes(32), b"h" * 32))
    data = encode_opening(opening)
    assert decode_opening(data) == opening
    for changed in (
        b"",
        data[:-1],
        data + b"x",
        b"\x02" + data[1:],
        data.replace(b"\x01", b"\x02", 2),
    ):
        with pytest.raises(Corrupt):
            decode_opening(changed)


def test_names_of_a_caller_decide_what_another_resource_is(made: Made) -> None:
    def same(data: bytes) -> object:
        return len(json.dumps("x"))

    with pytest.raises(Corrupt) as caught:
        verify(SODIUM, made.proof(), POLICY, VERIFIERS, _open, same)
    assert caught.value.code == "resource-mismatch"
