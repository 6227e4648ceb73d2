"""The locator follows the ledger: open what is new, say what it holds, one batch at a time.

The view can always be built anew from ledger and keys; nothing but this writes it.
"""

from __future__ import annotations

from typing import Any

from fhir_bridge.errors import NotFound
from fhir_bridge.exchange.drafts import facts_of
from fhir_bridge.fbe1 import EntryType, Header, split_row
from fhir_bridge.fhir import parse
from fhir_bridge.keys import Opener
from fhir_bridge.ledger import Reader, StoredRow
from fhir_bridge.locator import AuditAt, Facts, LocatorWriter, Row
from fhir_bridge.search import extract

__all__ = ["Follow"]

_BATCH_ENTRIES = 4096
_BATCH_AUDITS = 2048


class Follow:
    """Takes the ledger into the locator. One per data folder."""

    def __init__(self, reader: Reader, opener: Opener, writer: LocatorWriter) -> None:
        self._reader = reader
        self._opener = opener
        self._writer = writer
        self._reached, self._audit_reached = writer.upto()

    def step(self) -> int:
        """Take in one batch; the ledger size that the locator then covers."""
        stop = min(self._reader.head().size, self._reached + _BATCH_ENTRIES)
        rows = [
            row
            for entry in self._reader.rows(self._reached, stop)
            if (row := self._row(entry)) is not None
        ]
        audits, audit_stop = self._audits(stop)
        if stop > self._reached or audits:
            self._writer.index(rows, audits, stop, audit_stop)
        self._reached, self._audit_reached = stop, audit_stop
        return stop

    def _audits(self, stop: int) -> tuple[list[AuditAt], int]:
        """Every audit row that the first ``stop`` entries commit to, and where to go on."""
        found: list[AuditAt] = []
        number = self._audit_reached
        while rows := self._reader.audit_rows(number, _BATCH_AUDITS):
            for row in rows:
                if row.index >= stop:
                    return found, number
                nonce, _ = split_row(row.sealed)
                found.append(AuditAt(self._opener.handle_of(nonce, row.hint), row.number))
                number = row.number + 1
        return found, number

    def _row(self, entry: StoredRow) -> Row | None:
        """The locator row of one entry; None for control entries and shredded ones."""
        if not entry.box or entry.body is None:
            return None
        try:
            header, stored = self._opener.open(entry.leaf, entry.body, entry.box, entry.hint)
        except NotFound:
            return None
        return self._read(entry.index, header, stored)

    def _read(self, index: int, header: Header, stored: bytes) -> Row:
        tree = parse(stored)
        deleted = header.entry_type is EntryType.DELETE
        return Row(
            index,
            tree["resourceType"],
            tree["id"],
            tree["meta"]["versionId"],
            header.version,
            header.time_us,
            deleted,
            _group_of_tombstone(tree, header) if deleted else _group(tree, header),
            () if deleted else extract(tree),
        )


def _group(tree: dict[str, Any], header: Header) -> Facts:
    facts, _ = facts_of(tree, tree["id"], header.organisation, {})
    return Facts(
        facts.type, facts.patients, tuple(sorted(facts.security)), header.classes, facts.author
    )


def _group_of_tombstone(tree: dict[str, Any], header: Header) -> Facts:
    return Facts(
        tree["resourceType"],
        tuple(tree["patients"]),
        tuple(tree["labels"]),
        header.classes,
        header.organisation,
    )
