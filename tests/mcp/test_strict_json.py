"""Strict JSON: what is refused and why, what is accepted as it stands, and that no body costs too much."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.mcp.refusal import Refusal
from guardsvc.mcp.strict_json import Limits, decode, decode_slowly, encode
from guardsvc.mcp.structure import containers_of, depth_of, members_of, structure_of
from guardsvc.model import REASONS

Decode = Callable[[bytes, Limits], Any]
MIB = 1_048_576
LIMITS = Limits()

REFUSED = [
    ("too_large", b"[" + b" " * MIB + b"]"),
    ("byte_order_mark", codecs.BOM_UTF8 + b"{}"),
    ("byte_order_mark", codecs.BOM_UTF16_LE + "{}".encode("utf-16-le")),
    ("byte_order_mark", codecs.BOM_UTF16_BE + "{}".encode("utf-16-be")),
    ("byte_order_mark", codecs.BOM_UTF32_LE + "{}".encode("utf-32-le")),
    ("byte_order_mark", codecs.BOM_UTF32_BE + "{}".encode("utf-32-be")),
    ("invalid_utf8", b'"\xff"'),
    ("invalid_utf8", b'"\xc0\xaf"'),
    ("invalid_utf8", b'"\xed\xa0\x80"'),
    ("invalid_utf8", b'{"a":1}\xff'),
    ("lone_surrogate", rb'"\ud800"'),
    ("lone_surrogate", rb'["\udc00"]'),
    ("lone_surrogate", rb'{"\uD83D":1}'),
    ("lone_surrogate", rb'{"a":["\ude00\ud83d"]}'),
    ("not_a_number", b"NaN"),
    ("not_a_number", b'{"a":Infinity}'),
    ("not_a_number", b"[-Infinity]"),
    ("number_range", b"1e400"),
    ("number_range", b'{"a":[-1E309]}'),
    ("number_range", b"1" * 4301),
    ("number_range", b"-" + b"1" * 4301),
    ("trailing_data", b"{}{}"),
    ("trailing_data", b"1\x00"),
    ("trailing_data", b"{} x"),
    ("trailing_data", b"{}\xc2\xa0"),
    ("too_deep", b"[" * 65 + b"]" * 65),
    ("too_deep", b'{"a":' * 65 + b"1" + b"}" * 65),
    ("too_deep", b"[" * 65),
    ("too_many_keys", b"{" + b",".join(b'"%d":0' % n for n in range(10_001)) + b"}"),
    ("duplicate_key", b'{"a":1,"a":1}'),
    ("duplicate_key", b'{"a" :1,"a"\n:1}'),
    ("duplicate_key", rb'{"a":1,"\u0061":2}'),
    ("duplicate_key", rb'{"a\\":1,"a\\":2,"x":":"}'),
    ("duplicate_key", b'{"x":[{"y":{"":1,"":2}}]}'),
    ("duplicate_key", rb'{"a":1,"a":"\":"}'),
    ("duplicate_key", b'{"a":{"b":NaN},"a":{}}'.replace(b"NaN", b"1")),
    ("invalid_json", b""),
    ("invalid_json", b" \n"),
    ("invalid_json", b"{'a':1}"),
    ("invalid_json", b"[1,]"),
    ("invalid_json", b'{"a":1,}'),
    ("invalid_json", b"[01]"),
    ("invalid_json", b"[.5]"),
    ("invalid_json", b"[+1]"),
    ("invalid_json", b"nan"),
    ("invalid_json", b'"\t"'),
    ("invalid_json", b'"\\x41"'),
    ("invalid_json", b'{"a":1 /* c */}'),
    ("invalid_json", b"\xc2\xa01"),
    ("invalid_json", b"\x0c1"),
    ("invalid_json", b'{"a":1,"a":2'),
]

ACCEPTED = [
    (b" " * (MIB - 2) + b"{}", {}),
    (b'"\xef\xbb\xbf"', "\ufeff"),
    (b'"\xed\x9f\xbf"', "\ud7ff"),
    (rb'"\ud83d\ude00"', "\U0001f600"),
    (rb'"\\ud800"', r"\ud800"),
    (b'"NaN"', "NaN"),
    (b"1e308", 1e308),
    (b"-0", 0),
    (b"-0.0", -0.0),
    (b"1.0", 1.0),
    (b"1e2", 100.0),
    (b"9007199254740993", 9007199254740993),
    (b"1" * 4300, int("1" * 4300)),
    (b"-" + b"1" * 4300, -int("1" * 4300)),
    (b"\t{} \r\n", {}),
    (b'"' + b"[" * 65 + b'"', "[" * 65),
    (b'{"a":{"a":1},"b":[{"a":1},{"a":1}],"A":2}', {"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}], "A": 2}),
    (rb'{"a":"{\"b\":1,\"b\":2}","c":":"}', {"a": '{"b":1,"b":2}', "c": ":"}),
    (rb'{"a\"":1,"a\\":2}', {'a"': 1, "a\\": 2}),
]


def code_of(read: Decode, data: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(Refusal) as refused:
        read(data, limits)
    assert refused.value.code in REASONS
    assert len(refused.value.detail) < 300
    assert refused.value.detail.isascii()
    return refused.value.code


@pytest.mark.parametrize("read", [decode, decode_slowly])
@pytest.mark.parametrize(("code", "data"), REFUSED, ids=lambda value: repr(value)[:40])
def test_refuses_with_the_code(read: Decode, code: str, data: bytes) -> None:
    assert code_of(read, data) == code


@pytest.mark.parametrize("read", [decode, decode_slowly])
@pytest.mark.parametrize(("data", "value"), ACCEPTED, ids=lambda value: repr(value)[:40])
def test_accepts_what_only_looks_like_it(read: Decode, data: bytes, value: Any) -> None:
    read_value = read(data, LIMITS)
    assert read_value == value
    assert type(read_value) is type(value)
    assert not isinstance(value, float) or str(read_value) == str(value)


@pytest.mark.parametrize("read", [decode, decode_slowly])
def test_limits_are_inclusive(read: Decode) -> None:
    limits = Limits(max_bytes=20, max_depth=2, max_keys=2)
    assert read(b'{"a":[],"b":[]}     ', limits) == {"a": [], "b": []}
    assert code_of(read, b'{"a":[],"b":[]}      ', limits) == "too_large"
    assert code_of(read, b'{"a":[[]]}', limits) == "too_deep"
    assert code_of(read, b'{"a":1,"b":1,"c":1}', limits) == "too_many_keys"
    narrow = Limits(max_containers=2, max_depth=3)
    assert read(b'{"a":["[{"]}', narrow) == {"a": ["[{"]}
    assert code_of(read, b'{"a":[{}]}', narrow) == "too_many_containers"
    assert code_of(read, b'{"a":[{"b":[]}]}', narrow) == "too_deep"


def test_depth_beyond_the_interpreter_is_still_a_refusal() -> None:
    limits = Limits(max_depth=1_000_000, max_containers=1_000_000)
    assert code_of(decode, b"[" * 500_000 + b"]" * 500_000, limits) == "too_deep"


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b'{"a":[0,{"b/c":{"k":1,"k":2}}]}', "'k' repeated in '/a/1/b~1c'"),
        (b'{"a":[0,NaN]}', "NaN in '/a/1'"),
        (rb'{"a":[0,"\ud800"]}', "'/a/1'"),
        (b'{"k":1,"k":2}', "the outermost value"),
        (b'{"' + b"k" * 5000 + b'":NaN}', "kkk'..."),
    ],
)
def test_detail_names_the_place(data: bytes, where: str) -> None:
    with pytest.raises(Refusal) as refused:
        decode(data)
    assert where in refused.value.detail


HOSTILE = [
    ("too_deep", b"[" * MIB),
    ("too_deep", (b'{"a":' * MIB)[:MIB]),
    ("invalid_json", b"]" * MIB),
    ("invalid_json", (b'["' + rb"\"" * MIB)[:MIB]),
    ("invalid_json", (b'"' + b"\\" * MIB)[:MIB]),
    ("trailing_data", b'"' * MIB),
    ("duplicate_key", b"{" + b",".join([b'"k":1'] * 100_000) + b"}"),
    ("duplicate_key", b"[" + b",".join([b'{"k":1,"k":1}'] * 9_000) + b"]"),
    ("too_many_containers", b"[" + b",".join([b'{"k":1,"k":1}'] * 70_000) + b"]"),
    ("too_many_containers", b"[" + b",".join([b'{"a":1}'] * 120_000) + b"]"),
    ("too_many_containers", b"[" + b",".join([b"[" * 50 + b"]" * 50] * 10_000) + b"]"),
    ("too_many_containers", b"[" + b'"\\",[],' * 100_000 + b"[]]"),
    ("number_range", b"1" * MIB),
    ("number_range", b"[" + b",".join([b"1" * 4301] * 200) + b"]"),
    ("number_range", b"1e" + b"9" * (MIB - 2)),
    ("not_a_number", b"[" + b",".join([b"NaN"] * 200_000) + b"]"),
    ("lone_surrogate", b"[" + b",".join([rb'"\ud800"'] * 100_000) + b"]"),
    ("trailing_data", b"1" + b" " * (MIB - 2) + b"1"),
    ("too_many_keys", b"[" + b",".join([b'{"":1,"a":1}'] * 9_000) + b"]"),
]


@pytest.mark.parametrize(("code", "data"), HOSTILE, ids=lambda value: repr(value)[:30])
def test_a_hostile_body_is_refused_soon(code: str, data: bytes) -> None:
    assert code_of(decode, data) == code


@pytest.mark.parametrize(
    "data",
    [
        b"[" + b"[]," * 300_000 + b"[]]",
        b'["' + b'\\":' * 300_000 + b'"]',
        b'["' + b'\\" ' * 300_000 + b'"]',
        b"0." + b"1" * 1_000_000,
        b"[" + b",".join([b"1" * 4300] * 240) + b"]",
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_laborious_body_is_accepted_soon(data: bytes) -> None:
    assert encode(decode(data, Limits(max_containers=400_000))) is not None


BRACKETS_IN_STRINGS = [
    b'["' + b"[{" * 20_000 + b'"]',
    b'{"' + b"{[" * 20_000 + b'":"' + b"]}" * 20_000 + b'"}',
    b"[" + b",".join([rb'"\\","[{\"[{","\u005b{"'] * 9_000) + b"]",
    b'["' + rb"\"[\\" * 20_000 + b'","' + rb"\\" * 20_000 + b'"]',
]


@pytest.mark.parametrize("read", [decode, decode_slowly])
@pytest.mark.parametrize("data", BRACKETS_IN_STRINGS, ids=lambda value: repr(value)[:30])
def test_brackets_in_strings_are_no_containers(read: Decode, data: bytes) -> None:
    assert read(data, LIMITS) == json.loads(data)


def _shaped(value: Any) -> tuple[int, int, int]:
    """Members, containers and depth of a value, the long way."""
    if not isinstance(value, dict | list):
        return 0, 0, 0
    inside = [_shaped(each) for each in (value.values() if isinstance(value, dict) else value)]
    members = len(value) if isinstance(value, dict) else 0
    return (
        members + sum(each[0] for each in inside),
        1 + sum(each[1] for each in inside),
        1 + max((each[2] for each in inside), default=0),
    )


TEXTS = st.text(st.sampled_from('"\\:[]{}, a\n\u00e9\u2028'), max_size=8)
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(
    value=VALUES, indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans(), colon=st.sampled_from([":", " \t:\n"])
)
def test_the_structure_is_that_of_the_value(value: Any, indent: int | None, ascii_only: bool, colon: str) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=ascii_only, separators=(",", colon)).encode()
    structure = structure_of(data)
    assert (members_of(structure), containers_of(structure), depth_of(structure)) == _shaped(value)
    assert containers_of(data) >= containers_of(structure)
    assert decode(data) == value == decode_slowly(data)


@pytest.mark.parametrize("value", [float("nan"), {1: 2}, (1, 2), "\ud800", b"x", {"a": {1, 2}}, {"a": [float("inf")]}])
def test_encode_takes_json_values_only(value: Any) -> None:
    with pytest.raises(ValueError, match="not a JSON value"):
        encode(value)


@pytest.mark.parametrize("value", [{"a": [1, 1.0, -0.0, 2**64, 10**400, None, True, "\u2028\x7f\U0001f600"]}])
def test_encode_is_read_back(value: Any) -> None:
    assert repr(decode(encode(value))) == repr(value)
