"""``import`` side by side: what writes the same keeps its order, and nothing is made twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http.node import Node, run

Tree = dict[str, Any]


@pytest.fixture(params=["server running", "no server"])
def node(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Node]:
    made = Node.make(tmp_path / "node")
    if request.param == "no server":
        yield made
        return
    with made.serving():
        yield made


def _imported(node: Node, folder: Path) -> Tree:
    done = run("import", folder, "--json", "--config", node.config)
    assert done.returncode == 0, done.stderr
    told: Tree = json.loads(done.stdout)
    return told


def _exported(node: Node, type_: str, into: Path) -> list[Tree]:
    done = run("export", into, "--type", type_, "--config", node.config)
    assert done.returncode == 0, done.stderr
    lines = [line for file in into.rglob("*.ndjson") for line in file.read_text().splitlines()]
    return [json.loads(line) for line in lines]


def _written(folder: Path, name: str, tree: Tree) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(tree))


def test_a_bad_line_is_told_and_costs_no_other(node: Node, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    lines = [json.dumps({"resourceType": "Patient", "id": f"p{n}"}) for n in range(450)]
    lines[120], lines[300] = '{"resourceType":"Patient","id":120}', "{"
    (folder / "patients.ndjson").write_text("\ufeff" + "\n".join(lines), "utf-8")
    (folder / "one.json").write_text('\ufeff{"resourceType":"Location"}', "utf-8")
    done = run("import", folder, "--json", "--config", node.config)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["resources"], told["refused_bundles"]) == (449, 2)
    for number in (121, 301):
        assert f"patients.ndjson:{number}: this is not a FHIR resource in JSON" in done.stderr


def test_a_line_that_is_no_right_resource_costs_no_other(node: Node, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    lines = [json.dumps({"resourceType": "Patient", "id": f"p{n}"}) for n in range(230)]
    for bad in (1, 7, 229):
        lines[bad] = json.dumps({"resourceType": "Patient", "id": f"p{bad}", "gender": 7})
    (folder / "patients.ndjson").write_text("\n".join(lines))
    done = run("import", folder, "--json", "--config", node.config)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["resources"], told["refused_bundles"]) == (227, 3)
    for number in (2, 8, 230):
        assert f"patients.ndjson:{number}: " in done.stderr
    assert "Patient.gender" in done.stderr


def test_lines_that_go_wrong_in_other_ways_cost_no_other(node: Node, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    about = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": "Patient?identifier=http://x|nobody"},
    }
    trees: list[Tree] = [{"resourceType": "Patient", "id": f"p{n}"} for n in range(6)]
    trees[1:1] = [about, {"resourceType": "Foo"}]
    trees += [about, {"resourceType": "Patient", "id": "p0"}]
    lines = [json.dumps(tree) for tree in trees]
    (folder / "mixed.ndjson").write_text("\n\n" + "\n \n".join(lines) + "\n")
    done = run("import", folder, "--json", "--config", node.config)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["resources"], told["refused_bundles"]) == (6, 4), done.stderr
    nobody = "the condition does not match"
    for number, why in ((5, nobody), (7, "resource type"), (19, nobody), (21, "twice")):
        [line] = [x for x in done.stderr.splitlines() if x.startswith(f"mixed.ndjson:{number}:")]
        assert why in line


def test_a_refused_line_of_a_batch_says_which_and_why(node: Node, tmp_path: Path) -> None:
    entries = [
        {"resource": tree, "request": {"method": "POST", "url": "Patient"}}
        for tree in ({"resourceType": "Patient"}, {"resourceType": "Patient", "gender": 7})
    ]
    tree = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    _written(tmp_path / "files", "b.json", tree)
    done = run("import", tmp_path / "files", "--json", "--config", node.config)
    assert done.returncode == 1
    assert json.loads(done.stdout)["refused_entries"] == 1
    assert "b.json: Bundle.entry[1]: 400 Bad Request; " in done.stderr
    assert "Patient.gender" in done.stderr


def test_bundles_that_share_resources_are_all_taken(node: Node, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    for n in range(24):
        shared = [
            {"resourceType": "Organization", "id": "org", "name": f"version {n}"},
            {"resourceType": "Practitioner", "id": "doc"},
        ]
        own = [{"resourceType": "Patient", "id": f"p{n}-{m}"} for m in range(20)]
        entries = [{"resource": tree} for tree in (*own, *shared)]
        _written(
            folder,
            f"{n:02}.json",
            {"resourceType": "Bundle", "type": "collection", "entry": entries},
        )
    told = _imported(node, folder)
    assert (told["resources"], told["refused_bundles"]) == (24 * 22, 0)
    [organization] = _exported(node, "Organization", tmp_path / "out")
    assert organization["name"] == "version 23", "the last file's version is the newest"


def test_equal_conditional_creates_make_one_resource(node: Node, tmp_path: Path) -> None:
    folder, system = tmp_path / "files", "urn:oid:1.2"
    organization = {
        "resourceType": "Organization",
        "identifier": [{"system": system, "value": "77"}],
    }
    for n in range(12):
        entries = [
            {
                "resource": organization,
                "request": {
                    "method": "POST",
                    "url": "Organization",
                    "ifNoneExist": f"identifier={system}|77",
                },
            },
            {
                "resource": {"resourceType": "Patient", "active": bool(n % 2)},
                "request": {"method": "POST", "url": "Patient"},
            },
        ]
        _written(
            folder,
            f"{n:02}.json",
            {"resourceType": "Bundle", "type": "transaction", "entry": entries},
        )
    _imported(node, folder)
    assert len(_exported(node, "Organization", tmp_path / "out")) == 1
    assert len(_exported(node, "Patient", tmp_path / "more")) == 12


def test_a_small_file_does_not_overtake_a_large_one(node: Node, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    many = [{"resourceType": "Organization", "id": f"v{n}", "name": "old"} for n in range(150)]
    (folder / "a.ndjson").write_text("".join(json.dumps(tree) + "\n" for tree in many))
    (folder / "b.ndjson").write_text(json.dumps(many[0] | {"name": "new"}) + "\n")
    _imported(node, folder)
    names = {tree["id"]: tree["name"] for tree in _exported(node, "Organization", tmp_path / "out")}
    assert names["v0"] == "new"
    assert len(names) == 150


def test_a_newer_version_waits_behind_an_older_one_that_waits(node: Node, tmp_path: Path) -> None:
    folder = tmp_path / "files"
    condition = "Practitioner?identifier=urn:oid:1.2|77"
    old = {
        "resourceType": "Patient",
        "id": "p",
        "name": [{"family": "old"}],
        "generalPractitioner": [{"reference": condition}],
    }
    new = {"resourceType": "Patient", "id": "p", "name": [{"family": "new"}]}
    doctor = {
        "resourceType": "Practitioner",
        "identifier": [{"system": "urn:oid:1.2", "value": "77"}],
    }
    for name, tree, method, url in (
        ("a.json", old, "PUT", "Patient/p"),
        ("b.json", new, "PUT", "/Patient/p"),
        ("c.json", doctor, "POST", "Practitioner"),
    ):
        entry = {"resource": tree, "request": {"method": method, "url": url}}
        _written(folder, name, {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    _imported(node, folder)
    [patient] = _exported(node, "Patient", tmp_path / "out")
    assert patient["name"] == [{"family": "new"}]
    assert patient["meta"]["versionId"]


def test_resources_whose_type_or_entry_is_something_else_are_taken(
    node: Node, tmp_path: Path
) -> None:
    folder = tmp_path / "files"
    _written(folder, "a.json", {"resourceType": "Location", "id": "l", "type": [{"text": "x"}]})
    listed: Tree = {"resourceType": "List", "id": "i", "status": "current", "mode": "working"}
    listed["entry"] = [{"item": {"reference": "Location/l"}}]
    _written(folder, "b.json", listed)
    assert _imported(node, folder)["resources"] == 2
