"""An item more in a list of a YAML document, and not a byte of the rest changed."""

from __future__ import annotations

from textwrap import dedent

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.config.insert import InsertError, append_item, block

PATH = ("policy", "exceptions")
ITEM = {"rule": "a", "reason": "it's #1: known"}

DOCUMENTS = {
    "no list": """\
        # Head.
        policy:   # the policy
          # About the name.
          name: x

          guards: []
        """,
    "a list": """\
        policy:
          exceptions:
            # First.
            - rule: x   # why
              reason: "y"   # because

            # Guards follow.
          guards: []
        """,
    "a list at the end": """\
        service: {}
        policy:
          guards: []
          exceptions:
            - {rule: x, reason: y}
        """,
    "a list without indent": """\
        policy:
          exceptions:
          - rule: x
            reason: y
          guards: []
        """,
    "a text of lines at the end": """\
        policy:
          exceptions:
            - rule: x
              reason: |
                one
                two
          guards: []
        """,
    "a folded text at the end of all": """\
        policy:
          exceptions:
            - rule: x
              reason: >-
                one
                two
        """,
    "a plain text over lines": """\
        policy:
          exceptions:
            - rule: x
              reason: one
                two
          # after
          guards: []
        """,
    "wide": """\
        policy:
              name: x
              exceptions:
                    - rule: x
                      reason: é€😀
              guards: []
        """,
    "an alias within": """\
        policy:
          name: &n x
          exceptions:
            - rule: *n
              reason: *n
          guards: []
        """,
    "lists within": """\
        policy:
          exceptions:
            - rule: x
              reason:
                - - a
                  - b
                - c: [d,
                      e]
          guards: []
        """,
    "several documents' marks": """\
        ---
        policy:
          exceptions:
            - rule: x
              reason: y
        ...
        """,
}


def changed(text: str) -> str:
    made = append_item(text, PATH, ITEM)
    expected = yaml.safe_load(text)
    expected["policy"].setdefault("exceptions", []).append(ITEM)
    assert yaml.safe_load(made) == expected
    return made


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("cut", [False, True])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_rest_stays_byte_for_byte(name: str, ending: str, *, cut: bool) -> None:
    text = dedent(DOCUMENTS[name]).replace("\n", ending)
    if cut:
        text = text.removesuffix(ending)
    made = changed(text)
    start = next(
        (index for index, (old, new) in enumerate(zip(text, made, strict=False)) if old != new),
        min(len(text), len(made)),
    )
    added = len(made) - len(text)
    before = min(start, len(text))
    assert any(made[:at] + made[at + added :] == text for at in range(before, -1, -1))
    assert made.count("\n") == made.count(ending)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_second_one_goes_behind_the_first(name: str) -> None:
    once = append_item(dedent(DOCUMENTS[name]), PATH, ITEM)
    twice = append_item(once, PATH, {"rule": "b", "reason": "c"})
    assert [item["rule"] for item in yaml.safe_load(twice)["policy"]["exceptions"]][-2:] == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "policy: {name: x}\n",
        "policy: {}\n",
        "policy:\n",
        "policy: x\n",
        "{policy: {exceptions: [{rule: x, reason: y}]}}\n",
        "policy:\n  exceptions: [{rule: x, reason: y}]\n",
        "policy:\n  exceptions: []\n",
        "policy:\n  exceptions:\n  name: x\n",
        "policy:\n  exceptions: {}\n",
        "policy:\n  exceptions: x\n",
        "a: &e\n  - rule: x\npolicy:\n  exceptions: *e\n",
        "a: &e {rule: x, reason: y}\npolicy:\n  exceptions:\n    - *e\n",
        "service: {}\n",
        "[]\n",
        "",
    ],
)
def test_what_is_not_written_in_lines_is_left_to_a_person(text: str) -> None:
    with pytest.raises(InsertError):
        append_item(text, PATH, ITEM)


@given(st.dictionaries(st.sampled_from(["rule", "reason", "where", "tool"]), st.text(min_size=1), min_size=1))
def test_whatever_an_item_says_is_read_back(item: dict[str, str]) -> None:
    assert yaml.safe_load(block(item, 4)) == [item]
    made = append_item("policy:\n  exceptions:\n    - a: b\n  x: y\n", PATH, item)
    assert yaml.safe_load(made) == {"policy": {"exceptions": [{"a": "b"}, item], "x": "y"}}
