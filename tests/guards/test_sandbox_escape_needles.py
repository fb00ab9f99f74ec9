"""The needles of patterns: whatever a pattern matches has one of each set of one of its ways."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardsvc.guards.native.sandbox_escape.detector import searched
from guardsvc.guards.native.sandbox_escape.needles import MAX_SETS, MAX_WAYS, ways_of
from guardsvc.guards.native.sandbox_escape.pack import load_topics

PATTERNS = sorted({searched(signal.pattern) for topic in load_topics() for signal in topic})
WAYS = {pattern: ways_of(pattern) for pattern in PATTERNS}


@pytest.mark.parametrize(
    ("pattern", "ways"),
    [
        (r"union\s+select", [[{"select"}, {"union"}]]),
        (r"(?i:Drop|TRUNCATE)\s", [[{"drop", "truncate"}]]),
        (r"a?xyz", [[{"xyz", "axyz"}]]),
        (r"\.{2,}[/\\]", [[{"/", "\\"}, {".."}]]),
        (r"\.{2,}$", [[{".."}]]),
        (r"[;|]", [[{";", "|"}]]),
        (r"x\d{2}$", [[]]),
        (r"\w+", [[]]),
        (r"(?:foo)?", [[]]),
        (r"(?:foo|\w*)", [[], [{"foo"}]]),
        (r"\bfoo(?:bar)*bazz", [[{"bazz"}, {"foo"}]]),
        (r"[;&]\s*(?:curl\s+-T|nc\s+-l)", [[{"curl"}, {"-t"}], [{"nc"}, {"-l"}]]),
    ],
)
def test_ways(pattern: str, ways: list[list[set[str]]]) -> None:
    found = {frozenset(way) for way in ways_of(pattern)}
    if ways == [[]]:
        assert all(re.search(pattern, needle) is None for way in found for needles in way for needle in needles)
    else:
        assert found == {frozenset(map(frozenset, way)) for way in ways}


def test_nearly_all_patterns_have_needles() -> None:
    without = [pattern for pattern, ways in WAYS.items() if () in ways]
    assert len(without) <= 2


def test_ways_and_sets_are_bounded() -> None:
    many = "(?:" + "|".join(f"a{number}x\\s*b" for number in range(2 * MAX_WAYS)) + ")"
    assert max(map(len, WAYS.values())) <= MAX_WAYS
    assert len(ways_of(many)) == 1
    assert max(len(way) for ways in WAYS.values() for way in ways) <= MAX_SETS


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_what_a_pattern_matches_has_the_needles_of_a_way(data: st.DataObject) -> None:
    pattern = data.draw(st.sampled_from(PATTERNS))
    text = data.draw(st.from_regex(re.compile(pattern, re.ASCII))).lower()
    assert any(all(any(needle in text for needle in needles) for needles in way) for way in WAYS[pattern])
