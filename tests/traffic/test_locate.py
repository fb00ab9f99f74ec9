"""Where values stand in a JSON text."""

from __future__ import annotations

import json
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.traffic import Spot, locate

TEXT = """{"a": [1, {"b/c": "x\\"{",
   "~": null}], "\\u0064" : {"": -1.5e3 , "e":[]}}"""


@pytest.mark.parametrize(
    ("pointer", "spot"),
    [
        ("", Spot(1, 1, "", "{")),
        ("/a", Spot(1, 7, '"a"', "[")),
        ("/a/0", Spot(1, 8, "", "1")),
        ("/a/1/b~1c", Spot(1, 19, '"b/c"', '"')),
        ("/a/1/~0", Spot(2, 9, '"~"', "n")),
        ("/d", Spot(2, 28, '"\\u0064"', "{")),
        ("/d/", Spot(2, 33, '""', "-")),
        ("/d/e", Spot(2, 46, '"e"', "[")),
    ],
)
def test_places(pointer: str, spot: Spot) -> None:
    assert locate(TEXT, pointer) == spot


@pytest.mark.parametrize("pointer", ["/b", "/a/2", "/a/-", "/a/x", "/a/0/1", "/d/e/0", "/d/x"])
def test_what_is_not_there(pointer: str) -> None:
    assert locate(TEXT, pointer) is None


@pytest.mark.parametrize("text", ["", "{", '{"a', '{"a"', '{"a":', "[1,", '{"b":[', "nonsense", '{"b":}'])
def test_what_is_no_json(text: str) -> None:
    assert locate(text, "/a") is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


def pointers(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    found = [(prefix, value)]
    if isinstance(value, dict):
        for key, item in value.items():
            found += pointers(item, f"{prefix}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += pointers(item, f"{prefix}/{index}")
    return found


@given(JSON, st.sampled_from([None, 2]), st.booleans())
def test_every_value_of_any_text_is_found(value: Any, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    lines = text.split("\n")
    for pointer, wanted in pointers(value):
        spot = locate(text, pointer)
        assert spot is not None
        rest = "\n".join([lines[spot.line - 1][spot.column - 1 :], *lines[spot.line :]])
        found, _ = json.JSONDecoder().raw_decode(rest)
        assert found == wanted


@pytest.mark.parametrize(
    ("text", "pointer"),
    [
        ("[" * 200_000 + "]" * 200_000, "/0" * 2_000),
        ('{"a":' * 200_000 + "1" + "}" * 200_000, "/b"),
        ('["' + "\\\\" * 500_000 + '", 1]', "/1"),
        ('{"a":"' + '\\"' * 500_000 + '","b":1}', "/b"),
    ],
)
def test_hostile_texts_take_one_pass(text: str, pointer: str) -> None:
    started = process_time()
    locate(text, pointer)

    assert process_time() - started < 2
