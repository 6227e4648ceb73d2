"""Scopes: the grammar exactly, and intersection as a truth table and against a second model."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from fhir_bridge import smart
from fhir_bridge.terms import Scope
from tests import tiers

IN_ORDER = {"".join(c) for n in range(1, 6) for c in combinations("cruds", n)}
ANY_ORDER = {"".join(p) for n in range(1, 6) for p in permutations("cruds", n)}


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("system/Patient.rs", "system/Patient.rs"),
        ("system/*.cruds", "system/*.cruds"),
        ("patient/Observation.r", "patient/Observation.r"),
        ("system/Patient.read", "system/Patient.rs"),
        ("system/Patient.write", "system/Patient.cud"),
        ("patient/*.*", "patient/*.cruds"),
    ],
)
def test_a_scope_of_either_version_is_read(text: str, canonical: str) -> None:
    assert str(smart.parse_scope(text)) == canonical


@pytest.mark.parametrize(
    "text",
    [
        "",
        "system",
        "system/",
        "system/Patient",
        "system/Patient.",
        "system/Patient.x",
        "system/Patient.rr",
        "system/Patient.reads",
        "system/Patient.R",
        "system/patient.rs",
        "system/.rs",
        "system/**.rs",
        "System/Patient.rs",
        "/Patient.rs",
        "user/Patient.rs",
        "launch/patient",
        "openid",
        "offline_access",
        "system/Patient.rs ",
        " system/Patient.rs",
        "system/Patient.rs\n",
        "system/Patient.rs?",
        "system/Patient.rs#",
        "system/Pati\u00ebnt.rs",
        "system/Patient.r\u017f",
        "patient/../system/Patient.rs",
        "system/" + "P" * 200 + ".rs",
    ],
)
def test_anything_else_is_refused_as_invalid_scope(text: str) -> None:
    with pytest.raises(smart.OAuthError) as refused:
        smart.parse_scope(text)
    assert refused.value.error == "invalid_scope"


def test_only_letters_in_the_order_of_cruds_are_read() -> None:
    for letters in sorted(ANY_ORDER):
        if letters in IN_ORDER:
            assert smart.parse_scope(f"system/*.{letters}").letters == frozenset(letters)
        else:
            with pytest.raises(smart.OAuthError, match="in this order"):
                smart.parse_scope(f"system/*.{letters}")


def test_a_scope_narrowed_by_parameters_is_refused_and_says_why() -> None:
    with pytest.raises(smart.OAuthError, match="search parameters are not served"):
        smart.parse_scope("patient/Observation.rs?category=laboratory")


def test_an_unknown_resource_type_is_refused_where_types_are_known() -> None:
    assert smart.parse_scope("system/Patient.rs", {"Patient"}).type == "Patient"
    with pytest.raises(smart.OAuthError, match="no R4 resource type"):
        smart.parse_scope("system/Pateint.rs", {"Patient"})


@seed(tiers.seed())
@settings(max_examples=tiers.count(2000), deadline=None)
@given(st.text("sytempain/*.crudsPQ ?=", max_size=24))
def test_no_text_is_read_as_a_scope_that_an_independent_reader_refuses(text: str) -> None:
    try:
        read = smart.parse_scope(text)
    except smart.OAuthError:
        assert not _plainly_a_scope(text)
    else:
        assert _plainly_a_scope(text)
        assert smart.parse_scope(str(read)) == read


def _plainly_a_scope(text: str) -> bool:
    """The grammar again, without a regular expression."""
    context, slash, rest = text.partition("/")
    type_, dot, letters = rest.rpartition(".")
    known_type = type_ == "*" or (type_[:1].isupper() and type_.isalpha() and type_.isascii())
    known_letters = letters in IN_ORDER or letters in ("read", "write", "*")
    return bool(context in ("system", "patient") and slash and dot and known_type and known_letters)


@pytest.mark.parametrize("text", ["", " ", "system/*.r  system/*.s", " system/*.r", "system/*.r\t"])
def test_a_list_needs_scopes_separated_by_single_spaces(text: str) -> None:
    with pytest.raises(smart.OAuthError) as refused:
        smart.parse_scopes(text)
    assert refused.value.error == "invalid_scope"


def test_a_list_longer_than_the_limit_is_refused() -> None:
    with pytest.raises(smart.OAuthError, match="more than 100"):
        smart.parse_scopes(" ".join(["system/*.r"] * 101))


# asked                               registered                        granted
TRUTH = """
system/Patient.rs                   | system/Patient.rs               | system/Patient.rs
system/Patient.cruds                | system/Patient.rs               | system/Patient.rs
system/Patient.r                    | system/Patient.cruds            | system/Patient.r
system/Patient.c                    | system/Patient.rs               |
system/Patient.rs                   | system/Observation.rs           |
system/Patient.rs                   | system/*.r                      | system/Patient.r
system/*.rs                         | system/Patient.r                | system/Patient.r
system/*.cruds                      | system/*.rs                     | system/*.rs
system/*.rs                         | system/Group.r system/List.s    | system/Group.r system/List.s
patient/Patient.rs                  | system/Patient.rs               |
system/Patient.rs                   | patient/Patient.rs              |
patient/*.rs                        | patient/Patient.r system/*.rs   | patient/Patient.r
system/Patient.read                 | system/*.read                   | system/Patient.rs
system/Patient.write                | system/*.read                   |
system/Patient.*                    | system/*.write                  | system/Patient.cud
system/Patient.r system/Patient.s   | system/Patient.rs               | system/Patient.rs
system/Patient.rs system/*.r        | system/*.cruds                  | system/*.r system/Patient.s
system/List.rs patient/List.c       | system/*.r patient/*.c          | patient/List.c system/List.r
"""


@pytest.mark.parametrize("row", TRUTH.strip().splitlines())
def test_what_is_granted_is_what_is_asked_and_registered(row: str) -> None:
    asked, registered, granted = (cell.strip() for cell in row.split("|"))
    common = smart.intersect(smart.parse_scopes(asked), smart.parse_scopes(registered))
    assert smart.scope_text(common) == granted


some_scopes = st.lists(
    st.builds(
        Scope,
        st.sampled_from(["system", "patient"]),
        st.sampled_from(["*", "Patient", "Group"]),
        st.sampled_from(sorted(IN_ORDER)).map(frozenset),
    ),
    max_size=5,
)


def _rights(scopes: tuple[Scope, ...] | list[Scope]) -> set[tuple[str, str, str]]:
    """Every single right, spelled out over a world of three types."""
    return {
        (s.context, type_, letter)
        for s in scopes
        for type_ in ("Patient", "Group", "Other")
        if s.type in ("*", type_)
        for letter in s.letters
    }


@seed(tiers.seed())
@settings(max_examples=tiers.count(2000), deadline=None)
@given(some_scopes, some_scopes)
def test_intersection_keeps_exactly_the_common_rights(a: list[Scope], b: list[Scope]) -> None:
    common = smart.intersect(a, b)
    assert _rights(common) == _rights(a) & _rights(b)
    assert common == smart.intersect(b, a)
    assert smart.contains(a, common)
    assert smart.contains(a, b) == (_rights(b) <= _rights(a))
