"""Personal data: what identifies a person or an account by its form, each kind with its own check."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from ipaddress import ip_address

import msgspec
import re2

from guardsvc.guards.native.data_leak.rules import Personal
from guardsvc.guards.native.secrets.scanner import Hit

__all__ = ["PersonalData", "is_card", "is_iban", "is_nino", "is_ssn"]

MAX_MEMORY = 64 << 20
MIN_DIGITS, MAX_DIGITS = 9, 15
"""Digits of a telephone number with its country (ITU-T E.164)."""
_COLONS = 7
"""In an address of version 6 that is written in full; a time of day has two."""
MIN_LENGTH = 6
"""Characters of the shortest that is looked for."""

_IBANS = """
AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29
ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20
LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25
QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20
"""
_IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _IBANS.split()}
"""Characters of an account number by country (ISO 13616)."""
_CARDS = re.compile(
    rb"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    rb"|3(?:0[0-5]|[689]\d)\d{11}|6(?:011|4[4-9]\d|5\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)
_NO_DIGITS = bytes(byte for byte in range(256) if not 48 <= byte <= 57)  # noqa: PLR2004  0 to 9
_NO_SSN = frozenset({b"078051120", b"219099999", b"123456789", b"111111111", b"999999999"})
_NO_NINO = frozenset({b"BG", b"GB", b"NK", b"KN", b"TN", b"NT", b"ZZ"})
_SSN_NAME = re.compile(r"(?i)(?:^|[_\W])(?:ssn|social_?security(?:_?(?:number|no|num))?)$")
_PASSPORT_NAME = re.compile(r"(?i)(?:^|[_\W])passport(?:_?(?:number|no|num|id))?$")
_REMOTE = re.compile(rb":[^\s:@]*/[^\s:@]|/[^\s:@]")
"""What follows the host of ``git@host:path`` and ``ssh://git@host/path``."""
_PLACEHOLDERS = frozenset(
    b"user username your-username name your-name your.name yourname you me email your-email your.email your_email "
    b"youremail someone somebody nobody".split()
)
_DOCUMENTATION = re.compile(rb"(?:[a-z0-9-]+\.){0,8}example\.(?:com|net|org)")
"""Domains that nobody has mail at (RFC 2606)."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class _Kind(msgspec.Struct, frozen=True):
    pattern: str
    check: Callable[[bytes], bool]


def is_card(text: bytes) -> bool:
    """Whether digits are the number of a payment card: length and beginning of a network, and Luhn's check digit."""
    digits = text.translate(None, _NO_DIGITS)
    if _CARDS.fullmatch(digits) is None:
        return False
    total = sum(byte - 48 for byte in digits[-1::-2])
    total += sum((byte - 48) * 2 - 9 * (byte > 52) for byte in digits[-2::-2])  # noqa: PLR2004  5 to 9 carry
    return total % 10 == 0


def is_iban(text: bytes) -> bool:
    """Whether it is an account number: its country's length, and 1 as remainder by 97 (ISO 7064)."""
    bare = text.replace(b" ", b"").decode()
    if _IBAN_LENGTHS.get(bare[:2]) != len(bare):
        return False
    return int("".join(str(int(char, 36)) for char in bare[4:] + bare[:4])) % 97 == 1


def is_ssn(text: bytes) -> bool:
    """Whether it is a number that the Social Security Administration may have given."""
    digits = text.translate(None, _NO_DIGITS)
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    given = area not in (b"000", b"666") and area < b"900" and group != b"00" and serial != b"0000"
    return given and len(digits) == MIN_DIGITS and digits not in _NO_SSN


def is_nino(text: bytes) -> bool:
    """Whether it is a British national insurance number with a prefix that is given."""
    return text[:2] not in _NO_NINO


def _is_address(text: bytes) -> bool:
    colons = text.count(b":")
    if colons and colons != _COLONS and b"::" not in text:
        return False
    try:
        return ip_address(text.decode()).is_global
    except ValueError:
        return False


def _is_phone(text: bytes) -> bool:
    digits = text.translate(None, _NO_DIGITS)
    return MIN_DIGITS <= len(digits) <= MAX_DIGITS and len(set(digits)) > 2  # noqa: PLR2004  all alike or nearly so


def _is_email(text: bytes) -> bool:
    name, _, domain = text.rpartition(b"@")
    return b".." not in text and not name.startswith(b".") and not domain.rpartition(b".")[2].isdigit()


def _is_somebody(text: bytes, end: int, value: bytes) -> bool:
    """Whether an address that stands before ``end`` is anybody's: no Git remote, no placeholder of documentation."""
    name, _, domain = value.lower().rpartition(b"@")
    if name == b"git" and _REMOTE.match(text, end) is not None:
        return False
    return name not in _PLACEHOLDERS or _DOCUMENTATION.fullmatch(domain) is None


def _always(text: bytes) -> bool:
    return any(48 <= byte <= 57 for byte in text)  # noqa: PLR2004  0 to 9


_KINDS: dict[Personal, _Kind] = {
    Personal.EMAIL: _Kind(
        r"[A-Za-z0-9][A-Za-z0-9._%+'-]*@[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9-]*[A-Za-z0-9])+",
        _is_email,
    ),
    Personal.PHONE: _Kind(
        r"\+[0-9][0-9 ().-]{7,20}[0-9]\b|\(\d{3}\) ?\d{3}[ .-]\d{4}\b|\b[2-9]\d{2}[.-][2-9]\d{2}[.-]\d{4}\b", _is_phone
    ),
    Personal.CARD: _Kind(r"\b[2-6](?:[ -]?[0-9]){12,18}\b", is_card),
    Personal.IBAN: _Kind(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b", is_iban),
    Personal.US_SSN: _Kind(r"\b[0-9]{3}[- ][0-9]{2}[- ][0-9]{4}\b", is_ssn),
    Personal.UK_NINO: _Kind(r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]\b", is_nino),
    Personal.IP_ADDRESS: _Kind(
        r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b|\b[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}\b", _is_address
    ),
    Personal.PASSPORT: _Kind(
        r"P[A-Z<][A-Z]{3}[A-Z<]{39}\s?[A-Z0-9<]{44}"
        r"|(?i:\bpassport(?: ?(?:no\.?|number|id|#))? ?[:=#]? ?[A-Z0-9]{6,9}\b)",
        _always,
    ),
}


def _size(text: bytes, check: Callable[[bytes], bool]) -> int:
    """How much of a match passes the check: all, or what is left without groups at its end; 0 for nothing."""
    end = len(text)
    while end >= MIN_LENGTH:
        if check(text[:end]):
            return end
        end = max(text.rfind(b" ", 0, end), text.rfind(b"-", 0, end))
    return 0


class PersonalData:
    """Looks for some kinds of personal data.

    Args:
        kinds: to look for.
    """

    def __init__(self, kinds: Collection[Personal]) -> None:
        options = re2.Options()
        options.max_mem = MAX_MEMORY
        options.encoding = re2.Options.Encoding.LATIN1
        self._patterns = [
            (kind, re2.compile(_KINDS[kind].pattern.encode(), options)) for kind in Personal if kind in kinds
        ]
        self._kinds = frozenset(kinds)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def scan(self, text: bytes) -> Iterator[Hit]:
        """What is found in a text, kind by kind."""
        for kind, pattern in self._patterns:
            check = _KINDS[kind].check
            sizes: dict[bytes, int] = {}
            for found in pattern.finditer(text):
                start, end = found.span()
                value = text[start:end]
                size = sizes.get(value)
                if size is None:
                    size = sizes[value] = _size(value, check)
                if kind is Personal.EMAIL and not _is_somebody(text, end, value):
                    continue
                if size:
                    yield Hit(kind.value, start, start + size, plain=True, excerpt=f"{size} characters")

    def named(self, name: str, text: bytes) -> Personal | None:
        """What a whole value is by the name of its field, which tells what digits alone do not."""
        if not MIN_DIGITS <= len(text) <= MAX_DIGITS or not text.isalnum():
            return None
        plain = _CAMEL.sub("_", name)
        if Personal.US_SSN in self._kinds and _SSN_NAME.search(plain) and len(text) == MIN_DIGITS and text.isdigit():
            return Personal.US_SSN if is_ssn(text) else None
        if Personal.PASSPORT in self._kinds and _PASSPORT_NAME.search(plain) and _always(text):
            return Personal.PASSPORT
        return None
