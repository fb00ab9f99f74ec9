"""What a case writes once and stands there many times."""

from __future__ import annotations

from typing import Any

import pytest

from guardsvc.suites.repeat import RepeatError, repeated


@pytest.mark.parametrize(
    ("value", "times", "made"),
    [
        ({"a": [1, 2]}, {"/a/0": 3}, {"a": [1, 1, 1, 2]}),
        ({"a": [1, 2]}, {"/a/1": 0}, {"a": [1]}),
        ({"a": ["x{n}"]}, {"/a/0": 2}, {"a": ["x0", "x1"]}),
        (
            {"a": [{"b{n}": ["{n}{n}", None, 1]}]},
            {"/a/0": 2},
            {"a": [{"b0": ["00", None, 1]}, {"b1": ["11", None, 1]}]},
        ),
        ({"a": "xy"}, {"/a": 3}, {"a": "xyxyxy"}),
        ({"a": "x{n}"}, {"/a": 2}, {"a": "x{n}x{n}"}),
        ({"a{n}": "v{n}", "b": 1}, {"/a{n}": 2}, {"b": 1, "a0": "v0", "a1": "v1"}),
        ({"a": {"b": ["c"]}}, {"/a/b/0": 2, "/a/b/1": 2}, {"a": {"b": ["c", "c", "c"]}}),
        ({"a/b": {"~": ["c"]}}, {"/a~1b/~0/0": 2}, {"a/b": {"~": ["c", "c"]}}),
        ({"a": [{"b": "c"}]}, {"/a/0/b": 2, "/a/0": 2}, {"a": [{"b": "cc"}, {"b": "cc"}]}),
        ({"a": 1}, {}, {"a": 1}),
    ],
)
def test_repeated(value: Any, times: dict[str, int], made: Any) -> None:
    before = repr(value)
    assert repeated(value, times) == made
    assert repr(value) == before


@pytest.mark.parametrize("pointer", ["", "a", "/b", "/a/1", "/a/-", "/a/0/c", "/a/x", "/c/d", "/n", "/c"])
def test_nothing_to_repeat(pointer: str) -> None:
    with pytest.raises(RepeatError) as caught:
        repeated({"a": [1], "c": {"e": 1}, "n": None}, {pointer: 2})
    assert caught.value.pointer == pointer
