"""Digests of definitions: those of RFC 8785, the same for the same value, and another one for another value."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.state.definitions import canonical, digest_of
from guardsvc.state.pins import shape_of

SAFE = 2**53 - 1
TEXTS = st.text(st.characters(codec="utf-8"), max_size=12)
LEAVES = st.none() | st.booleans() | st.integers(-SAFE, SAFE) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_digests_are_those_of_jcs(value: Any) -> None:
    assert digest_of(value) == f"sha256:{hashlib.sha256(rfc8785.dumps(value)).hexdigest()}"


@given(VALUES)
def test_a_definition_can_be_read_back(value: Any) -> None:
    digest, data = canonical(value)
    assert digest_of(json.loads(data)) == digest
    assert json.loads(data) == value


def test_the_order_and_spelling_of_numbers_do_not_count() -> None:
    assert digest_of({"a": 1.0, "b": [1e2]}) == digest_of({"b": [100], "a": 1})
    assert digest_of({"\ue000": 1, "\U0001f600": 2}) == digest_of({"\U0001f600": 2, "\ue000": 1})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1}, {"a": "1"}),
        ({"a": None}, {}),
        ({"a": True}, {"a": 1}),
        ([1, 2], [2, 1]),
        ({"a": 2**53}, {"a": 2**53 + 1}),
        ({"a": 2**60, "b": 2**61}, {"a": 2**60, "b": {"$integer": str(2**61)}}),
        ({"a": 2**60, "$integer": 1}, {"a": 2**60, "$$integer": 1}),
        ("e\u0301", "\u00e9"),
    ],
)
def test_what_differs_has_another_digest(one: Any, other: Any) -> None:
    assert digest_of(one) != digest_of(other)


def test_large_integers_are_told_by_the_digest() -> None:
    digest, data = canonical({"maximum": 2**64, "x": 1.0})
    assert digest.startswith("sha256-large-integers:")
    assert json.loads(data) == {"maximum": 2**64, "x": 1.0}


@pytest.mark.parametrize("value", ["\ud800", {1: 2}, object()])
def test_what_is_no_json_has_none(value: Any) -> None:
    with pytest.raises(ValueError, match="no JSON"):
        digest_of(value)


def test_a_shape_has_no_names() -> None:
    assert shape_of({"name": "a", "title": "A", "x": 1}) == shape_of({"name": "b", "x": 1})
    assert shape_of({"name": "a", "x": 1}) != shape_of({"name": "a", "x": 2})
