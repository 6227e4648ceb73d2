"""The checker: are the kept answers right in full, and does the ledger hold what was answered?

A run with one wrong answer, or whose ledger does not add up, is void: it has no figures.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load import CONNECTIONS, Answer, Load, decode
from benchmarks.records import IDENTIFIERS, Tree, text

__all__ = ["Counts", "Void", "body_bytes", "check_answers", "count", "reconcile"]

Fetch = Callable[[str], tuple[int, bytes]]


class Void(Exception):
    """The run proves nothing; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Counts:
    """What the ledger file holds: leaves, sealed bodies of records, sealed audit rows."""

    leaves: int
    bodies: int
    audits: int


def count(ledger: Path) -> Counts:
    """Count straight from the ledger file, read-only, past any opinion of the server."""
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as database:
        # Control bodies (the batch leaves of the audit) have no box; records have one.
        boxed = "SELECT count(*) FROM body WHERE length(box) > 0"
        # One row of the audit table holds the n records of one commit.
        audits = "SELECT coalesce(sum(n), 0) FROM audit"
        one = f"SELECT (SELECT count(*) FROM leaf), ({boxed}), ({audits})"
        return Counts(*database.execute(one).fetchone())


def body_bytes(data: Path) -> int:
    """Bytes of all sealed bodies of records in a node's data folder."""
    [ledger] = data.rglob("ledger.db")
    with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as database:
        boxed = "SELECT coalesce(sum(length(body)), 0) FROM body WHERE length(box) > 0"
        return int(database.execute(boxed).fetchone()[0])


def reconcile(before: Counts, after: Counts, load: Load, writes: int) -> dict[str, int]:
    """Growth of the ledger against the answers; ``writes`` records per answer, 0 for reads.

    At most one request per connection can be committed and not yet answered when wrk stops.
    """
    if load.wrong or load.lost:
        raise Void(f"{load.wrong} wrong statuses, {load.lost} requests lost")
    if not load.answers:
        raise Void("no answers")
    grown = {
        "bodies": after.bodies - before.bodies,
        "audits": after.audits - before.audits,
        "leaves": after.leaves - before.leaves,
    }
    least, most = load.answers * writes, (load.answers + CONNECTIONS) * writes
    if not least <= grown["bodies"] <= most:
        raise Void(f"{load.answers} answers, but {grown['bodies']} bodies on the ledger")
    if grown["audits"] < load.answers:
        raise Void(f"{load.answers} answers, but only {grown['audits']} audit rows")
    return grown


def check_answers(
    kind: str, answers: Sequence[Answer], sent: Mapping[str, Tree], fetch: Fetch
) -> int:
    """Check every kept answer in full; how many there were. Raises Void on the first wrong."""
    rule = _RULES[kind]
    for answer in answers:
        rule(answer, sent, fetch)
    if not answers:
        raise Void("no answer was kept for checking")
    return len(answers)


def _is_sent(tree: Any, sent: Mapping[str, Tree]) -> None:
    """The served resource is what was sent, but for id, meta and resolved references."""
    known = [i["value"] for i in tree.get("identifier", ()) if i.get("system") == IDENTIFIERS]
    if len(known) != 1 or known[0] not in sent:
        raise Void("an answer holds a resource that was never sent")
    if not tree.get("id") or not tree.get("meta", {}).get("versionId"):
        raise Void("a served resource has no id or no versionId")
    expected = decode(text(sent[known[0]]).encode())
    served = {name: value for name, value in tree.items() if name not in ("id", "meta")}
    if _plain(served) != _plain(expected):
        raise Void(f"a served {tree.get('resourceType')} is not what was sent")


def _plain(node: Any) -> Any:
    """References are compared as present: a transaction resolves urn:uuid to Type/id."""
    if isinstance(node, dict):
        return {
            name: "reference" if name == "reference" and isinstance(value, str) else _plain(value)
            for name, value in node.items()
        }
    if isinstance(node, list):
        return [_plain(value) for value in node]
    return node


def _check_read(answer: Answer, sent: Mapping[str, Tree], _fetch: Fetch) -> None:
    tree = decode(answer.body)
    _is_sent(tree, sent)
    if answer.etag != f'W/"{tree["meta"]["versionId"]}"':
        raise Void("ETag and versionId differ")


def _check_stored(location: str, sent: Mapping[str, Tree], fetch: Fetch) -> None:
    parts = location.split("/_history/")[0].rsplit("/", 2)
    status, body = fetch("/".join(parts[-2:]))
    if status != 200:
        raise Void(f"what was created reads as {status}")
    _is_sent(decode(body), sent)


def _check_create(answer: Answer, sent: Mapping[str, Tree], fetch: Fetch) -> None:
    if "/_history/" not in answer.location or answer.etag == "-":
        raise Void("a create answered without versioned Location or ETag")
    _check_stored(answer.location, sent, fetch)


def _check_transaction(answer: Answer, sent: Mapping[str, Tree], fetch: Fetch) -> None:
    bundle = decode(answer.body)
    entries = bundle.get("entry", ())
    if bundle.get("type") != "transaction-response" or len(entries) != 4:
        raise Void("a transaction answered without its four entries")
    places = [entry["response"]["location"] for entry in entries]
    if not all(e["response"]["status"].startswith("201") for e in entries):
        raise Void("an entry of a transaction was not created")
    if len(set(places)) != 4:
        raise Void("two entries of a transaction share a location")
    for place in places:
        _check_stored(place, sent, fetch)


def _matches(answer: Answer, sent: Mapping[str, Tree]) -> list[Any]:
    bundle = decode(answer.body)
    if bundle.get("type") != "searchset":
        raise Void("a search answered without a searchset")
    found = [e["resource"] for e in bundle.get("entry", ()) if e["search"]["mode"] == "match"]
    for tree in found:
        _is_sent(tree, sent)
    return found


def _check_identifier(answer: Answer, sent: Mapping[str, Tree], _fetch: Fetch) -> None:
    found = _matches(answer, sent)
    if [tree["resourceType"] for tree in found] != ["Patient"]:
        raise Void(f"an identifier search found {len(found)} matches")


def _check_subject(answer: Answer, sent: Mapping[str, Tree], _fetch: Fetch) -> None:
    found = _matches(answer, sent)
    if len({tree["id"] for tree in found}) != 20:
        raise Void(f"a page of 20 holds {len(found)} matches")
    if len({tree["subject"]["reference"] for tree in found}) != 1:
        raise Void("a page holds records of two patients")
    times = [tree["meta"]["lastUpdated"] for tree in found]
    if times != sorted(times, reverse=True):
        raise Void("a page is not newest first")


_RULES: dict[str, Callable[[Answer, Mapping[str, Tree], Fetch], None]] = {
    "create": _check_create,
    "transaction": _check_transaction,
    "read": _check_read,
    "identifier": _check_identifier,
    "subject": _check_subject,
}
