"""fbe1: the byte layouts of an entry, and nothing else (docs/fbe1.md).

A language: it knows how a core, a leaf, a payload, an audit row and a control body are written
and refuses every other way to write them. It encrypts nothing, signs nothing and keeps nothing;
``keys`` does. Only hashlib and json underneath.
"""

from __future__ import annotations

from fhir_bridge.fbe1.audit_row import (
    decode_record,
    encode_record,
    join_row,
    row_leaf_data,
    split_row,
)
from fhir_bridge.fbe1.control import KINDS, control_body, parse_control
from fhir_bridge.fbe1.core import (
    FIRST,
    MAX_CLAIMS,
    Core,
    Kind,
    decode_core,
    encode_core,
    key_id,
    length_class_of,
)
from fhir_bridge.fbe1.leaf import MAX_LEAF_BYTES, entry_id, join_leaf, signed_bytes, split_leaf
from fhir_bridge.fbe1.payload import EntryType, Header, decode_payload, encode_payload

__all__ = [
    "FIRST",
    "KINDS",
    "MAX_CLAIMS",
    "MAX_LEAF_BYTES",
    "Core",
    "EntryType",
    "Header",
    "Kind",
    "control_body",
    "decode_core",
    "decode_payload",
    "decode_record",
    "encode_core",
    "encode_payload",
    "encode_record",
    "entry_id",
    "join_leaf",
    "join_row",
    "key_id",
    "length_class_of",
    "parse_control",
    "row_leaf_data",
    "signed_bytes",
    "split_leaf",
    "split_row",
]
