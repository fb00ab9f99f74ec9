"""What holds of ``sandbox_escape`` whatever is sent: no error, pointers that resolve, one answer, bounded work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
import re2
from hypothesis import given, settings
from hypothesis import strategies as st

from guardsvc.guards.native.matcher import encode
from guardsvc.guards.native.sandbox_escape import matcher
from guardsvc.guards.native.sandbox_escape.detector import Detector, searched
from guardsvc.guards.native.sandbox_escape.forms import MAX_ROUNDS, decoded_forms, escapes, plain_command
from guardsvc.guards.native.sandbox_escape.pack import load_topics
from guardsvc.guards.native.sandbox_escape.roles import Role
from guardsvc.guards.native.sandbox_escape.rules import RULES
from guardsvc.guards.native.sandbox_escape.search import MAX_FINDINGS
from guardsvc.guards.native.sandbox_escape.signal import BEGIN, END
from guardsvc.model import Deny
from tests.guards.test_arguments import JSON, NAMES, at
from tests.guards.test_sandbox_escape import GUARD, call, judge, rules

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNALS = tuple(signal for topic in load_topics() for signal in topic)
ALONE = [re2.compile(searched(signal.pattern).encode(), matcher.options()) for signal in SIGNALS]
DETECTOR = Detector(frozenset(RULES))

PIECES = st.sampled_from(
    (
        *(
            "../",
            "..\\",
            "%2e%2e%2f",
            "%252e",
            "%00",
            "/etc/passwd",
            "\\\\",
            "file:",
            "\uff0e",
            "%u2215",
            "0x2e",
            "&#46;",
        ),
        *(";", "|", "&&", "`", "$(", ")", "\n", "id", "whoami", "curl ", "cat ", "rm -rf /", "~", "--exec", "-o", "${"),
        *("{{", "}}", "<%", "__class__", "!!", "ro0ab", "jndi:", "$gt", ":", "{", "}"),
        *("'", '"', "--", "#", "or", "1=1", "union", "select", "sleep(5)"),
        *("http://", "127.0.0.1", "localhost", "[::1]", "@", "0x7f.1", ".nip.io", "a", "b", "\x02", "\x03", "\ud800"),
    )
)
HOSTILE = st.lists(PIECES, max_size=12).map("".join) | st.lists(PIECES, max_size=12).map(" ".join)
FIELDS = st.sampled_from(
    ["path", "url", "host", "command", "args", "sql", "content", "name", "template", "code", "$gt"]
)
ARGUMENTS = st.dictionaries(FIELDS | NAMES, HOSTILE | JSON | st.lists(HOSTILE, max_size=4), max_size=4)


@given(ARGUMENTS)
def test_findings_are_of_known_rules_at_places_that_exist(arguments: dict[str, Any]) -> None:
    operation = call(arguments)
    verdict = GUARD.evaluate(operation, {})
    assert len(verdict.findings) <= MAX_FINDINGS
    for finding in verdict.findings:
        assert finding.rule in RULES
        at(operation.payload, finding.where)
        assert finding.excerpt.isprintable()
    assert GUARD.evaluate(operation, {}) == verdict


@given(HOSTILE, st.sampled_from(list(Role)))
@settings(max_examples=300)
def test_signals_found_together_are_those_found_one_by_one(text: str, role: Role) -> None:
    marked = encode(f"{BEGIN}{text}{END}")
    mask = DETECTOR.mask(role)
    together = DETECTOR.match(f"{BEGIN}{text}{END}", mask)
    alone = sum(1 << index for index, pattern in enumerate(ALONE) if pattern.search(marked) is not None)
    assert together == alone & mask


@given(st.lists(HOSTILE, min_size=2, max_size=5), st.sampled_from(list(Role)))
def test_values_together_have_the_signals_of_each(texts: list[str], role: Role) -> None:
    mask = DETECTOR.mask(role)
    together = DETECTOR.signals(texts, mask)
    for text in texts:
        assert DETECTOR.signals((text,), mask) & ~together == 0


@given(ARGUMENTS, st.dictionaries(st.sampled_from(["note", "limit", "city"]), st.sampled_from(["x", "y z", 3])))
def test_harmless_neighbours_hide_nothing(arguments: dict[str, Any], more: dict[str, Any]) -> None:
    before = {(finding.rule, finding.where) for finding in judge(arguments).findings}
    after = {(finding.rule, finding.where) for finding in judge({**more, **arguments}).findings}
    assert before == after


@given(st.text(alphabet="./\\ab%25c0", max_size=30), st.integers(0, 3))
def test_decoding_ends_and_undoes_encoding(text: str, rounds: int) -> None:
    encoded = text
    for _ in range(rounds):
        encoded = quote(encoded, safe="")
    forms = decoded_forms(encoded)
    assert len(forms) <= MAX_ROUNDS
    assert all(len(form) <= 2 * len(encoded) for form in forms)
    if escapes(encoded) == 0:
        assert forms == []


@given(st.text())
def test_any_text_is_decoded_and_made_plain(text: str) -> None:
    assert all(len(form) <= 2 * len(text) for form in decoded_forms(text))
    plain_command(text)


ENCODINGS = [
    lambda path: path,
    lambda path: path.replace("/", "\\"),
    lambda path: quote(path, safe=""),
    lambda path: path.replace(".", "%2e").replace("/", "%2F"),
    lambda path: path.replace("/", "%252f"),
    lambda path: path.replace(".", "%c0%ae"),
    lambda path: path.replace("/", "%e0%80%af"),
    lambda path: path.replace("/", "\uff0f"),
    lambda path: path.replace("/", "\u2215"),
    lambda path: path.replace("/", "%u2215"),
    lambda path: path.replace(".", "\\x2e"),
    lambda path: path.replace(".", "\\u002e"),
    lambda path: path.replace("/", "&#47;"),
    lambda path: path.replace("../", "....//"),
    lambda path: path.replace("/", "//"),
    lambda path: f"./{path}",
    lambda path: f"uploads/{path}",
]


@pytest.mark.parametrize("encoded", ENCODINGS)
@pytest.mark.parametrize("path", ["../../../home/ada/notes.txt", "../../../../srv/a"])
@pytest.mark.parametrize("field", ["path", "filename", "query"])
def test_a_path_that_leaves_is_found_in_every_encoding(encoded: Any, path: str, field: str) -> None:
    assert isinstance(judge({field: encoded(path)}), Deny)


SPELLINGS = [
    "127.0.0.1",
    "127.1",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "2130706433",
    "0x7f000001",
    "[::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:0:0:1]",
    "127.0.0.1.",
    "383.256.256.257",
    "\u2460\u2461\u2466.0.0.1",
    "127\u30020\u30020\u30021",
    "ada:pw@127.0.0.1",
    "example.com@127.0.0.1",
    "127.0.0.1:80\\@example.com",
    "127.0.0.1#@example.com",
    "%31%32%37.0.0.1",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "127.0.0.1.nip.io",
]


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("scheme", ["http://", "https://", "HTTP://", "//", "ws://", "ftp://"])
def test_a_loopback_address_is_found_in_every_spelling(spelling: str, scheme: str) -> None:
    assert isinstance(judge({"url": f"{scheme}{spelling}/"}), Deny)


class Counting:
    """Counts the bytes that are matched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.matched = 0
        match = matcher.Matcher.match

        def counted(this: matcher.Matcher, text: bytes, wanted: int) -> int:
            self.matched += len(text)
            return match(this, text, wanted)

        monkeypatch.setattr(matcher.Matcher, "match", counted)


def hostile(size: int) -> Iterator[dict[str, Any]]:
    """Arguments of about so many characters, built against the guard."""
    for piece in ("a/../", "; idx ", "' or x ", "{{ a ", "a\\b c''d ", "%25", "http://a.example/ ", "\uff0e"):
        yield {"name": piece * (size // len(piece))}
        yield {"command": piece * (size // len(piece))}
        yield {"path": [piece] * (size // len(piece))}


def test_what_is_matched_grows_with_the_message_and_no_faster(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    for size in (20_000, 200_000):
        for arguments in hostile(size):
            counting.matched = 0
            judge(arguments)
            assert counting.matched <= 12 * (3 * size + 50_000), (size, str(arguments)[:60])


def test_a_text_that_is_prose_is_matched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counting = Counting(monkeypatch)
    assert rules(judge({"content": "word " * 1000})) == []
    assert counting.matched <= 5002
