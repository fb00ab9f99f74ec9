"""Clauses: orders told from the classes of their words, whatever the words are.

A text becomes a row of codes, one for each word, and a clause is an RE2 pattern over codes. A word's code says to which
classes of the lexicon it belongs, and of a verb how it is meant: as an order, denied, told of something else that does
it, or none of these. Reading is linear: each word is looked up once.

A clause is written as names of classes in a row:

    +put|+transmit ... talk    an order to put or to send, up to six words, a word for a conversation
    +claim .. user?            up to three words; "?" makes the last name optional
    -tell                      a verb that is denied; "=tell" is one in the third person, "tell" any other
    ^                          the beginning of a sentence or of a part of one

No clause reaches over the end of a sentence.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING, TypeAlias

import msgspec
import re2

from guardsvc.guards.native.tool_poisoning.lexicon import END, PAUSE, WIDTH, Entry, Lexicon, Role
from guardsvc.guards.native.tool_poisoning.phrase import frequency, split_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["Clauses", "Find", "Heard", "Match"]

_GAPS = {"..": 3, "...": 6, "....": 14}
_START, _PAUSE = "^", ","
_LAST_PAUSE = PAUSE[0]
_SCOPE = 4
"""Words after a negation, or after what obliges, that a verb may stand in."""

_OBLIGING = frozenset((b"has", b"have", b"is", b"are", b"need", b"needs", b"ought"))
_TOKEN = re.compile(rb"\S+")
_OPEN = b"([{<\"'`*_~"
_CLOSE = b")]}>\"'`*_~.,:;!?"
_ENDS = {b".": END, b"!": END, b"?": END, b";": END, b",": PAUSE, b":": PAUSE}
_QUOTES = (b"`", b"'", b'"')
_SAME_LENGTH = (
    (b"\xe2\x80\x98", b"\x01\x01'"),
    (b"\xe2\x80\x99", b"\x01\x01'"),
    (b"\xe2\x80\x9c", b'\x01\x01"'),
    (b"\xe2\x80\x9d", b'\x01\x01"'),
    (b"\xe2\x80\x93", b" , "),
    (b"\xe2\x80\x94", b" , "),
    (b"\xe2\x80\xa2", b" ; "),
    (b"\xe2\x80\xa6", b" . "),
)
_PARAGRAPHS = ((b"\n\n", b" ;"), (b"\n-", b" ;"), (b"\n*", b" ;"))
_ADDRESS = re2.compile(
    rb"^(?:https?|ftp|wss?)://|[.](?:com|net|org|io|dev|cloud|info|example|xyz|site|link|online|app|sh|pw|tk|ru|click|tech)(?:$|[/:])|^acct_"
)
_PATH = re2.compile(
    rb"(?:^|[/\\])[.](?:env|ssh|aws|npmrc|pypirc|netrc|pgpass|kube|gnupg|cursor|claude|zshrc|bashrc|bash|htpasswd|pem|p12|kdbx)(?:$|[^a-z0-9])"
    rb"|^/etc/|^~/(?:documents|downloads|desktop)|^id_(?:rsa|ed25519|ecdsa)|[.](?:pem|p12|kdbx|pfx)$|^(?:mcp|credentials)[.]json$"
)
_RISKY = re2.compile(
    rb"(?:^|[_.:])(?:secrets?|passwords?|credentials?|pay|payments?|transfer|wire|refund|bank|exec|shell|terminal|http_post"
    rb"|purchase|checkout)(?:$|[_.:])"
)
_ACCOUNT = re2.compile(rb"^[+]\d|^[a-z][a-z]\d\d[a-z0-9]{8}|^0x[0-9a-f]{4}|^bc1[a-z0-9]{6}")
_JOINED = re2.compile(rb"[a-z0-9][_.:][a-z0-9]|^--?[a-z]")


Find: TypeAlias = "Callable[..., Match | None]"


class Match(msgspec.Struct, frozen=True):
    """Where a clause was found."""

    offset: int

    def end(self) -> int:
        """Bytes from the beginning of the text to the end of the clause."""
        return self.offset


class Heard:
    """The codes of a text, and which of its words each belongs to."""

    __slots__ = ("_data", "_ends", "_words", "codes")

    def __init__(self, data: bytes, codes: bytes, words: list[int]) -> None:
        self.codes = codes
        self._data = data
        self._words = words
        self._ends: list[int] = []

    def at(self, offset: int) -> int:
        """Where the code of the first word is that ends behind an offset of the text."""
        return WIDTH * bisect_left(self._words, bisect_left(self._places(), offset + 1))

    def end(self, code: int) -> int:
        """The offset in the text at which the word ends whose code ends there."""
        return self._places()[self._words[code // WIDTH - 1]]

    def _places(self) -> list[int]:
        if not self._ends:
            self._ends = [match.end() for match in _TOKEN.finditer(_same_length(self._data))]
        return self._ends


class Clauses:
    """Reads texts as codes and looks for clauses in them.

    Args:
        lexicon: the classes of words.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self._lexicon = lexicon
        self._entries = lexicon.entries
        self._shapes = {shape: Entry(code, code, code, Role.NONE) for shape, code in lexicon.shapes.items()}
        self._unknown = Entry(lexicon.unknown, lexicon.unknown, lexicon.unknown, Role.NONE)

    def finder(self, clauses: Iterable[str]) -> Find:
        """What finds the first of some clauses in a text that was read, from an offset in bytes on.

        Raises:
            ValueError: one is no clause.
        """
        options = re2.Options()
        options.never_capture = True
        options.encoding = re2.Options.Encoding.LATIN1
        find = re2.compile(b"|".join(map(self._pattern, clauses)), options).search

        def search(heard: Heard, start: int = 0) -> Match | None:
            found = find(heard.codes, heard.at(start) if start else 0)
            return None if found is None else Match(heard.end(found.end()))

        return search

    def needs(self, clause: str) -> frozenset[frozenset[str]]:
        """Sets of words, of each of which every text with a clause has at least one."""
        needs = []
        for name in _required(clause):
            words = [self._lexicon.words(part) for part in name.split("|")]
            if None not in words:
                members = {word for part in words if part is not None for word in part}
                needs.append(frozenset(min(split_words(word), key=_rarity) for word in members))
        if not needs:
            raise ValueError(f"{clause}: a clause needs a class of words")
        return frozenset(needs)

    def read(self, data: bytes, *, opening: bool = True) -> Heard:
        """The codes of a text, UTF-8.

        Args:
            data: the text.
            opening: whether its first sentence says what it is about, even if in the form of an order.
        """
        return Heard(data, *self._codes(_same_length(data).lower().split(), opening))

    def _codes(self, tokens: list[bytes], opening: bool) -> tuple[bytes, list[int]]:  # noqa: C901, PLR0912, PLR0915  calls would cost more
        entries, unknown = self._entries, self._unknown
        codes = bytearray()
        words: list[int] = []
        fresh, purpose = True, opening
        denied = obliged = mood = 0
        quoted = b""
        for index, token in enumerate(tokens):
            entry = entries.get(token)
            pause = core = b""
            if entry is None and token.isalpha():
                entry = unknown
            elif entry is None and token[-1:] in _ENDS and token[:-1].isalpha():
                core, pause = token[:-1], _ENDS[token[-1:]]
                entry = entries.get(core, unknown)
            elif entry is None:
                core, before, pause = _bare(token)
                if quoted:
                    if quoted in token[1:]:
                        quoted = b""
                elif token[:1] in _QUOTES and token[:1] not in token[1:]:
                    quoted = token[:1]
                if before and codes and codes[-WIDTH] > _LAST_PAUSE:
                    codes += PAUSE
                    words.append(index)
                    fresh, denied, obliged, mood, purpose = True, 0, 0, 0, False
                entry = self._entry(core, token)
            role = entry.role
            code = entry.plain
            if role >= Role.VERB:
                if denied:
                    code, mood = entry.denied, -1
                elif not quoted and (obliged or (not purpose and role == Role.VERB and (fresh or mood > 0))):
                    code, mood = entry.ordered, 1
                else:
                    mood = 0
                fresh = False
            elif role == Role.NEGATES:
                denied, fresh = _SCOPE, True
            elif role == Role.OBLIGES:
                obliged = _SCOPE
                fresh = False
            elif role == Role.TO:
                if index and tokens[index - 1] in _OBLIGING:
                    obliged = _SCOPE
                fresh = False
            elif role == Role.NONE:
                fresh = False
            codes += code
            words.append(index)
            if pause:
                codes += pause
                words.append(index)
                fresh, denied, obliged, mood = True, 0, 0, 0
                if pause == END:
                    quoted = quoted if quoted == b'"' else b""
                    purpose = not core and token == b"\0"
                elif token.endswith(b":") and index:
                    purpose = False
            else:
                denied -= denied > 0
                obliged -= obliged > 0
                if role == Role.JOINS:
                    fresh = fresh or mood > 0
        return bytes(codes), words

    def _entry(self, core: bytes, token: bytes) -> Entry:  # noqa: C901  one look after the other
        if not core:
            return self._unknown
        if _RISKY.search(core) and not core.isalpha():
            return self._shapes["risky"]
        if token[:1] in _QUOTES and token.rstrip(b".,:;!?)")[-1:] in _QUOTES:
            return self._shapes["cited"]
        entry = self._entries.get(core)
        if entry is not None:
            return entry
        if core.isalpha():
            return self._unknown
        if core.isdigit():
            return self._shapes["number"]
        if _ADDRESS.search(core):
            return self._shapes["address"]
        if _PATH.search(core):
            return self._shapes["path"]
        if _ACCOUNT.search(core):
            return self._shapes["account"]
        if _JOINED.search(core):
            return self._shapes["identifier"]
        return self._unknown

    def _pattern(self, clause: str) -> bytes:
        parts = []
        for name in clause.split():
            if name in _GAPS:
                parts.append(b"(?:[^\\x01][\\x10-\\x7f][\\x80-\\xff]){0,%d}?" % _GAPS[name])
            elif name == _PAUSE:
                parts.append(b"\\x02\\x10\\x80")
            elif name == _START:
                parts.append(b"(?:^|[\\x01\\x02]\\x10\\x80)")
            else:
                parts.append(self._lexicon.pattern(name.removesuffix("?")) + b"?" * name.endswith("?"))
        return b"(?:%s)" % b"".join(parts)


def _required(clause: str) -> list[str]:
    """The parts of a clause that must be there and are words."""
    return [part for part in clause.split() if part not in _GAPS and part not in (_START, _PAUSE) and part[-1] != "?"]


def _bare(token: bytes) -> tuple[bytes, bool, bytes]:
    """A word without the signs around it, whether a part begins before it, and what ends after it."""
    if b"\x01" in token:
        token = token.replace(b"\x01", b"")
    if token == b"\0":
        return b"", False, END
    core = token.lstrip(_OPEN)
    before = b"(" in token[: len(token) - len(core)]
    rest = core.rstrip(_CLOSE)
    tail = core[len(rest) :]
    if not tail:
        return rest, before, b""
    if b"." in tail or b"!" in tail or b"?" in tail or b";" in tail:
        return rest, before, END
    return rest, before, PAUSE if b"," in tail or b":" in tail or b")" in tail else b""


def _same_length(data: bytes) -> bytes:
    """A text with quotation marks and dashes of ASCII, and ends of paragraphs as those of sentences."""
    if b"\xe2" in data:
        for sign, plain in _SAME_LENGTH:
            data = data.replace(sign, plain)
    if b"\n" in data:
        for sign, plain in _PARAGRAPHS:
            data = data.replace(sign, plain)
    return data


def _rarity(word: str) -> tuple[float, int]:
    return frequency([word]), -len(word)
