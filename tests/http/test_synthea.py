"""Twelve published bundles, 2,666 records: in by HTTP and by import, out as they were sent."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

from fhir_bridge.assembly.places import Places
from fhir_bridge.config import load
from fhir_bridge.ledger import Reader
from tests.http.node import Node, Web, client_of, exact, run
from tests.http.synthea import bundles, resolved, same
from tests.tiers import count, seed

_RESOURCES = 2666


def records(node: Node) -> int:
    """Entries of the ledger that hold a record."""
    reader = Reader(Places.of(load(node.config, {})).ledger)
    try:
        return sum(1 for row in reader.rows(0, reader.head().size) if row.box)
    finally:
        reader.close()


async def test_all_of_it_comes_in_by_http_and_every_resource_goes_out_as_it_was_sent(
    tmp_path: Path, testdata: Path
) -> None:
    node = Node.make(tmp_path / "node")
    await asyncio.to_thread(node.register, "ehr", "Organization/hospital")
    with node.serving():
        async with client_of(node, "ehr") as ehr:
            places = await _all_in(ehr, testdata)
        assert records(node) == _RESOURCES
        async with client_of(node, "ehr") as ehr:
            await _all_out(ehr, testdata, places)
    verified = run("ledger", "verify", "--json", "--config", node.config)
    assert verified.returncode == 0, verified.stderr


async def _all_in(ehr: Web, testdata: Path) -> dict[str, list[str]]:
    """Every bundle carried out; where each of its entries went."""
    places: dict[str, list[str]] = {}
    for name, raw in bundles(testdata):
        reply = await ehr.post("", raw)
        assert reply.status == 200, reply.body[:500]
        entries = reply.json["entry"]
        assert {e["response"]["status"] for e in entries} == {"201 Created"}
        assert reply.headers["ledger-status"].startswith("committed; index=")
        places[name] = ["/".join(e["response"]["location"].split("/")[:2]) for e in entries]
    return places


async def _all_out(ehr: Web, testdata: Path, places: dict[str, list[str]]) -> None:
    """Reads and compares; the quick tier a tenth, chosen at random."""
    links: dict[str, str] = {}
    sent: list[tuple[str, dict[str, Any], str]] = []
    for name, raw in bundles(testdata):
        for entry, place in zip(exact(raw)["entry"], places[name], strict=True):
            sent.append((name, entry["resource"], place))
            links[f"{name}|{entry['fullUrl']}"] = place
            links |= {
                f"{entry['resource']['resourceType']}?identifier={one['system']}|{one['value']}":
                place for one in entry["resource"].get("identifier", ())
                if name.startswith("0-") and "system" in one
            }  # fmt: skip
    assert len(sent) == _RESOURCES
    chosen = random.Random(seed()).sample(sent, count(_RESOURCES))
    for name, tree, place in chosen:
        reply = await ehr.get(place)
        assert reply.status == 200
        known = {key.removeprefix(f"{name}|"): value for key, value in links.items()}
        assert same(resolved(tree, known), reply.body), place


async def test_a_transaction_whose_practitioners_are_unknown_fails_and_leaves_nothing(
    node: Node, ehr: Web, testdata: Path
) -> None:
    before = records(node)
    _, raw = next(pair for pair in bundles(testdata) if not pair[0].startswith("0-"))
    reply = await ehr.post("", raw)
    assert reply.status == 400
    texts: list[str] = []
    _references(json.loads(raw), texts)
    missing = [text for text in texts if "?" in text]
    issues = reply.json["issue"]
    assert len(issues) == len(missing)
    assert {i["code"] for i in issues} == {"not-found"}
    assert all(i["expression"][0].startswith("Bundle.entry[") for i in issues)
    assert not any(text.partition("|")[2] in reply.body.decode() for text in missing)
    assert records(node) == before


def _references(node: Any, found: list[str]) -> None:
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            found.append(node["reference"])
        for value in node.values():
            _references(value, found)
    elif isinstance(node, list):
        for value in node:
            _references(value, found)


def test_import_takes_the_folder_in_any_order(tmp_path: Path, testdata: Path) -> None:
    files = bundles(testdata)
    random.Random(seed()).shuffle(files)
    folder = tmp_path / "records"
    folder.mkdir()
    for place, (name, raw) in enumerate(files):
        (folder / f"{place:02}-{name.removesuffix('.bz2')}").write_bytes(raw)
    node = Node.make(tmp_path / "node")
    done = run("import", folder, "--json", "--config", node.config)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["resources"] == records(node) == _RESOURCES
    verified = run("ledger", "verify", "--json", "--config", node.config)
    assert verified.returncode == 0, verified.stderr
    # A second time everything conditional is found; nothing of the ledger is lost or changed.
    size = Reader(Places.of(load(node.config, {})).ledger)
    before = size.head()
    batches = [path for path in sorted(folder.iterdir()) if "-0-" in path.name]
    assert run("import", *batches, "--config", node.config).returncode == 0
    assert size.root_at(before.size) == before.root
    size.close()
