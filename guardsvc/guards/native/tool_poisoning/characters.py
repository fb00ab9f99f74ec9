r"""Characters that hide text or stand for others, as ranges for character classes (Unicode 16).

``HIDDEN`` to ``LOOKALIKE_SCRIPTS`` are written as the characters themselves, so that RE2 and ``re`` read
them alike.
"""

from __future__ import annotations

__all__ = [
    "BIDI",
    "BLANKS",
    "COMPATIBLE",
    "CONTROLS",
    "HIDDEN",
    "INVISIBLE",
    "LEET",
    "LEET_DIGITS",
    "LEET_WORDS",
    "LOOKALIKES",
    "LOOKALIKE_SCRIPTS",
    "TAG_LETTERS",
]


def _ranges(text: str) -> str:
    """Character class of hexadecimal points and ranges of them."""
    return "".join("-".join(chr(int(point, 16)) for point in part.split("-")) for part in text.split())


BIDI = _ranges("61C 200E 200F 202A-202E 2066-2069")
INVISIBLE = _ranges(
    "AD 34F 115F 1160 17B4 17B5 180B-180F 200B-200D 2060-2065 206A-206F 2800 3164 FEFF FFA0 FFF0-FFFB 1BCA0-1BCA3 "
    "1D173-1D17A"
)
"""Characters without width, and those that look like blanks but are letters."""

SELECTORS = _ranges("FE00-FE0F E0100-E01EF")
HIDDEN = BIDI + INVISIBLE + SELECTORS + _ranges("E0000-E007F")
CONTROLS = _ranges("0-8 B C E-1F 7F 80-9F")
BLANKS = " \t\v\f" + _ranges("A0 2000-200A 202F 205F 3000")
COMPATIBLE = _ranges("24B6-24E9 249C-24B5 1D400-1D7FF 1F130-1F189 FF21-FF3A FF41-FF5A 1D2C-1D6A 1D78 1D9B-1DBF")
"""Letters that NFKC makes Latin or Greek ones of: circled, mathematical, full-width, raised."""

LOOKALIKE_SCRIPTS = _ranges("370-3FF 400-52F 530-58F 13A0-13FF 1D00-1D2B 251 261 26A 280 299 29C 29F 262 274 A730 A731")
"""Greek, Cyrillic, Armenian, Cherokee, and the Latin letters of phonetic alphabets."""

_PAIRS = (
    "430a 435e 43Eo 440p 441c 443y 445x 456i 458j 455s 501d 51Bq 51Dw 4BBh 4CFl 43Ak 43Cm 442t 432b "
    "43Fn 433r 461w 4AFy 4BBh "
    "410A 412B 415E 41AK 41CM 41DH 41EO 420P 421C 422T 425X 423Y 405S 406I 408J 50CG 4AEY "
    "3B1a 3B2b 3B5e 3B9i 3BAk 3BDv 3BFo 3C1p 3C4t 3C5u 3C7x 3C9w 3B3y 3B7n 3C3o 3F2c 3F3j "
    "391A 392B 395E 396Z 397H 399I 39AK 39CM 39DN 39FO 3A1P 3A4T 3A5Y 3A7X "
    "585o 578n 57Du 581g 570h 561w 566q 563d "
    "251a 261g 26Ai 280r 299b 29Ch 29Fl 262g 274n A730f A731s "
    "1D00a 1D04c 1D05d 1D07e 1D0Aj 1D0Bk 1D0Dm 1D0Fo 1D18p 1D1Bt 1D1Cu 1D20v 1D21w 1D22z"
)
LOOKALIKES = {int(pair[:-1], 16): pair[-1] for pair in _PAIRS.split()}
"""The Latin letter that another letter looks like (a part of Unicode's confusables)."""

LEET_DIGITS = "01345@$"
LEET = tuple(str.maketrans(LEET_DIGITS, letters) for letters in ("oieasas", "oleasas"))
"""What digits and signs stand for within words: two readings, since 1 is an I or an L."""
_LEET_WORDS = """
    above access account address admin agent all always api any assistant attach before bypass call chat command
    confidential contents context conversation copy credential credentials curl data delete developer directive
    disclose disregard do drop email execute exfiltrate file files folder follow forget forward guidelines hidden
    hide history ignore important include inform instruction instructions key keys leak login mention message
    messages must never not notify obey override pass password passwords passphrase policy post previous prior
    private prompt prompts read restrictions retrieve reveal rules run safety secret secretly secrets send session
    shell silently ssh steal system tell the token tokens tool transfer upload user users wallet without
"""
LEET_WORDS = frozenset(_LEET_WORDS.split())
"""Words that nobody spells with digits but to get past a filter."""

_TAGS = 0xE0000
TAG_LETTERS = {_TAGS + point: chr(point) if chr(point).isprintable() else None for point in range(0x80)}
"""The ASCII character that a tag character stands for; None where it stands for none."""
