"""Forms: a text as a model may read it, without disguise, escapes, markup and folded lines."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import product
from string import ascii_letters, ascii_lowercase
from typing import TYPE_CHECKING

import msgspec
import re2

from guardsvc.guards.native.matcher import encode
from guardsvc.guards.native.tool_poisoning.characters import LEET, LEET_DIGITS, LEET_WORDS
from guardsvc.guards.native.tool_poisoning.disguise import SUSPICIOUS, Trick, reveal
from guardsvc.guards.native.tool_poisoning.encoding import decoded
from guardsvc.model import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Forms", "forms_of", "is_document"]

MIN_HEADINGS = 2

_HEADINGS = re2.compile(r"(?m)^(?:#{1,6}[ \t]+\S|```|~~~|={4,}[ \t]*$)")
_STRUCTURED = re.compile(r"\s*(?:[{\[<]|- ?[\w.-]{1,40}:\s|---\s)")
_FENCE = ("```", "~~~")
_INLINE_CODE = re.compile(r"`[^`\n]*+`")
_QUOTED = re.compile(r"\"[^\"\n]*+\"|“[^”\n]*+”|«[^»\n]*+»|(?m:^>[^\n]*+)")

_ESCAPED = re.compile(r"\\(?:u00([0-7][0-9a-fA-F])|\n[ \t]*+(?:\\ )?+|([nrt\"'\\/]))")
_PLAIN = {"n": "\n", "r": "\n", "t": " "}
_FOLDED = re.compile(r"\n(?:[ \t]*+\n)?[ \t]++(?![-*#|]|[\w.-]{1,40}+:(?:\s|$))")
_TAG = re.compile(r"<!--|-->|<[/!?A-Za-z][^<>]*+>")
_HEX = re.compile(r"\b0x(?=[0-9A-Fa-f]{16})")

_COLOUR = re.compile(r"\x1b\[(?:[0-9;:]*+m|0?K)")
_CONCEALS = re2.compile(r"\x1b\[(?:\d{1,3};){0,4}0?8(?:;\d{1,3}){0,4}m|\x1b\]5[12];|\x1bP")
_SPACED = re2.compile(r"(?:\b[A-Za-z][ ._*-]{1,3}){6,}[A-Za-z]\b")
_SUSPICIOUS = re2.compile(SUSPICIOUS)
_LEET_WORDS = bytes(byte if byte in (ascii_letters + LEET_DIGITS).encode() else ord(" ") for byte in range(256)).lower()
_HIDES = re2.compile(rf"{SUSPICIOUS}|[A-Za-z][{LEET_DIGITS}]|[{LEET_DIGITS}][A-Za-z]")
_SHORTEST = 3
"""Letters of a word that is taken to be spelt with digits."""
_MAX_LEET = 16
"""Words spelt with digits that are looked for one by one; where there are more, every part is looked at for them."""
_PART = 2_048
"""Characters that are looked at together for a disguise."""
_NEAR = 1_024
"""Characters on both sides of a tag that are read without it."""
_CUT = "\0 "
"""Before a stretch of a text, so that it does not begin as a text does."""
_GAP = re.compile(r"[ ._*-]++")
_SPELT_OUT = 16
"""Letters in a row that are spelt out to hide a text, whatever it says."""

_TYPED = "ignore disregard override instruction instructions previous guidelines restrictions directives password"
_NOT_TYPED = (
    "ignored",
    "ignores",
    "ignorer",
    "overrides",
    "pervious",
    "passwords",
    "restriction",
    "guideline",
    "directive",
)
_LETTERS = ascii_letters.encode()
_WORDS = bytes(byte if byte in _LETTERS else ord(" ") for byte in range(256)).lower()


@cache
def _misspellings() -> dict[bytes, bytes]:
    """Every word that is one letter away from a word that overrides need; made when the first text is read."""
    found: dict[bytes, bytes] = {}
    for word in _TYPED.split():
        cuts = [(word[:at], word[at:]) for at in range(1, len(word) + 1)]
        spelt = {head + letter + tail for (head, tail), letter in product(cuts, ascii_lowercase)}
        spelt |= {head + letter + tail[1:] for (head, tail), letter in product(cuts, ascii_lowercase) if tail}
        spelt |= {head + tail[1:] for head, tail in cuts if tail}
        spelt |= {head + tail[1] + tail[0] + tail[2:] for head, tail in cuts if len(tail) > 1}
        found |= {each.encode(): word.encode() for each in spelt}
    for word in (*_TYPED.split(), *_NOT_TYPED):
        found.pop(word.encode(), None)
    return found


class Forms(msgspec.Struct, frozen=True):
    """How a text may be read.

    Attributes:
        plain: the text, and where it has markup, the text without it.
        decoded: what stands in it in another encoding.
        tricks: what it hides and how.
    """

    plain: list[str]
    decoded: list[str]
    tricks: list[Trick]


def is_document(text: str) -> bool:
    """Whether a text is written for people, with headings or code fences, and no data."""
    if "#" not in text and "```" not in text and "~~~" not in text and "====" not in text:
        return False
    if _STRUCTURED.match(text) is not None:
        return False
    return sum(1 for _ in zip(_HEADINGS.finditer(text), range(MIN_HEADINGS), strict=False)) >= MIN_HEADINGS


def forms_of(text: str, *, document: bool) -> Forms:
    """The forms of a text. The time is linear in it.

    Args:
        text: as it is shown.
        document: whether code and quotations are left out.
    """
    tricks: list[Trick] = []
    if "\x1b" in text:
        text = _without_colours(text, tricks)
    text = _revealed(_spaced(text, tricks), tricks)
    if document:
        text = _prose(text)
    if "\\" in text:
        text = _ESCAPED.sub(_unescape, text)
    hidden, whole = decoded(_HEX.sub(" ", text) if "0x" in text else text)
    if not whole:
        tricks.append(Trick("unread_text", Severity.LOW, ""))
    text = _spelt(text, tricks)
    plain = [text if document or "\n" not in text else _FOLDED.sub(" ", text)]
    if "<" in text:
        plain += _around_tags(plain[0])
    return Forms(plain, hidden, tricks)


def _without_colours(text: str, tricks: list[Trick]) -> str:
    """A text without what terminals take for colours; other sequences are left to ``reveal``."""
    if _CONCEALS.search(text) is not None:
        tricks.append(Trick("ansi_escape", Severity.HIGH, ""))
    text = _COLOUR.sub("", text)
    if "\x1b" in text and not tricks:
        tricks.append(Trick("ansi_escape", Severity.LOW, ""))
    return text


def _revealed(text: str, tricks: list[Trick]) -> str:
    """The text without its disguises, which are undone where they are and not in all of it."""
    text = text.replace("\xa0", " ")
    if _HIDES.search(text) is None:
        return text
    spelt = _spelt_with_digits(text)
    shown: list[str] = []
    position = 0
    while position < len(text):
        end = position + _PART
        end = (
            len(text) if end >= len(text) else max(text.rfind(" ", position, end), text.rfind("\n", position, end)) + 1
        )
        part = text[position : end if end > position else position + _PART]
        position += len(part)
        if _hides(part, spelt):
            part, found = reveal(part)
            tricks += [trick for trick in found if trick.rule != "ansi_escape"]
        shown.append(part)
    return "".join(shown)


def _hides(part: str, spelt: Sequence[str]) -> bool:
    """Whether a part of a text may have a disguise or one of these words."""
    if spelt:
        lowered = part.lower()
        if len(spelt) > _MAX_LEET or any(word in lowered for word in spelt):
            return True
    return not (part.isascii() and part.isprintable()) and _SUSPICIOUS.search(part) is not None


def _spelt_with_digits(text: str) -> list[str]:
    """The words with digits for letters that attacks need."""
    words = {
        word
        for word in set(encode(text).translate(_LEET_WORDS).split())
        if len(word) >= _SHORTEST and not word.isalpha()
    }
    folded = (word for word in map(bytes.decode, words) if not word.isdigit())
    return [word for word in folded if any(word.translate(letters) in LEET_WORDS for letters in LEET)]


def _spaced(text: str, tricks: list[Trick]) -> str:
    """The text with letters that stand apart put together where they stand."""
    if _SPACED.search(text) is None:
        return text
    longest = 0

    def join(run: re2._Match) -> str:
        nonlocal longest
        letters = run[0].lower()
        if letters != "".join(sorted(letters)):
            longest = max(longest, len(letters) // 2)
        gaps = Counter(_GAP.findall(run[0]))
        usual = gaps.most_common(1)[0][0]
        return _GAP.sub(lambda gap: "" if gap[0] == usual else " ", run[0])

    joined: str = _SPACED.sub(join, text)
    severity = Severity.MEDIUM if longest >= _SPELT_OUT else Severity.LOW
    tricks.append(Trick("letter_spacing", severity, ""))
    return joined


def _spelt(text: str, tricks: list[Trick]) -> str:
    """The text with the words of an override spelt right."""
    words = text.encode("utf-8", "replace").translate(_WORDS).split()
    misspelt = _misspellings()
    wrong = misspelt.keys() & words
    if not wrong:
        return text
    pattern = re.compile(rf"(?i)\b(?:{'|'.join(word.decode() for word in sorted(wrong))})\b")
    tricks.append(Trick("misspelt_order", Severity.LOW, " ".join(word.decode() for word in sorted(wrong)[:8])))
    return pattern.sub(lambda word: misspelt.get(word[0].lower().encode(), b"").decode() or word[0], text)


def _unescape(escape: re.Match[str]) -> str:
    if escape[1]:
        return chr(int(escape[1], 16))
    return _PLAIN.get(escape[2], escape[2]) if escape[2] else " "


def _around_tags(text: str) -> list[str]:
    """The stretches of a text that have tags, without them."""
    found: list[str] = []
    start = text.find("<")
    while start >= 0:
        begin = max(0, start - _NEAR)
        last, end = start, start + _NEAR
        while (following := text.rfind("<", last + 1, end)) > 0:
            last, end = following, following + _NEAR
        end = max(end, text.find(">", last, end + _NEAR) + 1)
        stretch, tags = _TAG.subn(" ", text[begin:end])
        if tags:
            found.append(f"{_CUT}{stretch}" if begin else stretch)
        start = text.find("<", end)
    return found


def _prose(text: str) -> str:
    """A document without code blocks, inline code and quotations."""
    kept: list[str] = []
    fence = ""
    for line in text.split("\n"):
        start = line.lstrip()[:3]
        if start in _FENCE and (not fence or start == fence):
            fence = "" if fence else start
        elif not fence:
            kept.append(line)
    return _QUOTED.sub(" ", _INLINE_CODE.sub(" ", "\n".join(kept)))
