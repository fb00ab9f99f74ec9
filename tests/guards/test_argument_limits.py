"""What the cases cannot show of argument_limits: all of a payload at once, and large ones."""

from __future__ import annotations

import json
import unicodedata
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from guardsvc.guards.native.argument_limits import ARGUMENT_LIMITS, ArgumentLimits, ArgumentLimitsSettings
from guardsvc.guards.native.argument_limits.walk import MORE_ERRORS, RULES, Bounds, Excess
from guardsvc.model import ALLOW, Direction, GatewayProtocol, GuardContext, Kind, Operation, Phase, Verdict
from tests.guards.cases import load_cases
from tests.timing import assert_linear

if TYPE_CHECKING:
    from collections.abc import Callable

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
NARROW = ArgumentLimitsSettings(
    max_bytes=200,
    max_string_length=6,
    max_name_length=5,
    max_items=2,
    max_properties=3,
    max_integer=1000,
    max_float=1000.0,
    min_float=0.001,
)


def verdict(payload: Any, **settings: Any) -> Verdict:
    guard = ArgumentLimits(ArgumentLimitsSettings.model_validate(settings), GuardContext(guard_id="g"))
    return guard.evaluate(call(payload), {})


def call(payload: Any) -> Operation:
    return Operation(
        protocol=GatewayProtocol.EXT_AUTHZ,
        direction=Direction.REQUEST,
        phase=Phase.TOOL_INVOKE,
        kind=Kind.REQUEST,
        method="tools/call",
        subject="search",
        payload=payload,
    )


def expected(value: Any, limits: ArgumentLimitsSettings) -> set[str]:
    """The rules that a value breaks, by their definitions one after the other."""
    found = _of_text(value, limits) if isinstance(value, str) else set()
    if isinstance(value, str) and len(value) > limits.max_string_length:
        found.add("string_length")
    if isinstance(value, dict):
        if len(value) > limits.max_properties:
            found.add("properties")
        for name, inner in value.items():
            found |= _of_text(name, limits) | expected(inner, limits)
            if len(name) > limits.max_name_length:
                found.add("name_length")
    if isinstance(value, list):
        if len(value) > limits.max_items:
            found.add("items")
        found |= {rule for inner in value for rule in expected(inner, limits)}
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > limits.max_integer:
        found.add("integer_range")
    if isinstance(value, float) and value and not limits.min_float <= abs(value) <= limits.max_float:
        found.add("float_range")
    return found


def _of_text(text: str, limits: ArgumentLimitsSettings) -> set[str]:
    controls = {character for character in text if unicodedata.category(character) == "Cc"}
    found = {"nul"} if "\0" in text else set()
    if controls - {"\0", *limits.allowed_controls}:
        found.add("control_character")
    if any(
        unicodedata.bidirectional(c) in {"LRE", "RLE", "PDF", "LRO", "RLO", "LRI", "RLI", "FSI", "PDI"} for c in text
    ):
        found.add("bidi_control")
    return found


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=4))
def test_each_rule_is_what_it_is_defined_to_be(payload: dict[str, Any]) -> None:
    rules = {excess.rule for excess in Bounds(NARROW).excesses(payload)}
    want = expected(payload, NARROW)
    if len(json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()) < NARROW.max_bytes // 2:
        assert "size" not in rules
    if MORE_ERRORS in rules:
        assert rules - {MORE_ERRORS, "size"} <= want
    else:
        assert rules - {"size"} == want


@pytest.mark.parametrize("character", [chr(code) for code in (0, 1, 8, 0x1B, 0x1F, 0x7F, 0x85, 0x9F, 0x202A, 0x2069)])
@pytest.mark.parametrize("text", ["{}", "a{}b", "ä\n{}\u00a0", "{}\u200b"])
def test_a_character_is_found_wherever_it_stands(character: str, text: str) -> None:
    assert [finding.where for finding in verdict({"a": [text.format(character)]}).findings] == ["/a/0"]
    assert [finding.where for finding in verdict({"a": {text.format(character): 1}}).findings] == ["/a"]


@pytest.mark.parametrize("text", ["\t\n\r", "\u200e\u200f\u061c", "\u00a0\u2028\u200b\ufeff", "\U000e0041", "\ue000"])
def test_characters_that_are_no_control_characters_pass(text: str) -> None:
    assert verdict({"a": text, text: 1}) is ALLOW


def test_findings_are_bounded_and_say_that_there_are_more() -> None:
    found = verdict({"a": ["\0"] * 1000}).findings
    assert [finding.rule for finding in found] == ["nul"] * 16 + [MORE_ERRORS]
    assert MORE_ERRORS not in [finding.rule for finding in verdict({"a": ["\0"] * 16}).findings]


def test_what_is_not_looked_at_cannot_be_excepted_unseen() -> None:
    hidden = {"a": {"b": {"c": "\0"}}}
    assert [finding.rule for finding in verdict(hidden, max_depth=2).findings] == ["depth", "nul"]
    assert [finding.rule for finding in verdict(hidden, max_values=2).findings] == ["values", "nul"]
    both = verdict(hidden, max_depth=1, max_values=1).findings
    assert [finding.rule for finding in both] == ["depth", "values", "nul"]
    assert ARGUMENT_LIMITS.unexceptable == {MORE_ERRORS}


def test_pointers_have_no_long_or_unprintable_names() -> None:
    payload = {"a/b": {"x" * 300: {"c": "\0"}}, "d~e": ["\0"], "f": {"\x1b": {"g": "\0"}}}
    places = {finding.where for finding in verdict(payload, max_name_length=1000).findings}
    assert places == {"/a~1b", "/d~0e/0", "/f"}


def test_names_and_values_are_not_told() -> None:
    told = verdict({"SECRET": "SECRET\0", "a": {"SECRET\0": 2**60}})
    assert "SECRET" not in repr((getattr(told, "message", ""), getattr(told, "details", {})))


@pytest.mark.parametrize("control", ["ab", "", "a", "\0", "\u202e"])
def test_only_control_characters_can_be_allowed(control: str) -> None:
    with pytest.raises(ValidationError):
        ArgumentLimitsSettings(allowed_controls=(control,))


@pytest.mark.parametrize(
    "value",
    [
        lambda size: "\n" * size,
        lambda size: "\u200b" * (size // 4),
        lambda size: ["a\x1b"] * (size // 8),
        lambda size: [0] * (size // 4),
        lambda size: {f"key{number}": number for number in range(size // 16)},
        lambda size: "ä" * (size // 2) + "\0",
        lambda size: [{"a": [{"b": [1.5]}]}] * (size // 64),
    ],
    ids=["line feeds", "zero-width", "escapes", "numbers", "names", "late", "nested"],
)
@pytest.mark.parametrize("wide", [False, True])
def test_a_mebibyte_takes_linear_time(value: Callable[[int], Any], wide: bool) -> None:
    settings = {"max_bytes": 2**26, "max_string_length": 2**26, "max_values": 1_000_000, "max_items": 1_000_000}
    guard = ArgumentLimits(ArgumentLimitsSettings.model_validate(settings if wide else {}), GuardContext(guard_id="g"))

    def asked(size: int) -> Callable[[], object]:
        operation = call({"arguments": {"x": value(size)}})
        return lambda: guard.evaluate(operation, {})

    assert_linear(asked, 2**20)


def test_every_rule_has_a_case() -> None:
    shown = {rule for case in load_cases() if case.guard == "argument_limits" for rule in case.rules}
    assert shown == set(RULES)


def test_excesses_are_plain() -> None:
    assert Bounds(NARROW).excesses({"a": "1234567"}) == [Excess("string_length", "/a")]
