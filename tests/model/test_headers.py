from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.model import Headers


def test_names_are_folded_and_values_kept() -> None:
    headers = Headers([("Accept", "Text/Plain"), ("x-É", "é")])
    assert headers.get("accept") == "Text/Plain"
    assert list(headers) == ["accept", "x-é"]
    assert "accept" in headers
    assert len(headers) == 2


def test_an_absent_field_is_none_and_no_values() -> None:
    headers = Headers()
    assert headers.get("accept") is None
    assert headers.all("accept") == ()
    assert not headers.repeated("accept")
    assert len(headers) == 0


def test_repeated_fields_stay_apart_in_order() -> None:
    headers = Headers([("a", "1"), ("b", "x"), ("A", "2"), ("a", "1")])
    assert headers.get("a") == "1"
    assert headers.all("a") == ("1", "2", "1")
    assert headers.repeated("a")
    assert not headers.repeated("b")


@pytest.mark.parametrize(
    ("left", "right", "equal"),
    [
        ([("a", "1")], [("A", "1")], True),
        ([("a", "1"), ("b", "2")], [("b", "2"), ("a", "1")], True),
        ([("a", "1")], [("a", "2")], False),
        ([("a", "1")], [("a", "1"), ("a", "1")], False),
        ([("a", "1"), ("a", "2")], [("a", "1"), ("a", "3")], False),
        ([("a", "1")], [], False),
    ],
)
def test_equality_regards_every_value(
    left: list[tuple[str, str]], right: list[tuple[str, str]], *, equal: bool
) -> None:
    assert (Headers(left) == Headers(right)) is equal
    if equal:
        assert hash(Headers(left)) == hash(Headers(right))


def test_the_size_counts_every_field() -> None:
    assert Headers().size == 0
    assert Headers([("Accept", "a"), ("accept", "bc"), ("x", "")]).size == 6 + 1 + 6 + 2 + 1


def test_the_representation_shows_no_value() -> None:
    assert repr(Headers([("authorization", "Bearer s3cret"), ("a", "")])) == "Headers(a, authorization)"


@given(st.lists(st.tuples(st.sampled_from(["a", "A", "b", "c"]), st.text(max_size=3))))
def test_all_values_of_a_field_are_those_given(fields: list[tuple[str, str]]) -> None:
    headers = Headers(fields)
    for name in "abc":
        expected = tuple(value for key, value in fields if key.lower() == name)
        assert headers.all(name) == expected
        assert headers.get(name) == (expected[0] if expected else None)
        assert headers.repeated(name) is (len(expected) > 1)


def test_a_field_repeated_very_often_costs_linear_time() -> None:
    started = process_time()
    assert len(Headers(("cookie", "x") for _ in range(300_000)).all("cookie")) == 300_000
    assert process_time() - started < 5
