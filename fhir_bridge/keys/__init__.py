"""keys: every secret of the node, and everything that is done with one (docs/fbe1.md).

For: sealing and opening entries and audit rows, the key store, rotation, shredding, backup,
signatures, keyed names. Only this room and ``smart`` import ``cryptography``.

Invariants:
* Nothing opens without the PEK of every (patient, class) pair of its set.
* Keys are durable before anything is sealed under them.
* After a shred, no old copy of the key store opens anything, whatever else is known.
* The key folder and the key store carry one epoch and one count of sets ever made; an older copy
  of either is noticed.
* A signature or a seal that does not verify raises; nothing half verified is handed out.

Specifications: RFC 5869 (HKDF), RFC 3394 (AES-KW), RFC 8032 (Ed25519), FIPS 204 (ML-DSA-44),
c2sp.org/chunked-encryption (Cobblestone-256), RFC 8878 (zstd).

It does not know FHIR, keeps no ledger, and does not delete bodies, locator rows or caches of
opened entries: ``exchange`` does that when it shreds.
"""

from __future__ import annotations

from fhir_bridge.keys.backup import BackupReport, backup, restore
from fhir_bridge.keys.cobblestone import seal_bytes, sealed_length, unseal_bytes
from fhir_bridge.keys.compression import MAX_PLAIN_BYTES
from fhir_bridge.keys.erasure import Holds, Override, Receipt, ShredScope, keep_audit
from fhir_bridge.keys.key_set import KeySet, Pairs
from fhir_bridge.keys.names import Names
from fhir_bridge.keys.node_keys import ROLES, WRITERS, NodeKeys
from fhir_bridge.keys.sealer import Opener, Sealed, SealedAudit, Sealer, open_body, open_stored
from fhir_bridge.keys.signing import (
    Signer,
    check_public_key,
    ed25519_holds,
    ed25519_signer,
    mldsa44_holds,
    mldsa44_signer,
    verify_ed25519,
    verify_leaf,
    verify_mldsa44,
)
from fhir_bridge.keys.store import KeyStore

__all__ = [
    "MAX_PLAIN_BYTES",
    "ROLES",
    "WRITERS",
    "BackupReport",
    "Holds",
    "KeySet",
    "KeyStore",
    "Names",
    "NodeKeys",
    "Opener",
    "Override",
    "Pairs",
    "Receipt",
    "Sealed",
    "SealedAudit",
    "Sealer",
    "ShredScope",
    "Signer",
    "backup",
    "check_public_key",
    "ed25519_holds",
    "ed25519_signer",
    "keep_audit",
    "mldsa44_holds",
    "mldsa44_signer",
    "open_body",
    "open_stored",
    "restore",
    "seal_bytes",
    "sealed_length",
    "unseal_bytes",
    "verify_ed25519",
    "verify_leaf",
    "verify_mldsa44",
]
