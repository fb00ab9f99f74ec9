from __future__ import annotations

import re
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.model import Globs

texts = st.text(alphabet="ab*.\n", max_size=8)


@pytest.mark.parametrize(
    ("pattern", "matched", "missed"),
    [
        ("read", ["read"], ["reads", "aread", "Read", "", "re\0ad"]),
        ("", [""], ["a"]),
        ("*", ["", "a", "a\nb", "*", "🙂"], []),
        ("**", ["", "a"], []),
        ("read*", ["read", "read_file"], ["rea", "a_read"]),
        ("*_file", ["_file", "read_file"], ["read_files", "file"]),
        ("a*b", ["ab", "aab", "a*b", "a\nb"], ["a", "b", "aba", "ba"]),
        ("aba*aba", ["abaaba", "aba-aba"], ["aba", "ababa"]),
        ("a*b*c", ["abc", "a-b-c", "abbc"], ["acb", "ac"]),
        ("*a*a*", ["aa", "-a-a-"], ["a"]),
        ("a*bc*c", ["abcc", "abc-c"], ["abc"]),
        ("a?[b]", ["a?[b]"], ["axb", "a?b"]),
        ("file://*", ["file://", "file:///etc"], ["file:/x"]),
    ],
)
def test_a_pattern_matches_whole_names(pattern: str, matched: list[str], missed: list[str]) -> None:
    globs = Globs([pattern])
    assert [name for name in matched if not globs.match(name)] == []
    assert [name for name in missed if globs.match(name)] == []


def test_any_pattern_of_the_set_is_enough_and_none_is_never() -> None:
    assert Globs(["a", "b*"]).match("bc")
    assert not Globs(["a", "b*"]).match("c")
    assert not Globs([]).match("")


def test_an_absent_name_matches_nothing_not_even_a_star() -> None:
    assert not Globs(["*", ""]).match(None)


@given(patterns=st.lists(texts, max_size=3), name=texts)
def test_globs_mean_what_the_regular_expression_means(patterns: list[str], name: str) -> None:
    expected = any(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.DOTALL) for pattern in patterns)
    assert Globs(patterns).match(name) is expected


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*a" * 60 + "b", "a" * 200_000),
        ("a*" * 60 + "b", "a" * 200_000),
        ("*".join(["ab"] * 100), "ab" * 100_000 + "a"),
        ("*" * 5_000 + "b", "a" * 200_000),
    ],
)
def test_a_hostile_name_cannot_make_matching_slow(pattern: str, name: str) -> None:
    started = process_time()
    assert not Globs([pattern]).match(name)
    assert process_time() - started < 1
