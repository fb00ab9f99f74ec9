from __future__ import annotations

import contextlib
import time
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from guardsvc.config import ConfigError, Document, Path, document

BILLION_LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30)
)


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def any_loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "_LOADER", getattr(yaml, request.param))


@pytest.mark.usefixtures("any_loader")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("# nothing but this\n", {}),
        ("---\n", {}),
        ("%YAML 1.2\n---\na: 1\n", {"a": 1}),
        ("\ufeffa: 1", {"a": 1}),
        ('{"json": [1, 2.5, true, null, "text"]}', {"json": [1, 2.5, True, None, "text"]}),
        ("a: &x {b: [1]}\nc: *x\n", {"a": {"b": [1]}, "c": {"b": [1]}}),
        ("&k a: 1\nb: *k\n", {"a": 1, "b": "a"}),
        (
            "a: !!str 012\nb: !!int 7\nc: !!float 1\nd: ! 5\ne: !!null ~",
            {"a": "012", "b": 7, "c": 1.0, "d": "5", "e": None},
        ),
        ("a: !!map {}\nb: !!seq []", {"a": {}, "b": []}),
        ('"<<": 1\n"1": 2\n"null": 3', {"<<": 1, "1": 2, "null": 3}),
        ("yes: 1\non: 2", {"yes": 1, "on": 2}),
        ("a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
    ],
)
def test_yaml_becomes_plain_data(text: str, value: Any) -> None:
    assert Document.parse(text, "p.yaml").value == value
    assert Document.parse(text.encode(), "p.yaml").value == value


@pytest.mark.usefixtures("any_loader")
@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("a: 1\nb: 2\na: 3\n", ["p.yaml:3: a: the key is given twice, on lines 1 and 3"]),
        (
            "g:\n- id: 1\n  id: 2\n  id: 3\nh: {x: 1, x: 2}\n",
            [
                "p.yaml:3: g[0].id: the key is given twice, on lines 2 and 3",
                "p.yaml:4: g[0].id: the key is given twice, on lines 2 and 4",
                "p.yaml:5: h.x: the key is given twice, on lines 5 and 5",
            ],
        ),
        ("a:\n  1: x", ['p.yaml:2: a: a key is an integer; keys are strings; quote it: "1"']),
        ("True: x", ['p.yaml:1: a key is a boolean; keys are strings; quote it: "True"']),
        ("~: x", ['p.yaml:1: a key is null; keys are strings; quote it: "~"']),
        ("? [a, b]\n: x", ["p.yaml:1: a key is a list; keys are strings"]),
        ("? *x\n: 1", ["p.yaml:1: the alias *x names nothing"]),
        (
            "a: &a {x: 1}\nb:\n  <<: *a\n",
            ["p.yaml:3: b: merge keys (<<) are not supported; write the keys out, or alias a whole value"],
        ),
        (
            "a: !!py x\nb: [!mine {}, !!set {x}]",
            [
                'p.yaml:1: a: the tag "tag:yaml.org,2002:py" is not allowed; values are plain YAML data',
                'p.yaml:2: b[0]: the tag "!mine" is not allowed; values are plain YAML data',
                'p.yaml:2: b[1]: the tag "tag:yaml.org,2002:set" is not allowed; values are plain YAML data',
            ],
        ),
        ("a: !!int yes", ['p.yaml:1: a: "yes" is not an integer']),
        ("a: !!bool yes", ['p.yaml:1: a: "yes" is not true or false']),
        (
            "a: !!seq {}",
            ['p.yaml:1: a: the tag "tag:yaml.org,2002:seq" is not allowed; values are plain YAML data'],
        ),
        ("a: 1\n---\nb: 2\n", ["p.yaml:2: a second document starts here; a configuration is one document"]),
        ("- a\n- b\n", ["p.yaml:1: the top level is a list; expected a mapping"]),
        ("just text", ["p.yaml:1: the top level is a string; expected a mapping"]),
        ("null", ["p.yaml:1: the top level is null; expected a mapping"]),
        ("a: *b", ["p.yaml:1: a: the alias *b names nothing"]),
        ("a: &a\n- *a\n", ["p.yaml:2: a[0]: the alias *a stands inside what it names"]),
        ("a: " + "[" * 64 + "]" * 64, ["p.yaml:1: lists and mappings are nested more than 64 levels deep"]),
        ("? " * 100 + "a", ["p.yaml:1: lists and mappings are nested more than 64 levels deep"]),
        (BILLION_LAUGHS, ["p.yaml:5: a4[7]: the document has more than 100000 values, aliases written out"]),
        ("a: \x01", ["p.yaml:1: not YAML: the character U+0001 is not allowed unescaped"]),
        ("a: 1\nb: \ud800", ["p.yaml:2: not YAML: the character U+D800 is not allowed unescaped"]),
        ("#" * (1 << 20) + "\n", ["p.yaml: the document has 1048577 bytes; at most 1048576 are allowed"]),
    ],
)
def test_what_could_be_misread_is_refused(text: str, problems: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        Document.parse(text, "p.yaml")
    assert str(caught.value).splitlines() == problems


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"a: 1\nb: '\xff'\n", "p.yaml:2: not UTF-8: byte 0xff at offset 9"),
        (b"\xff\xfea\x00", "p.yaml:1: not UTF-8: byte 0xff at offset 0"),
        (b"a: 'x\n", "p.yaml:2: not YAML: found unexpected end of stream, while scanning a quoted scalar"),
        (b"a: 1\n b: 2\n", "p.yaml:2: not YAML: mapping values are not allowed in this context"),
        (
            b"a: [1, 2\nb: 3\n",
            "p.yaml:2: not YAML: did not find expected ',' or ']', while parsing a flow sequence",
        ),
    ],
)
def test_bytes_that_are_no_yaml_are_refused_at_their_line(data: bytes, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Document.parse(data, "p.yaml")
    assert str(caught.value) == problem


@pytest.mark.usefixtures("any_loader")
@pytest.mark.parametrize("text", ['a: "\\ud800"', 'a: "\\UFFFFFFFF"', "a: !%ff x"])
def test_escapes_beyond_unicode_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Document.parse(text, "p.yaml")


@pytest.mark.parametrize("text", ["[" * (1 << 20), "- " * (1 << 19), BILLION_LAUGHS, "{" * 1000, "? " * (1 << 19)])
def test_a_hostile_document_costs_little(text: str) -> None:
    started = time.process_time()
    with pytest.raises(ConfigError):
        Document.parse(text, "p.yaml")
    assert time.process_time() - started < 2


LINES = """\
policy:
  name: x

  guards:
    - id: one
      settings: &s
        deep:
          - 1
          - 2
    - settings: *s
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ((), 1),
        (("policy",), 1),
        (("policy", "name"), 2),
        (("policy", "guards"), 4),
        (("policy", "guards", 0), 5),
        (("policy", "guards", 0, "settings", "deep"), 7),
        (("policy", "guards", 0, "settings", "deep", 1), 9),
        (("policy", "guards", 1, "settings"), 10),
        (("policy", "guards", 1, "settings", "deep", 0), 8),
        (("policy", "guards", 0, "missing"), 5),
        (("policy", "guards", 7, "id"), 4),
        (("elsewhere",), 1),
    ],
)
def test_every_place_has_a_line(path: Path, line: int) -> None:
    assert Document.parse(LINES, "p.yaml").line(path) == line


def test_an_empty_document_has_no_lines() -> None:
    assert Document.parse("", "p.yaml").line(("a",)) is None


yaml_like = st.lists(
    st.sampled_from(
        [
            *":-?,[]{}&*!|>'\"%@`#~ \n\t",
            "a",
            "1",
            "<<",
            "---",
            "...",
            "\\U",
            "\\x",
            "!!",
            "é",
            "\u2028",
            "\x00",
        ]
    )
).map("".join)


@pytest.mark.parametrize("loader", [yaml.CSafeLoader, yaml.SafeLoader])
@given(text=st.text() | yaml_like | st.binary())
@example(text="\ud800")
@example(text='"\\UFFFFFFFF"')
def test_no_text_raises_anything_but_a_configuration_error(loader: Any, text: str | bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(document, "_LOADER", loader)
        with contextlib.suppress(ConfigError):
            assert isinstance(Document.parse(text, "p.yaml").value, dict)


words = st.sampled_from(
    [
        "yes",
        "no",
        "on",
        "off",
        "Y",
        "012",
        "0o14",
        "1:30",
        "1e3",
        "2024-01-01",
        "<<",
        "=",
        "~",
        ".inf",
        "-.5",
        "1_000",
    ]
)
strings = st.text(st.characters(exclude_categories=["Cs"])) | words
json_like = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**99), 10**99)
    | st.floats(allow_nan=False, allow_infinity=False)
    | strings,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(strings, inner, max_size=4),
    max_leaves=20,
)


@given(value=st.dictionaries(strings, json_like, max_size=5), flow=st.sampled_from([None, True, False]))
def test_what_pyyaml_writes_is_read_back(value: dict[str, Any], flow: bool | None) -> None:
    assert Document.parse(yaml.safe_dump(value, default_flow_style=flow), "p.yaml").value == value
