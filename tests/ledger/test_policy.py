"""Policy files: what they say, and which signatures they accept."""

from __future__ import annotations

import hashlib

import pytest

from fhir_bridge.errors import Corrupt
from fhir_bridge.keys.signing import ed25519_signer
from fhir_bridge.ledger import Head, log_keys, parse_checkpoint, parse_policy, policy_text
from fhir_bridge.ledger.checkpoint import checkpoint_text, cosign, sign_checkpoint
from fhir_bridge.ledger.note import Signature, VerifierKey, format_note
from tests.ledger.authors import LOG_SIGNERS, ORIGIN, VERIFIERS

KEYS = log_keys(ORIGIN, LOG_SIGNERS)
CHECKPOINT = parse_checkpoint(sign_checkpoint(Head(ORIGIN, 5, bytes(32)), LOG_SIGNERS, 9))
LOGS = "".join(f"log {key}\n" for key in KEYS)
WITNESSES = {
    name: ed25519_signer(hashlib.sha256(name.encode()).digest())
    for name in ("X1", "X2", "X3", "Y1", "Y2", "Y3")
}
VKEYS = {name: VerifierKey(f"{name}.example", 0x04, s.public) for name, s in WITNESSES.items()}
WITNESS_LINES = "".join(f"witness {name} {key}\n" for name, key in VKEYS.items())
TWO_LEVELS = (
    LOGS
    + WITNESS_LINES
    + "group X-witnesses 2 X1 X2 X3\ngroup Y-witnesses any Y1 Y2 Y3\n"
    + "group X-and-Y all X-witnesses Y-witnesses\nquorum X-and-Y\n"
)


def _signed_by(*names: str, drop: int | None = None) -> bytes:
    lines = [s for n, s in enumerate(CHECKPOINT.note.signatures) if n != drop]
    lines += [cosign(CHECKPOINT, f"{name}.example", WITNESSES[name], 9) for name in names]
    return format_note(checkpoint_text(CHECKPOINT.head), lines)


def _refusal(policy: str, note: bytes) -> str:
    with pytest.raises(Corrupt) as caught:
        parse_policy(policy).accept(parse_checkpoint(note), VERIFIERS)
    return caught.value.code


@pytest.mark.parametrize(
    ("names", "met"),
    [
        ((), False),
        (("X1", "X2"), False),
        (("X1", "Y1"), False),
        (("X1", "X2", "Y3"), True),
        (("X3", "X2", "X1", "Y1", "Y2"), True),
        (("Y1", "Y2", "Y3"), False),
    ],
)
def test_a_two_level_quorum_is_met_or_not(names: tuple[str, ...], met: bool) -> None:
    note = _signed_by(*names)
    if not met:
        assert _refusal(TWO_LEVELS, note) == "quorum"
        return
    trust = parse_policy(TWO_LEVELS).accept(parse_checkpoint(note), VERIFIERS)
    assert set(trust.witnesses) == set(names)
    assert trust.line == "operator and 2 of 2 in X-and-Y"


def test_without_a_quorum_the_policy_says_that_the_operator_stands_alone() -> None:
    trust = parse_policy(policy_text(KEYS)).accept(CHECKPOINT, VERIFIERS)
    assert trust.line == "operator only: history can be rewritten by this operator"


def test_one_witness_makes_operator_and_witness() -> None:
    policy = parse_policy(policy_text(KEYS, [("X1", VKEYS["X1"])]))
    trust = policy.accept(parse_checkpoint(_signed_by("X1")), VERIFIERS)
    assert trust.line == "operator and witness X1"


def test_all_named_witnesses_make_the_written_quorum() -> None:
    policy = policy_text(KEYS, [(name, VKEYS[name]) for name in ("X1", "X2")])
    assert _refusal(policy, _signed_by("X1")) == "quorum"
    parse_policy(policy).accept(parse_checkpoint(_signed_by("X1", "X2")), VERIFIERS)


def test_each_missing_log_signature_has_its_own_code() -> None:
    policy = policy_text(KEYS)
    assert _refusal(policy, _signed_by(drop=0)) == "missing-ed25519"
    assert _refusal(policy, _signed_by(drop=1)) == "missing-mldsa44"


def test_a_policy_of_other_keys_or_another_origin_is_the_wrong_policy() -> None:
    others = log_keys(ORIGIN, [WITNESSES["X1"]])
    assert _refusal(policy_text(others), _signed_by()) == "wrong-policy"
    elsewhere = log_keys("elsewhere.example", LOG_SIGNERS)
    assert _refusal(policy_text(elsewhere), _signed_by()) == "wrong-policy"
    assert _refusal("quorum none\n", _signed_by()) == "wrong-policy"


@pytest.mark.parametrize("which", [0, 1])
def test_a_listed_signature_that_does_not_verify_is_refused(which: int) -> None:
    lines = list(CHECKPOINT.note.signatures)
    line = lines[which]
    lines[which] = Signature(line.name, line.key_id, line.signature[:-1] + b"\x00")
    note = format_note(checkpoint_text(CHECKPOINT.head), lines)
    assert _refusal(policy_text(KEYS), note) == "bad-signature"


def test_lines_of_unknown_keys_are_ignored() -> None:
    lines = [*CHECKPOINT.note.signatures, Signature(ORIGIN, b"0000", b"whatever")]
    note = format_note(checkpoint_text(CHECKPOINT.head), lines)
    parse_policy(policy_text(KEYS)).accept(parse_checkpoint(note), VERIFIERS)


def test_blank_lines_comments_tabs_and_urls_are_read_over() -> None:
    text = (
        f"# ours\n\n  \tlog\t{KEYS[0]}  https://ledger.example/\t\n log {KEYS[1]}\nquorum  none\n"
    )
    policy = parse_policy(text)
    assert policy.logs == KEYS
    assert policy.fingerprint == hashlib.sha256(text.encode()).hexdigest()[:16]


X1 = f"witness X1 {VKEYS['X1']}\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        LOGS,
        LOGS + "quorum none\nquorum none\n",
        LOGS + "quorum X1\n" + X1,
        LOGS + f"log {KEYS[0]}\nquorum none\n",
        LOGS + X1 + X1.replace("X1 ", "X2 ", 1) + "quorum none\n",
        LOGS + X1 + X1 + "quorum none\n",
        LOGS + X1 + "group X1 any X1\nquorum none\n",
        LOGS + X1 + "group g 2 X1\nquorum g\n",
        LOGS + X1 + "group g 0 X1\nquorum g\n",
        LOGS + X1 + "group g some X1\nquorum g\n",
        LOGS + X1 + "group g any\nquorum none\n",
        LOGS + X1 + "group g any none\nquorum g\n",
        LOGS + X1 + "group g any X1\ngroup h any X1\nquorum h\n",
        LOGS + X1.replace(" X1 ", " none ") + "quorum none\n",
        LOGS + "witness X1\nquorum none\n",
        LOGS + "log\nquorum none\n",
        LOGS + "quorum\n",
        LOGS + "quorum none none\n",
        LOGS + "threshold 3\nquorum none\n",
        LOGS + f"log {VKEYS['X1']}\nquorum none\n",
        LOGS + f"witness W {KEYS[0]}\nquorum none\n",
        LOGS + "log x+00000000+AAAA\nquorum none\n",
        LOGS + "quorum none\r\n",
        LOGS + "quorum none\x7f\n",
    ],
)
def test_a_policy_that_breaks_a_rule_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(Corrupt) as caught:
        parse_policy(text)
    assert caught.value.code == "policy"
