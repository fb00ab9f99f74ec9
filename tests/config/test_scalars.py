from __future__ import annotations

import math
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.config.scalars import resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("Null", None),
        ("TRUE", True),
        ("false", False),
        ("0", 0),
        ("-17", -17),
        ("+17", 17),
        ("1.5", 1.5),
        ("-0.5", -0.5),
        (".5", 0.5),
        ("1.0e+3", 1000.0),
    ],
)
def test_what_every_yaml_agrees_on_is_read(text: str, value: object) -> None:
    read = resolve(text)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *("yes", "no", "on", "off", "y", "n", "Yes", "NO", "tRUE", "nULL", "012"),
        *("-012", "0o14", "0x1F", "0b1", "1:30", "12:30:45", "1_000", "1e3", "1.5e3", "-.5", ".inf"),
        *(
            "-.INF",
            ".nan",
            "1.0e+999",
            "2024-01-01",
            "2024-01-01T00:00:00Z",
            "1.2.3",
            "10.0.0.0/8",
            "=",
            "<<",
        ),
    ],
)
def test_the_rest_stays_text(text: str) -> None:
    assert resolve(text) == text


def test_a_number_of_endless_digits_stays_text() -> None:
    assert resolve("1" * 5000) == "1" * 5000


@given(st.from_regex(re.compile(r"[-+.0-9eExob_:~a-fA-F]{0,8}"), fullmatch=True))
def test_nothing_is_read_otherwise_than_pyyaml_does(text: str) -> None:
    read = resolve(text)
    if isinstance(read, str):
        return
    theirs = yaml.safe_load(f"[{text}]") if text else [None]
    assert theirs == [read]
    assert not isinstance(read, float) or math.isfinite(read)
