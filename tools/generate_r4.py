"""Write the R4 fact tables of ``fhir_bridge/fhir/data`` from the R4 core package.

    python -m tools.generate_r4 path/to/r4-core-4.0.1.tar.xz

Only facts are taken (names, types, cardinalities, expressions, codes), never prose. Each file
says where it comes from. Running it again on the same package writes the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

from tools.expand_value_sets import Terminology
from tools.patient_elements import patient_elements

DATA = Path(__file__).resolve().parents[1] / "fhir_bridge" / "fhir" / "data"
CORE = "http://hl7.org/fhir/StructureDefinition/"
SYSTEM_TYPES = "http://hl7.org/fhirpath/System."

Package = dict[str, dict[str, Any]]
Row = list[Any]


def read_package(archive: Path) -> Package:
    """Every definition of the package by ``Type/id``, in that order."""
    found: Package = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            stream = tar.extractfile(member) if member.name.endswith(".json") else None
            definition = json.load(stream) if stream else {}
            if "resourceType" in definition:
                found[f"{definition['resourceType']}/{definition['id']}"] = definition
    return dict(sorted(found.items()))


def base_definitions(package: Package) -> list[dict[str, Any]]:
    """The StructureDefinitions that define types rather than constrain them."""
    return [
        d
        for key, d in package.items()
        if key.startswith("StructureDefinition/")
        and d["kind"] in ("resource", "complex-type")
        and d.get("derivation") != "constraint"
    ]


def type_of(path: str, element: dict[str, Any], declared: dict[str, Any]) -> str:
    code: str = declared["code"]
    if code.startswith(SYSTEM_TYPES):
        if path.endswith(".id"):
            return "id" if path.count(".") == 1 and element["base"]["path"] == "Resource.id" else ""
        return "uri" if path == "Extension.url" else "string"
    return code


def row_of(element: dict[str, Any], terms: Terminology) -> Row:
    """``[min, many, {type: targets}, required value set]``; the last only where enumerable.

    Targets are the resource types a Reference may name (none: any), or SimpleQuantity.
    """
    path = element["path"]
    types: dict[str, list[str]] = {}
    if "contentReference" in element:
        types[element["contentReference"].removeprefix("#")] = []
    for declared in element.get("type", ()):
        code = type_of(path, element, declared) or "element-id"
        if code in ("BackboneElement", "Element"):
            code = path
        targets = [t.removeprefix(CORE) for t in declared.get("targetProfile", ())]
        targets += [p.removeprefix(CORE) for p in declared.get("profile", ()) if code == "Quantity"]
        types[code] = [] if "Resource" in targets or code == "canonical" else sorted(targets)
    row: Row = [element["min"], int(element["max"] != "1"), types]
    binding = element.get("binding", {})
    if binding.get("strength") == "required" and "valueSet" in binding:
        name = terms.keep(binding["valueSet"])
        if name:
            row.append(name)
    return row


def element_table(package: Package, terms: Terminology) -> dict[str, dict[str, Row]]:
    """``{type or backbone path: {element name: row}}``; choices keep their ``[x]``."""
    table: dict[str, dict[str, Row]] = {}
    for definition in base_definitions(package):
        for element in definition["snapshot"]["element"]:
            parent, _, name = element["path"].rpartition(".")
            if not parent:
                table[element["path"]] = {}
            elif element["max"] != "0":
                table.setdefault(parent, {})[name] = row_of(element, terms)
    return table


def search_parameters(package: Package) -> list[dict[str, Any]]:
    """Code, type, bases, expression, targets, components of each R4 SearchParameter."""
    wanted = ("url", "code", "type", "base", "expression", "target", "comparator", "modifier")
    found = []
    for key, d in package.items():
        if not key.startswith("SearchParameter/") or d.get("experimental") is True:
            continue
        facts = {k: d[k] for k in wanted if k in d and k not in ("comparator", "modifier")}
        if "component" in d:
            facts["component"] = [[c["definition"], c["expression"]] for c in d["component"]]
        found.append(facts)
    return sorted(found, key=lambda f: f["url"])


def compartment(package: Package, name: str) -> dict[str, list[str]]:
    """``{resource type: parameter codes}`` of one CompartmentDefinition."""
    resources = package[f"CompartmentDefinition/{name}"]["resource"]
    return {r["code"]: r["param"] for r in resources if r.get("param")}


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write(name: str, provenance: dict[str, str], key: str, table: Any) -> None:
    """One fact per line, so that a change of the package reads well as a diff."""
    if isinstance(table, dict):
        entries = [f"{_compact(k)}:{_compact(v)}" for k, v in sorted(table.items())]
    else:
        entries = [_compact(v) for v in table]
    start, end = ("{", "}") if isinstance(table, dict) else ("[", "]")
    text = f'{{"provenance":{_compact(provenance)},\n"{key}":{start}\n'
    text += ",\n".join(entries) + f"\n{end}}}\n"
    (DATA / name).write_text(text, encoding="utf-8")
    print(f"{name}: {len(entries)} entries, {len(text)} characters")


def main(archive: Path) -> None:
    package = read_package(archive)
    terms = Terminology(package)
    table = element_table(package, terms)
    parameters = search_parameters(package)
    patient = compartment(package, "patient")
    provenance = {
        "source": "hl7.fhir.r4.core 4.0.1",
        "archive": archive.name,
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "generator": "tools/generate_r4.py",
        "taken": "names, types, cardinalities, expressions and codes; no prose",
    }
    kinds = {d["type"]: d for d in base_definitions(package)}
    resources = sorted(t for t, d in kinds.items() if d["kind"] == "resource" and not d["abstract"])
    DATA.mkdir(parents=True, exist_ok=True)
    write("elements.json", provenance, "types", table)
    write("resources.json", provenance, "resources", resources)
    write("codes.json", provenance, "value_sets", terms.kept)
    write("search-parameters.json", provenance, "parameters", parameters)
    write("patient-compartment.json", provenance, "compartment", patient)
    write(
        "patient-elements.json",
        provenance,
        "elements",
        patient_elements(resources, patient, parameters, table),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
