"""The needles of patterns: whatever a pattern matches has one."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardsvc.guards.native.sandbox_escape.detector import searched
from guardsvc.guards.native.sandbox_escape.needles import needles_of
from guardsvc.guards.native.sandbox_escape.pack import load_topics

PATTERNS = sorted({searched(signal.pattern) for topic in load_topics() for signal in topic})
NEEDLES = {pattern: needles_of(pattern) for pattern in PATTERNS}


@pytest.mark.parametrize(
    ("pattern", "needles"),
    [
        (r"union\s+select", {"select"}),
        (r"(?i:Drop|TRUNCATE)\s", {"drop", "truncate"}),
        (r"a?xyz", {"xyz", "axyz"}),
        (r"\.{2,}[/\\]", {"/", "\\"}),
        (r"\.{2,}$", {".."}),
        (r"[;|]", {";", "|"}),
        (r"x\d{2}$", None),
        (r"\w+", None),
        (r"(?:foo)?", None),
        (r"(?:foo|\w*)", None),
        (r"\bfoo(?:bar)*bazz", {"bazz"}),
    ],
)
def test_needles(pattern: str, needles: set[str] | None) -> None:
    found = needles_of(pattern)
    if needles is None:
        assert found is None or all(re.search(pattern, needle) is None for needle in found)
    else:
        assert found == frozenset(needles)


def test_nearly_all_patterns_have_needles() -> None:
    without = [pattern for pattern, needles in NEEDLES.items() if needles is None]
    assert len(without) <= 2


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_what_a_pattern_matches_has_a_needle(data: st.DataObject) -> None:
    pattern = data.draw(st.sampled_from(PATTERNS))
    text = data.draw(st.from_regex(re.compile(pattern, re.ASCII)))
    needles = NEEDLES[pattern]
    assert needles is None or any(needle in text.lower() for needle in needles)
