"""URLs that a server sends a user to: what speaks against each of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from guardsvc.guards.native.names import is_near_host
from guardsvc.guards.native.sandbox_escape.notation import address_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from guardsvc.guards.networks import Address
    from guardsvc.model import Globs

__all__ = ["host_of", "url_rules", "urls_in"]

_URL = re.compile(r"(https?):/{2}([^/?#]*)", re.IGNORECASE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}:")
_IN_TEXT = re.compile(r"https?://[^\s\"'<>()\[\]]{1,2048}", re.IGNORECASE)
_UNSOUND = re.compile(r"[\x00-\x20\x7f\\]")
MAX_URL = 8192
MAX_IN_TEXT = 16


def url_rules(url: str, allowed: Globs | None, literals: Sequence[str] = ()) -> Iterator[str]:
    """The rules that a URL breaks.

    Args:
        url: as the server gives it.
        allowed: hosts that a user may be sent to; None for any.
        literals: those of them without ``*``, which another host may look like.
    """
    if len(url) > MAX_URL or _UNSOUND.search(url) is not None:
        yield "malformed_url"
        return
    found = _URL.match(url)
    if found is None:
        yield "unsafe_scheme" if _SCHEME.match(url) else "malformed_url"
        return
    authority = found[2]
    if "@" in authority:
        yield "url_userinfo"
    host = host_of(authority)
    if not host:
        yield "malformed_url"
        return
    address = address_of(host)
    loopback = host == "localhost" or (address is not None and address.is_loopback)
    if found[1].lower() != "https" and not loopback:
        yield "insecure_url"
    if allowed is None or not allowed.match(host):
        yield from _host_rules(host, address, listed=allowed is not None, literals=literals, loopback=loopback)


def _host_rules(
    host: str, address: Address | None, *, listed: bool, literals: Sequence[str], loopback: bool
) -> Iterator[str]:
    if address is not None and not loopback:
        yield "url_address"
    elif not host.isascii() or any(label.startswith("xn--") for label in host.split(".")):
        yield "url_punycode"
    elif any(is_near_host(host, known) for known in literals):
        yield "lookalike_host"
    elif listed:
        yield "unlisted_host"


def host_of(authority: str) -> str:
    """The host of an authority in lower case, without brackets and the dot at its end."""
    host = authority.rpartition("@")[2].lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].removesuffix(".")


def urls_in(text: str) -> list[str]:
    """URLs in a text that a user reads."""
    return _IN_TEXT.findall(text)[:MAX_IN_TEXT]
