"""Disguise: what a text hides from the people who read it, and the text as a model may take it."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

import msgspec
import re2

from guardsvc.guards.native.matcher import encode
from guardsvc.guards.native.tool_poisoning.characters import (
    BIDI,
    BLANKS,
    COMPATIBLE,
    CONTROLS,
    HIDDEN,
    INVISIBLE,
    LEET,
    LEET_DIGITS,
    LEET_WORDS,
    LOOKALIKE_SCRIPTS,
    LOOKALIKES,
    TAG_LETTERS,
)
from guardsvc.model import Severity

__all__ = ["MAY_HIDE_IN_JSON", "SUSPICIOUS", "Trick", "reveal"]


class Trick(msgspec.Struct, frozen=True):
    """One way in which a text hides something.

    Attributes:
        rule: id of the rule.
        severity: of this occurrence.
        excerpt: the characters with those around them, or what they hid.
    """

    rule: str
    severity: Severity
    excerpt: str


_MIXED = rf"[A-Za-z][{LOOKALIKE_SCRIPTS}]|[{LOOKALIKE_SCRIPTS}][A-Za-z]"
_SPACED = r"(?:\b[A-Za-z][ ._*-]{1,3}){6,}[A-Za-z]\b"
_LEET = rf"[A-Za-z][{LEET_DIGITS}]+[A-Za-z]|\b[{LEET_DIGITS}]+[A-Za-z]{{2}}"
_BLANK_RUN = rf"[{BLANKS}]{{40,}}|(?:[{BLANKS}]*\r?\n){{12,}}[{BLANKS}]*"

SUSPICIOUS = rf"[{HIDDEN}{CONTROLS}{COMPATIBLE}{BLANKS[4:]}]|{_MIXED}"
"""Characters of which ``reveal`` takes some for a disguise."""
MAY_HIDE_IN_JSON = rf" {{40,}}|(?:(?:\\[ntr])+ *){{12,}}|\\(?:u00|[bf])|{_SPACED}|{_LEET}|{SUSPICIOUS}"
"""What ``reveal`` looks for, as it looks in JSON."""
# The following are for the few definitions that have such a thing. Each class of characters is read once, without
# going back.
_BLANK_RUNS = re2.compile(_BLANK_RUN)
_SPACED_LETTERS = re2.compile(_SPACED)

_BLACK_FLAG = "\U0001f3f4"
_FLAG = re.compile(_BLACK_FLAG + "[\U000e0061-\U000e007a]{1,7}+\U000e007f")
_TAGS = re.compile("[\U000e0000-\U000e007f]++")
_SELECTORS = re.compile(
    "(?<![⺀-鿿豈-﫿\U00020000-\U0003ffff])[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}+|(?<![⺀-鿿豈-﫿\U00020000-\U0003ffff])[\U000e0100-\U000e01ef]"
)
# What a sequence carries is left in the text: a model reads it all the same.
_ANSI = re.compile(r"(?:\x1b\[|\x9b)[0-?]*+ *+[@-~]?|\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f]|\x1b[()#%]?[0-~]?")
_OTHER_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]++")
_HAS_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_OVERRIDES = re.compile("[\u202d\u202e]")
_BIDI = re.compile(f"[{BIDI}]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
_JOINING_SCRIPTS = re.compile("[\u0600-\u06ff\u0900-\u0dff\u0e00-\u0eff\u1000-\u109f\u1780-\u18af\uac00-\ud7a3]")
_IN_WORD = re.compile(f"[A-Za-z0-9][{INVISIBLE}]++[A-Za-z0-9]")
_INVISIBLE_RUN = re.compile(f"[{INVISIBLE}]{{3,}}+")
_ANY_INVISIBLE = re.compile(f"[{INVISIBLE}]++")
_COMPATIBLE_WORD = re.compile(f"(?:[{COMPATIBLE}][ .]?){{4}}")
_WIDE_SCRIPTS = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")
_MIXED_WORD = re.compile(
    rf"(?<![A-Za-z{LOOKALIKE_SCRIPTS}])(?:[A-Za-z]++[{LOOKALIKE_SCRIPTS}]|[{LOOKALIKE_SCRIPTS}]++[A-Za-z])"
    rf"[A-Za-z{LOOKALIKE_SCRIPTS}]*+"
)
_IS_MIXED = re.compile(_MIXED)
_HAS_HIDDEN = re.compile(f"[{HIDDEN}]")
_HAS_TAGS = re.compile("[\U000e0000-\U000e007f]")
_HAS_SELECTORS = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_HAS_INVISIBLE = re.compile(f"[{INVISIBLE}]")
_HAS_COMPATIBLE = re.compile(f"[{COMPATIBLE}]")
_HAS_LOOKALIKES = re.compile(f"[{LOOKALIKE_SCRIPTS}]")
_LEET_WORD = re.compile(
    rf"(?<![\w{LEET_DIGITS}])([A-Za-z]*+[{LEET_DIGITS}][A-Za-z{LEET_DIGITS}]*+)(?![\w{LEET_DIGITS}])"
)
_LEET_LENGTH = range(3, 25)
_HAS_LEET = re.compile(_LEET)
_MAY_HAVE_LEET = re2.compile(f"[A-Za-z][{LEET_DIGITS}]+[A-Za-z]|[{LEET_DIGITS}][A-Za-z]{{2}}".encode())
"""Where this finds nothing, neither does ``_HAS_LEET``, at many times the cost."""
MAX_FOLDED = 16
"""Words that mix scripts and are folded one by one; after so many in a text every look-alike in it is."""
_GAPS = re.compile(r"([ ._*-]++)")
_SIGNS = frozenset(" ._*-")
_AROUND = 24
_CARRIER_RUN = 4
_SHORT_WORD = 3
_SHORTEST_SHAPE = 12
"""Characters of the shortest text with a run of blanks or spaced letters that count."""
_BLANKS_OF_RUN, _LINES_OF_RUN, _SIGNS_OF_SPACING = 40, 12, 6
"""How many blanks or lines such a run has at least, and how many signs stand between spaced letters."""
_FEW = 16
_BRIEF = 64
"""Characters up to which ``re`` is asked at once, which takes less time to begin than RE2."""
_SPELT_OUT = 16
"""Letters in a row that are spelt out to hide a text, whatever it says."""


def reveal(text: str) -> tuple[str, list[Trick]]:
    """The text without its disguise, and the disguises it had.

    Nothing is guessed: characters that show nothing are dropped, hidden letters are appended, look-alikes
    are folded only within a word that mixes scripts. The time is linear in the text.
    """
    tricks: list[Trick] = []
    characters = "" if text.isascii() else _characters(text)
    hides = _HAS_HIDDEN.search(characters) is not None
    if hides and _HAS_TAGS.search(characters):
        text = _tags(text, characters, tricks)
    if hides and _HAS_SELECTORS.search(characters):
        text = _selectors(text, tricks)
    if not text.isprintable():
        text = _controls(text, tricks)
    if hides and _BIDI.search(characters):
        text = _bidi(text, characters, tricks)
    if hides and _HAS_INVISIBLE.search(characters):
        text = _zero_width(text, characters, tricks)
    if characters:
        text = _letters(text, characters, tricks)
    return _shapes(_leet(text, tricks), tricks), tricks


def _characters(text: str) -> str:
    """Each character once: a long text has few, and one look at them saves many at the text."""
    return "".join(set(text))


def _tags(text: str, characters: str, tricks: list[Trick]) -> str:
    if _BLACK_FLAG in text:
        text = _FLAG.sub(_BLACK_FLAG, text)
    hidden = "\n".join(_TAGS.findall(text)).translate(TAG_LETTERS)
    hidden = " ".join(map(str.strip, hidden.split("\n"))).strip()
    if not hidden:
        return _without(text, _HAS_TAGS, characters)
    tricks.append(Trick("unicode_tags", Severity.CRITICAL, hidden))
    return f"{_without(text, _HAS_TAGS, characters)}\n{hidden}"


def _selectors(text: str, tricks: list[Trick]) -> str:
    runs = _SELECTORS.findall(text)
    if not runs:
        return text
    severity = Severity.HIGH if max(map(len, runs)) >= _CARRIER_RUN else Severity.MEDIUM
    hidden = bytes(map(_selector_byte, "".join(runs))).decode("utf-8", "ignore")
    shown = hidden if hidden.isprintable() else ""
    tricks.append(Trick("variation_selectors", severity, shown))
    return f"{_SELECTORS.sub('', text)}\n{shown}"


def _selector_byte(char: str) -> int:
    """The byte that a selector stands for where data is written in them: VS1 is 0, VS256 is 255."""
    point = ord(char)
    return point - 0xFE00 if point <= 0xFE0F else point - 0xE0100 + 16  # noqa: PLR2004


def _controls(text: str, tricks: list[Trick]) -> str:
    if _HAS_CONTROLS.search(text) is None:
        return text
    found = _ANSI.search(text)
    if found is not None:
        tricks.append(Trick("ansi_escape", Severity.HIGH, _around(text, found)))
        text = _ANSI.sub(" ", text)
    found = _OTHER_CONTROLS.search(text)
    if found is not None:
        tricks.append(Trick("control_characters", Severity.MEDIUM, _around(text, found)))
        text = _OTHER_CONTROLS.sub("", text)
    return text


def _bidi(text: str, characters: str, tricks: list[Trick]) -> str:
    """Marks and isolates belong to texts in right-to-left scripts; an override belongs to none."""
    found = _BIDI.search(text)
    if found is None:
        return text
    override = _OVERRIDES.search(text)
    if override is not None:
        tricks.append(Trick("bidi_control", Severity.HIGH, _around(text, override)))
    elif _RIGHT_TO_LEFT.search(text) is None:
        tricks.append(Trick("bidi_control", Severity.MEDIUM, _around(text, found)))
    return _without(text, _BIDI, characters)


def _zero_width(text: str, characters: str, tricks: list[Trick]) -> str:
    """Joiners belong to some scripts and to emoji; between Latin letters they split a word unseen."""
    if _ANY_INVISIBLE.search(text) is None:
        return text
    found = _IN_WORD.search(text)
    if found is None and _JOINING_SCRIPTS.search(text) is None:
        found = _INVISIBLE_RUN.search(text)
    if found is not None:
        hyphens = set(found[0][1:-1]) <= {"\xad"}
        severity = Severity.LOW if hyphens else Severity.HIGH
        tricks.append(Trick("zero_width", severity, _around(text, found)))
    return _without(text, _HAS_INVISIBLE, characters)


def _letters(text: str, characters: str, tricks: list[Trick]) -> str:
    found = _COMPATIBLE_WORD.search(text) if _HAS_COMPATIBLE.search(characters) else None
    if found is not None and _WIDE_SCRIPTS.search(text) is None:
        tricks.append(Trick("compatibility_forms", Severity.MEDIUM, _around(text, found)))
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", text)
        characters = _characters(text)
    if _HAS_LOOKALIKES.search(characters) is None or _IS_MIXED.search(text) is None:
        return text
    folded: list[str] = []
    parts: list[str] = []
    end = 0
    for word, _ in zip(_MIXED_WORD.finditer(text), range(MAX_FOLDED), strict=False):
        plain = word[0].translate(LOOKALIKES)
        parts += (text[end : word.start()], plain)
        end = word.end()
        # Units and formulas mix scripts too; what is meant to be read as a word folds to one script.
        if plain.isascii() and len(plain) > _SHORT_WORD:
            folded.append(word[0])
    rest = text[end:]
    text = "".join(parts) + (rest if len(parts) < 2 * MAX_FOLDED else _all_folded(rest, characters))
    if folded:
        tricks.append(Trick("homoglyphs", Severity.MEDIUM, " ".join(folded[:8])))
    return text


def _all_folded(text: str, characters: str) -> str:
    for char in characters:
        if ord(char) in LOOKALIKES:
            text = text.replace(char, LOOKALIKES[ord(char)])
    return text


def _without(text: str, one: re.Pattern[str], characters: str) -> str:
    """A text without some of its characters, each of which the pattern matches; few are dropped one by one."""
    found = one.findall(characters)
    if len(found) > _FEW:
        return one.sub("", text)
    for char in found:
        text = text.replace(char, "")
    return text


def _shapes(text: str, tricks: list[Trick]) -> str:
    if len(text) < _SHORTEST_SHAPE:
        return text
    if len(text) >= _BLANKS_OF_RUN or text.count("\n") >= _LINES_OF_RUN:
        end = len(text.rstrip())
        for run in _BLANK_RUNS.finditer(text[:end]):
            if run.start() > 0:
                tricks.append(Trick("blank_run", Severity.MEDIUM, text[run.end() : run.end() + 2 * _AROUND]))
                break
    if sum(map(text.count, _SIGNS)) < _SIGNS_OF_SPACING:
        return text
    runs = _SPACED_LETTERS.findall(text)
    if not runs:
        return text
    spaced = " ".join(map(_joined, runs))
    severity = Severity.HIGH if max(map(len, runs)) >= 2 * _SPELT_OUT else Severity.MEDIUM
    tricks.append(Trick("letter_spacing", severity, spaced))
    return f"{text}\n{spaced}"


def _joined(run: str) -> str:
    """Letters put together. Where some stand wider apart than the others, a word ends."""
    signs = _SIGNS.intersection(run)
    sign = next(iter(signs))
    if len(signs) == 1 and sign * 2 not in run:
        return run.replace(sign, "")
    parts = _GAPS.split(run)
    counts = Counter(parts[1::2])
    usual = counts.most_common(1)[0][0]
    between = {gap: "" if gap == usual else " " for gap in counts}
    parts[1::2] = map(between.__getitem__, parts[1::2])
    return "".join(parts)


def _leet(text: str, tricks: list[Trick]) -> str:
    """Words spelt with digits, if they are such as attacks need."""
    if len(text) > _BRIEF and _MAY_HAVE_LEET.search(encode(text)) is None:
        return text
    if _HAS_LEET.search(text) is None:
        return text
    parts = _LEET_WORD.split(text)
    words = parts[1::2]
    meant = _meant(words)
    if not meant:
        return text
    spelt = [word for word in words if word in meant]
    severity = Severity.MEDIUM if len(spelt) > 1 else Severity.LOW
    tricks.append(Trick("leetspeak", severity, " ".join(spelt[:8])))
    parts[1::2] = [meant.get(word, word) for word in words]
    return "".join(parts)


def _meant(words: list[str]) -> dict[str, str]:
    """What words spelt with digits stand for, those of them that stand for one of the known words."""
    known = "\n".join(word for word in dict.fromkeys(words) if len(word) in _LEET_LENGTH)
    meant: dict[str, str] = {}
    for letters in LEET:
        plain = known.translate(letters)
        if LEET_WORDS.isdisjoint(plain.lower().split("\n")):
            continue
        for word, read in zip(known.split("\n"), plain.split("\n"), strict=True):
            if read.lower() in LEET_WORDS:
                meant.setdefault(word, read)
    return meant


def _around(text: str, found: re.Match[str]) -> str:
    return text[max(0, found.start() - _AROUND) : found.end() + _AROUND]
