"""The node's own secrets, one folder outside the data folder.

master.key          wraps the key store together with the generation key; seals small things
generation-N.key    wraps the key store; destroyed at every shred
hedge.key           keeps DEKs apart even when the random source repeats (resumed VM)
hint.key            hides which key set opens an entry
ids.key             keyed ids, claims, cells
locator.key         encrypts the locator
author-ROLE.key     Ed25519 seed of one process's author chain
log-ed25519.key, log-mldsa44.key   checkpoints
token.pem           P-384, signs access tokens
epoch               counts generations; must agree with the key store
sets-made           how many key sets the key store ever made; never in a backup
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from fhir_bridge.errors import Conflict, Corrupt, Incorrect
from fhir_bridge.fbe1.labels import HANDLE_CHECK
from fhir_bridge.keys import key_files
from fhir_bridge.keys.cobblestone import seal_bytes, unseal_bytes
from fhir_bridge.keys.mac import expand, hkdf, keyed
from fhir_bridge.keys.names import Names
from fhir_bridge.keys.signing import Signer, ed25519_signer, mldsa44_signer

__all__ = ["ROLES", "WRITERS", "NodeKeys"]

WRITERS = ("worker", "bundle")
"""The roles of the processes that write records."""
ROLES = (*WRITERS, "sequencer")
_SECRETS = ("master", "hedge", "hint", "ids", "locator", "log-ed25519", "log-mldsa44")
_EPOCH = "fhir_bridge-epoch 1"


class NodeKeys:
    """The opened key folder. One per process; holds secrets in memory while it lives."""

    def __init__(self, folder: Path) -> None:
        secret = {name: key_files.read_key(folder / f"{name}.key") for name in _SECRETS}
        if any(len(value) != 32 for value in secret.values()):
            raise Corrupt("a key file does not hold 32 bytes", code="key-file")
        self.folder = folder
        self.master = secret["master"]
        self.hedge = keyed(secret["hedge"])
        self.hint = keyed(secret["hint"])
        self.handle_check = keyed(expand(self.hint, HANDLE_CHECK))
        self.names = Names(secret["ids"])
        self.keyed_id = self.names.keyed_id
        self.claim = self.names.claim
        self.cell = self.names.cell
        self.node_id = hkdf(self.master, b"fbe1/node")[:16]
        self.token_pem = key_files.read_private(folder / "token.pem")
        self._log = (
            ed25519_signer(secret["log-ed25519"]),
            mldsa44_signer(secret["log-mldsa44"]),
        )

    @classmethod
    def create(
        cls, folder: Path, data_folder: Path | None = None, *, unsafe_demo: bool = False
    ) -> NodeKeys:
        """Makes a new key folder, durable on return; Conflict where one is."""
        _keep_apart(folder, data_folder, unsafe_demo)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (folder / "epoch").exists():
            raise Conflict("the key folder is already in use", code="key-folder")
        for name in (*_SECRETS, "generation-1", *(f"author-{role}" for role in ROLES)):
            key_files.write_key(folder / f"{name}.key", secrets.token_bytes(32))
        token = ec.generate_private_key(ec.SECP384R1())
        key_files.write_file(
            folder / "token.pem",
            token.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )
        key_files.write_file(folder / "epoch", f"{_EPOCH} 1\n".encode())
        return cls(folder)

    @classmethod
    def load(
        cls, folder: Path, data_folder: Path | None = None, *, unsafe_demo: bool = False
    ) -> NodeKeys:
        """Opens a key folder. Incorrect (``keys-in-data-folder``) where a thief of the data
        would have the keys as well; Unavailable or Corrupt where a file is absent or damaged."""
        _keep_apart(folder, data_folder, unsafe_demo)
        return cls(folder)

    def author(self, role: str) -> Signer:
        """The author key of one process role."""
        return ed25519_signer(key_files.read_key(self.folder / f"author-{role}.key"))

    def roles(self) -> tuple[str, ...]:
        """The roles that have an author key."""
        return tuple(sorted(p.stem[7:] for p in self.folder.glob("author-*.key")))

    def note_signers(self) -> tuple[Signer, Signer]:
        """The two signers of checkpoints: Ed25519 and ML-DSA-44."""
        return self._log

    def locator_key(self) -> bytes:
        """The raw key[32] of the locator's file."""
        return key_files.read_key(self.folder / "locator.key")

    def rotate_locator(self) -> tuple[bytes, bytes]:
        """(old, new) locator key. The old one is gone from disk on return: a locator that is
        not rekeyed after this can no longer be opened and has to be rebuilt from the ledger."""
        old, new = self.locator_key(), secrets.token_bytes(32)
        key_files.replace_key(self.folder / "locator.key", new)
        return old, new

    def sealing(self, purpose: str) -> tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]:
        """(seal, unseal) for small things of one purpose: client records, cursors. Purposes
        cannot read one another; unseal raises Corrupt."""
        context = b"fhir_bridge/keys/sealing/" + purpose.encode()
        key = hkdf(self.master, b"fbe1/sealing/" + purpose.encode())
        return (
            lambda plain: seal_bytes(key, context, plain),
            lambda sealed: unseal_bytes(key, context, sealed),
        )

    def lock(self) -> AbstractContextManager[None]:
        """Held while generations change, against every other process of this node."""
        return key_files.exclusive(self.folder / "lock")

    def generation(self, number: int) -> bytes:
        """The generation key ``number``; Unavailable once it is destroyed."""
        return key_files.read_key(self.folder / f"generation-{number}.key")

    def generations(self) -> tuple[int, ...]:
        """The generations whose key files exist."""
        return tuple(sorted(int(p.stem[11:]) for p in self.folder.glob("generation-*.key")))

    def add_generation(self, number: int) -> None:
        """A new generation key; one left over from a crash is destroyed first."""
        path = self.folder / f"generation-{number}.key"
        key_files.destroy(path)
        key_files.write_key(path, secrets.token_bytes(32))

    def destroy_generation(self, number: int) -> None:
        """Overwrites and removes a generation key: what it wrapped is gone."""
        key_files.destroy(self.folder / f"generation-{number}.key")

    def epochs(self) -> tuple[int, ...]:
        """The epoch, or the epoch and the one that was being entered when something stopped."""
        line = key_files.read_private(self.folder / "epoch").decode("ascii", "replace").split()
        try:
            numbers = tuple(int(n) for n in line[2:])
        except ValueError:
            numbers = ()
        if " ".join(line[:2]) != _EPOCH or len(numbers) not in (1, 2):
            raise Corrupt("the epoch file of the key folder is damaged", code="key-file")
        return numbers

    def set_epochs(self, *numbers: int) -> None:
        """Writes the epoch file, durable on return."""
        key_files.replace_file(
            self.folder / "epoch", f"{_EPOCH} {' '.join(map(str, numbers))}\n".encode()
        )


def _keep_apart(folder: Path, data_folder: Path | None, unsafe_demo: bool) -> None:
    if data_folder is None or unsafe_demo:
        return
    keys, data = folder.resolve(), data_folder.resolve()
    if keys == data or data in keys.parents:
        raise Incorrect(
            "the key folder lies inside the data folder: whoever takes the data takes the keys;"
            " move it elsewhere",
            code="keys-in-data-folder",
            where=str(folder),
        )
