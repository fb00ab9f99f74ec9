"""Suites are read strictly, and nothing in a file does more than break the suite."""

from __future__ import annotations

import copy
import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.config import ConfigError, Document
from guardsvc.config.compose import Lines
from guardsvc.suites import find_suites, load_suite, run_suites
from guardsvc.suites.merge import Part, merge
from tests.guards.cases import CASES

SUITE: dict[str, Any] = {
    "guard": "access_list",
    "description": "d",
    "fixtures": [],
    "templates": {
        "t": {
            "settings": {"default": "allow", "rules": [{"action": "deny", "tools": ["x"]}]},
            "servers": ["files"],
            "caller": {"tenant": "a", "verified": True},
            "schemas": {"files": {"x": {"type": "object"}}},
        },
        "listed": {"operation": {"method": "tools/list", "direction": "response", "payload": {"tools": [{}]}}},
        "u": {"like": "t", "operation": {"method": "tools/call", "subject": "x", "headers": {"a": ["b", "c"]}}},
    },
    "cases": [
        {"description": "a", "like": "u", "expect": {"verdict": "deny", "code": "access_denied", "rule": "rules[0]"}},
        {
            "description": "b",
            "like": "t",
            "at": 1,
            "before": [
                {},
                {"like": "u"},
                {"guard": "server_allowlist", "repeat": {"/operation/payload/tools/0": 3}, "like": "listed"},
            ],
            "message": {"method": "ping"},
            "expect": {"verdict": "allow", "findings": [{"rule": "default", "severity": "info"}]},
        },
        {
            "description": "c",
            "like": "t",
            "near": ["rules[0]"],
            "repeat": {"/request/body/params/cursor": 2},
            "request": {
                "headers": {"content-type": "application/json"},
                "body": {"jsonrpc": "2.0", "id": 1, "method": "x", "params": {"cursor": "c"}},
            },
            "expect": {"verdict": "allow", "rules": ["default"]},
        },
    ],
}


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path]
    for step, inner in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        found += places(inner, (*path, step))
    return found


def changed(path: tuple[str | int, ...], new: Any) -> Any:
    if not path:
        return new
    suite: Any = copy.deepcopy(SUITE)
    inner = suite
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = new
    return suite


ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 99) | st.text(max_size=3) | st.sampled_from(["t", "${env:X}", "like"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["like", "t", "rules", "verdict", "x", "body"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def test_the_suite_passes() -> None:
    suite = load_suite(Path("s.yaml"), Document.parse(json.dumps(SUITE), "s.yaml"))

    assert (len(suite.cases), run_suites([suite]).failed) == (3, 0)


@given(st.sampled_from(places(SUITE)), ODD)
def test_a_wrong_value_anywhere_breaks_the_suite_at_most(path: tuple[str | int, ...], new: Any) -> None:
    with suppress(ConfigError):
        suite = load_suite(Path("s.yaml"), Document.parse(json.dumps(changed(path, new)), "s.yaml"))
        assert run_suites([suite]).cases == len(suite.cases)


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_file_is_a_suite_or_broken_or_passed_over(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "s.yaml").write_bytes(data)
        found = find_suites([Path(folder)])

    assert len(found.suites) + len(found.broken) + len(found.others) == 1


def test_files_of_other_forms_are_passed_over() -> None:
    found = find_suites([CASES])

    assert {path.parent.name for path in found.others} == {"result_injection", "tool_poisoning"}


def test_hidden_files_are_not_looked_at(tmp_path: Path) -> None:
    for name in (".s.yaml", ".git/s.yaml", "below/s.yml", "s.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("cases: []\n")
    found = find_suites([tmp_path])

    assert [error.source for error in found.broken] == [str(tmp_path / "below" / "s.yml")]


def part(value: Any, line: int = 1) -> Part:
    if isinstance(value, dict):
        return Part(value, Lines(line, {key: part(inner, line).lines for key, inner in value.items()}))
    return Part(value, Lines(line))


@pytest.mark.parametrize(
    ("base", "patch", "merged"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, "bar", "bar"),
    ],
)
def test_merge_patch(base: Any, patch: Any, merged: Any) -> None:
    assert merge(part(base), part(patch, 2)).value == merged


def test_merged_values_keep_their_lines() -> None:
    lines = merge(part({"a": {"b": 1, "c": 2}, "d": 3}), part({"a": {"c": 4}, "e": 5}, 7)).lines

    assert (lines.inside["a"].inside["b"].line, lines.inside["a"].inside["c"].line) == (1, 7)
    assert (lines.inside["d"].line, lines.inside["e"].line) == (1, 7)
