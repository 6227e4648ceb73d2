"""The query grammar as a truth table (R4 search.html)."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_bridge.errors import BridgeError, Incorrect, Unsupported
from fhir_bridge.search import ALL, Include, Limits, Order, Predicate, parameters, parse, plan
from fhir_bridge.search.moments import range_of

LOW, HIGH = range_of("2024-03")
OWN = "https://own.example/fhir"


def one(type_: str, name: str, value: str, **more: Any) -> Predicate:
    (found,) = parse(type_, [(name, value)], **more).predicates
    return found


def pid(type_: str, code: str) -> int:
    return parameters(type_, ALL)[code].id


@pytest.mark.parametrize(
    ("value", "any_of"),
    [
        ("a", ((None, "a"),)),
        ("urn:s|a", (("urn:s", "a"),)),
        ("|a", (("", "a"),)),
        ("urn:s|", (("urn:s", None),)),
        ("a,urn:s|b", ((None, "a"), ("urn:s", "b"))),
        ("a,a", ((None, "a"),)),
        (r"a\,b", ((None, "a,b"),)),
        (r"a\|b", ((None, "a|b"),)),
        (r"a\\,b", ((None, "a\\"), (None, "b"))),
        (r"a\$b", ((None, "a$b"),)),
        ("s|a|b", (("s", "a|b"),)),
    ],
)
def test_tokens(value: str, any_of: tuple[Any, ...]) -> None:
    expected = Predicate("token", pid("Observation", "code"), any_of)
    assert one("Observation", "code", value) == expected


@pytest.mark.parametrize(
    ("prefix", "how"),
    [
        ("", "within"),
        ("eq", "within"),
        ("ne", "outside"),
        ("gt", "above"),
        ("lt", "below"),
        ("ge", "from"),
        ("le", "upto"),
        ("sa", "after"),
        ("eb", "before"),
    ],
)
def test_date_prefixes(prefix: str, how: str) -> None:
    found = one("Observation", "date", f"{prefix}2024-03")
    assert found == Predicate("date", pid("Observation", "date"), ((how, LOW, HIGH),))
    updated = one("Observation", "_lastUpdated", f"{prefix}2024-03")
    assert updated == Predicate("updated", 0, ((how, LOW, HIGH),))


def test_approximately_widens_by_a_tenth_of_the_distance_from_now() -> None:
    found = one("Observation", "date", "ap2024-03", now_us=HIGH + 1_000)
    gap = (HIGH + 1_000 - LOW) // 10
    assert found.any_of == (("overlaps", LOW - gap, HIGH + gap),)


def test_a_plus_that_arrived_as_a_space_is_a_zone() -> None:
    assert (
        one("Observation", "date", "ge2024-03-01T10:00:00 01:00").any_of
        == one("Observation", "date", "ge2024-03-01T10:00:00+01:00").any_of
    )


@pytest.mark.parametrize(
    ("name", "value", "any_of"),
    [
        ("name", "Zoë  M", (("prefix", "zoe m", "Zoë  M"),)),
        ("name:exact", "Zoë", (("exact", "zoe", "Zoë"),)),
        ("name:contains", "OE", (("contains", "oe", "OE"),)),
        ("family", "a,b", (("prefix", "a", "a"), ("prefix", "b", "b"))),
    ],
)
def test_strings(name: str, value: str, any_of: tuple[Any, ...]) -> None:
    assert one("Patient", name, value).any_of == any_of


@pytest.mark.parametrize(
    ("name", "value", "any_of"),
    [
        ("subject", "Patient/1", (("Patient", "1", ""),)),
        ("subject", "Patient/1/_history/2", (("Patient", "1", ""),)),
        ("patient", "1", (("Patient", "1", ""),)),
        ("patient:Patient", "1", (("Patient", "1", ""),)),
        ("subject:Group", "1", (("Group", "1", ""),)),
        ("subject", f"{OWN}/Patient/1", (("Patient", "1", ""),)),
        ("subject", "https://b.example/Patient/1", (("", "", "https://b.example/Patient/1"),)),
        ("subject", "urn:uuid:1", (("", "", "urn:uuid:1"),)),
        (
            "subject",
            "1",
            tuple((t, "1", "") for t in ("Device", "Group", "Location", "Patient")),
        ),
        ("patient", "1,Patient/1", (("Patient", "1", ""),)),
    ],
)
def test_references(name: str, value: str, any_of: tuple[Any, ...]) -> None:
    found = one("Observation", name, value, bases=(OWN,))
    assert found.kind == "ref"
    assert sorted(found.any_of) == sorted(any_of)


def test_not_negates_and_missing_asks_for_presence() -> None:
    status = pid("Observation", "status")
    assert one("Observation", "status:not", "final,amended") == Predicate(
        "token", status, ((None, "final"), (None, "amended")), negated=True
    )
    assert one("Observation", "status:missing", "true") == Predicate("missing", status, ((True,),))
    assert one("Observation", "subject:missing", "false").any_of == ((False,),)


def test_repetition_is_and_commas_are_or() -> None:
    query = parse("Observation", [("date", "ge2023"), ("date", "lt2024"), ("code", "a,b")])
    assert [len(p.any_of) for p in query.predicates] == [1, 1, 2]


def test_id_takes_a_list() -> None:
    assert one("Patient", "_id", "a,b") == Predicate("id", 0, (("a",), ("b",)))


def test_amounts_when_they_are_switched_on() -> None:
    found = one("Observation", "value-quantity", "5.4|http://u|mg", enabled=ALL)
    assert (found.kind, found.any_of[0][0], *found.any_of[0][3:]) == (
        "quantity",
        "within",
        "http://u",
        "mg",
    )
    low, high = one("Observation", "value-quantity", "gt5.4||mg", enabled=ALL).any_of[0][1:3]
    assert low == high
    assert one("RiskAssessment", "probability", "0.5", enabled=ALL).kind == "quantity"
    assert one("ValueSet", "url", "http://a|b", enabled=ALL).any_of == (("http://a|b",),)


def test_results_parameters() -> None:
    query = parse(
        "Observation",
        [
            ("_sort", "-date,_lastUpdated,_id"),
            ("_count", "50"),
            ("_total", "accurate"),
            ("_include", "Observation:subject:Patient"),
            ("_include", "Observation:encounter"),
            ("_revinclude", "Provenance:target"),
            ("_format", "json"),
        ],
    )
    date = pid("Observation", "date")
    assert query.order == (
        Order("date", date, True),
        Order("updated", 0, False),
        Order("id", 0, False),
    )
    assert (query.count, query.total) == (50, "accurate")
    assert query.includes == (
        Include("Observation", (pid("Observation", "subject"),), "Patient"),
        Include("Observation", (pid("Observation", "encounter"),)),
    )
    assert query.revincludes == (
        Include("Provenance", (pid("Provenance", "target"),), "Observation"),
    )
    assert plan(query).total


def test_an_include_of_everything_takes_every_reference_of_the_type() -> None:
    (include,) = parse("Observation", [("_include", "*")]).includes
    references = [p.id for p in parameters("Observation").values() if p.type == "reference"]
    assert include == Include("Observation", tuple(references))


def test_count_is_cut_to_the_limit_and_zero_asks_for_the_total() -> None:
    query = parse("Patient", [("_count", "5000")], Limits(max_count=100))
    assert (query.count, query.used) == (100, (("_count", "100"),))
    assert plan(parse("Patient", [("_count", "0")])).total


def test_used_says_what_was_used_in_its_order() -> None:
    pairs = [("code", "a"), ("colour", "x"), ("_count", "3"), ("_pretty", "true")]
    query = parse("Observation", pairs, lenient=True)
    assert query.used == (("code", "a"), ("_count", "3"))
    assert query.ignored == ("colour",)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("colour", "x", Incorrect),
        ("value-quantity", "5", Incorrect),
        ("code", "", Incorrect),
        ("code", "a,,b", Incorrect),
        ("code", "|", Incorrect),
        ("code:exact", "a", Incorrect),
        ("code:nonsense", "a", Incorrect),
        ("code:in", "a", Unsupported),
        ("code:text", "a", Unsupported),
        ("subject:identifier", "a", Unsupported),
        ("subject:Organization", "1", Incorrect),
        ("subject:Group", "Patient/1", Incorrect),
        ("subject.name", "a", Unsupported),
        ("subject:Patient.name", "a", Unsupported),
        ("_has:Provenance:target:agent", "a", Unsupported),
        ("date", "soon", Incorrect),
        ("date", "2024-02-30", Incorrect),
        ("date:missing", "maybe", Incorrect),
        ("_id:not", "a", Incorrect),
        ("_count", "-1", Incorrect),
        ("_count", "²", Incorrect),
        ("_count", "many", Incorrect),
        ("_total", "some", Incorrect),
        ("_sort", "colour", Incorrect),
        ("_sort", "code", Unsupported),
        ("_include", "Patient:link", Incorrect),
        ("_include", "Observation:colour", Incorrect),
        ("_include", "Observation:subject:Nothing", Incorrect),
        ("_include", "Observation", Incorrect),
        ("_include:iterate", "Observation:subject", Unsupported),
        ("_include", "Observation:subject:iterate", Unsupported),
        ("_revinclude", "*", Incorrect),
        ("_revinclude", "Provenance:target:Patient", Incorrect),
    ],
)
def test_refusals(name: str, value: str, error: type[BridgeError]) -> None:
    with pytest.raises(error):
        parse("Observation", [(name, value)])


def test_lenient_handling_leaves_unknown_names_out_but_never_modifiers() -> None:
    query = parse("Observation", [("colour", "x"), ("code", "")], lenient=True)
    assert query.ignored == ("colour", "code")
    with pytest.raises(Incorrect):
        parse("Observation", [("code:nonsense", "a")], lenient=True)
    with pytest.raises(Unsupported):
        parse("Observation", [("subject.name", "a")], lenient=True)


def test_limits_on_parameters_and_values() -> None:
    with pytest.raises(Incorrect, match="at most 2"):
        parse("Patient", [("name", "a")] * 3, Limits(max_parameters=2))
    with pytest.raises(Incorrect, match="at most 2"):
        parse("Patient", [("name", "a,b,c")], Limits(max_values=2))


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(Incorrect):
        parse("Patients", [])


@pytest.mark.parametrize("name", ["date", "_count", "subject:Organization", "code", "SECRET<x>"])
def test_no_value_enters_a_message(name: str) -> None:
    with pytest.raises(Incorrect) as caught:
        parse("Observation", [(name, "SECRET|,")])
    assert "SECRET" not in str(caught.value)
    assert "SECRET" not in caught.value.where
