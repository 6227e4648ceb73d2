"""The key folder: private, apart from the data, complete, and not easily mistaken."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fhir_bridge.errors import Conflict, Corrupt, Fault, Incorrect, Unavailable
from fhir_bridge.fbe1 import key_id
from fhir_bridge.keys import NodeKeys, key_files, seal_bytes, sealed_length, unseal_bytes
from fhir_bridge.keys.mac import hkdf, keyed
from tests.fbe1 import second_opinion


@pytest.fixture
def keys(tmp_path: Path) -> NodeKeys:
    return NodeKeys.create(tmp_path / "keys")


def test_a_new_folder_is_private_and_loads_to_the_same_keys(keys: NodeKeys) -> None:
    assert keys.folder.stat().st_mode & 0o077 == 0
    for path in keys.folder.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600
    again = NodeKeys.load(keys.folder)
    assert again.master == keys.master
    assert again.hint(b"x") == keys.hint(b"x")
    assert again.author("worker").public == keys.author("worker").public
    assert again.keyed_id("a") == keys.keyed_id("a")
    assert [s.public for s in again.note_signers()] == [s.public for s in keys.note_signers()]
    pem = load_pem_private_key(keys.token_pem, None)
    assert pem.key_size == 384  # type: ignore[union-attr]
    with pytest.raises(Conflict):
        NodeKeys.create(keys.folder)


def test_keys_inside_the_data_folder_are_refused_but_for_the_demo(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for folder in (data, data / "keys", data / "x" / ".." / "deep" / "keys"):
        with pytest.raises(Incorrect) as caught:
            NodeKeys.create(folder, data)
        assert caught.value.code == "keys-in-data-folder"
    NodeKeys.create(data / "keys", data, unsafe_demo=True)
    with pytest.raises(Incorrect):
        NodeKeys.load(data / "keys", data)
    (tmp_path / "link").symlink_to(data / "keys")
    with pytest.raises(Incorrect):
        NodeKeys.load(tmp_path / "link", data)
    NodeKeys.load(data / "keys", data, unsafe_demo=True)
    NodeKeys.create(tmp_path / "database", data)


def test_a_key_file_that_others_can_read_is_refused(keys: NodeKeys) -> None:
    for name in ("master.key", "token.pem"):
        (keys.folder / name).chmod(0o640)
        with pytest.raises(Incorrect, match="chmod 600"):
            NodeKeys.load(keys.folder)
        (keys.folder / name).chmod(0o600)


def test_a_damaged_swapped_or_missing_key_file_is_named(keys: NodeKeys) -> None:
    path = keys.folder / "hint.key"
    good = path.read_bytes()
    for at in range(len(good) - 1):
        changed = bytearray(good)
        changed[at] ^= 1
        path.write_bytes(bytes(changed))
        with pytest.raises(Corrupt, match=r"hint\.key"):
            NodeKeys.load(keys.folder)
    path.write_bytes((keys.folder / "hedge.key").read_bytes())
    with pytest.raises(Corrupt, match=r"hint\.key"):
        NodeKeys.load(keys.folder)
    path.unlink()
    with pytest.raises(Unavailable, match=r"hint\.key"):
        NodeKeys.load(keys.folder)
    key_files.write_key(path, b"short")
    with pytest.raises(Corrupt):
        NodeKeys.load(keys.folder)
    path.unlink()
    line = "fhir_bridge-key 1 hint zz"
    path.touch(0o600)
    path.write_text(f"{line} {key_files._check(line)}\n")
    with pytest.raises(Corrupt, match=r"hint\.key"):
        NodeKeys.load(keys.folder)


def test_a_damaged_epoch_file_is_refused(keys: NodeKeys) -> None:
    for content in (b"", b"fhir_bridge-epoch 1 x\n", b"fhir_bridge-epoch 2 1\n", b"1 2 3 4 5"):
        key_files.replace_file(keys.folder / "epoch", content)
        with pytest.raises(Corrupt):
            keys.epochs()
    keys.set_epochs(4, 5)
    assert keys.epochs() == (4, 5)


def test_every_process_has_an_author_key_of_its_own(keys: NodeKeys) -> None:
    assert keys.roles() == ("bundle", "sequencer", "worker")
    authors = [keys.author(role) for role in keys.roles()]
    assert len({author.public for author in authors}) == 3
    assert all(author.key_id == key_id(author.public) for author in authors)
    with pytest.raises(Unavailable):
        keys.author("nobody")


def test_the_locator_key_changes_and_the_old_one_leaves_the_disk(keys: NodeKeys) -> None:
    first = keys.locator_key()
    old, new = keys.rotate_locator()
    assert old == first != new == keys.locator_key()
    assert sorted(p.name for p in keys.folder.glob("locator*")) == ["locator.key"]
    for path in keys.folder.iterdir():
        assert old.hex() not in path.read_text("latin-1")


def test_what_is_destroyed_was_overwritten_first(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    key_files.write_key(path, b"\x11" * 32)
    other_name = tmp_path / "same-blocks"
    os.link(path, other_name)
    key_files.destroy(path)
    key_files.destroy(path)
    assert not path.exists()
    assert b"11111111" not in other_name.read_bytes()


def test_keyed_names_are_stable_distinct_and_foreign_to_other_nodes(
    keys: NodeKeys, tmp_path: Path
) -> None:
    name = uuid.UUID(keys.keyed_id("Patient", "http://x", "1"))
    assert (name.version, name.variant) == (8, uuid.RFC_4122)
    assert keys.keyed_id("ab", "c") != keys.keyed_id("a", "bc") != keys.keyed_id("abc")
    assert len({keys.claim("1"), keys.claim(1), keys.claim(b"1"), keys.claim("1", "")}) == 4
    assert len(keys.claim("x")) == 32
    assert len(keys.cell("x")) == 16
    assert keys.claim("x")[:16] != keys.cell("x")
    other = NodeKeys.create(tmp_path / "other")
    assert other.keyed_id("Patient", "http://x", "1") != str(name)


def test_small_things_are_sealed_per_purpose(keys: NodeKeys) -> None:
    seal, unseal = keys.sealing("cursor")
    _, foreign = keys.sealing("clients")
    sealed = seal(b"page 2")
    assert unseal(sealed) == b"page 2"
    assert sealed != seal(b"page 2")
    for broken in (sealed[:-1], b"", sealed + b"x", bytes([sealed[0] ^ 1]) + sealed[1:]):
        with pytest.raises(Corrupt):
            unseal(broken)
    with pytest.raises(Corrupt):
        foreign(sealed)
    assert NodeKeys.load(keys.folder).sealing("cursor")[1](sealed) == b"page 2"


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 16_385, 50_000])
def test_cobblestone_is_what_the_specification_says_at_every_chunk_edge(size: int) -> None:
    key, plain = bytes(range(32)), b"q" * size
    sealed = seal_bytes(key, b"context", plain)
    assert len(sealed) == sealed_length(size)
    assert second_opinion.unseal(key, b"context", sealed) == plain
    assert unseal_bytes(
        key, b"context", second_opinion.seal(key, b"context", plain, bytes(24))
    ) == (plain)
    whole_chunks = sealed[: 56 + size // 16_384 * 16_400]
    for cut in (sealed[:-1], sealed[:56], whole_chunks, sealed + bytes(16), b""):
        with pytest.raises(Corrupt):
            unseal_bytes(key, b"context", cut)
    with pytest.raises(Corrupt):
        unseal_bytes(key, b"contexT", sealed)


def test_an_empty_context_is_a_fault_of_ours() -> None:
    with pytest.raises(Fault):
        seal_bytes(bytes(32), b"", b"x")
    with pytest.raises(Fault):
        unseal_bytes(bytes(32), b"", b"x" * 100)


def test_the_short_way_to_hmac_and_hkdf_is_the_long_one() -> None:
    for size in (0, 1, 32, 64):
        assert keyed(bytes(range(size)))(b"message") == second_opinion.mac(
            bytes(range(size)), b"message"
        )
    secret = b"\x0b" * 22
    expected = second_opinion.hkdf_expand(second_opinion.mac(bytes(32), secret), b"info", 32)
    assert hkdf(secret, b"info") == expected
