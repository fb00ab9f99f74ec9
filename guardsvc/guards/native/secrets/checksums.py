"""Checksums and structures that some credentials carry, so that a look-alike can be told from one."""

from __future__ import annotations

import base64
import binascii
import zlib

from guardsvc.guards.native.secrets.plausible import is_placeholder, is_weak_password

__all__ = [
    "ends_at_random",
    "has_age_checksum",
    "has_aws_account",
    "has_crc32_base62",
    "is_macaroon",
    "is_signed_jwt",
    "names_a_password",
]

_BASE62 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_BECH32 = {letter: value for value, letter in enumerate(b"QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L")}
_GENERATORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_AGE_PREFIX = b"age-secret-key-"
_MAX_ACCOUNT = 999_999_999_999


def has_crc32_base62(token: bytes) -> bool:
    """Whether the last six characters are the CRC-32 of those behind the last ``_`` before them, in base 62.

    So do the tokens of GitHub and npm.
    """
    body = token.rpartition(b"_")[2]
    number, digits = zlib.crc32(body[:-6]), bytearray()
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return body[-6:] == bytes(reversed(digits))


def has_aws_account(token: bytes) -> bool:
    """Whether the identifier of an access key names an account of at most twelve digits."""
    try:
        decoded = base64.b32decode(token[4:20])
    except binascii.Error:
        return False
    return (int.from_bytes(decoded[:6]) & 0x7FFFFFFFFF80) >> 7 <= _MAX_ACCOUNT


def has_age_checksum(token: bytes) -> bool:
    """Whether the Bech32 checksum (BIP 173) of an age identity is right."""
    values = [letter >> 5 for letter in _AGE_PREFIX] + [0] + [letter & 31 for letter in _AGE_PREFIX]
    for letter in token[len(_AGE_PREFIX) + 1 :]:
        if letter not in _BECH32:
            return False
        values.append(_BECH32[letter])
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATORS):
            if top >> bit & 1:
                check ^= generator
    return check == 1


def is_macaroon(token: bytes) -> bool:
    """Whether a PyPI token is a macaroon of that site: version, location, identifier."""
    try:
        decoded = base64.urlsafe_b64decode(token[5:] + b"=" * (-(len(token) - 5) % 4))
    except (binascii.Error, ValueError):
        return False
    return decoded.startswith((b"\x02\x01\x08pypi.org\x02", b"\x02\x01\x0dtest.pypi.org\x02"))


def is_signed_jwt(token: bytes) -> bool:
    """Whether the first part decodes to a header with ``alg`` and the last is no empty signature."""
    header, _, rest = token.partition(b".")
    try:
        decoded = base64.urlsafe_b64decode(header[:1024] + b"=" * (-len(header[:1024]) % 4))
    except (binascii.Error, ValueError):
        return False
    return b'"alg"' in decoded and rest.rpartition(b".")[2] != b""


def ends_at_random(token: bytes) -> bool:
    """Whether what follows the last slash, or a dot behind it, is no placeholder."""
    return not is_placeholder(token.rpartition(b"/")[2].rpartition(b".")[2])


def names_a_password(token: bytes) -> bool:
    """Whether the credentials of HTTP's scheme Basic are a name and a password that documentation does not have."""
    encoded = token.rpartition(b" ")[2]
    try:
        user, colon, password = base64.b64decode(encoded + b"=" * (-len(encoded) % 4)).partition(b":")
    except binascii.Error:
        return False
    printable = (user + password).isascii() and (user + password).decode().isprintable()
    return colon != b"" and len(password) > 2 and printable and not is_weak_password(user, password)  # noqa: PLR2004
