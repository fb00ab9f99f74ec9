"""Paths: forms of a request's path that the gateway and the server behind it could resolve differently."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_to_bytes

from guardsvc.guards.native.auth_bypass.rules import found

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from guardsvc.model import Finding

__all__ = ["PathCheck"]

MAX_TOKENS = 64
"""Parameters of a query that are looked at."""

_UNUSUAL = re.compile(r"""[^!-~]|[%\\;#"<>^`{|}]|//|/\.""")
_ENCODED_SEPARATOR = re.compile(
    r"\\|%2f|%5c|%c0%af|%c1%9c|%e0%80%af|%ef%bc%8f|%ef%bc%bc|%e2%81%84|%e2%88%95", re.IGNORECASE
)
_DOUBLE = re.compile(r"%25[0-9a-f]{2}|%25%", re.IGNORECASE)
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BLANK_AT_EDGE = re.compile(r"%20(?:/|\Z)|/%20")
"""A name with a blank at its end is another one to some file systems and routers only."""
_UNRESERVED_ESCAPE = re.compile(r"%(?:3[0-9]|4[1-9a-f]|5[0-9a]|6[1-9a-f]|7[0-9ae]|2d|2e|5f)", re.IGNORECASE)
_DOT_SEGMENT = re.compile(r"(?:\A|[/\\])\.\.?(?:[;/\\]|\Z)")
_ROUND = 3
_JWT = re.compile(r"ey[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.")


class PathCheck:
    """Looks at paths.

    Args:
        paths: that gateways route by.
        token_parameters: names of query parameters that hold tokens.
    """

    def __init__(self, paths: Iterable[str], token_parameters: Iterable[str]) -> None:
        self._paths = tuple(paths)
        self._folded = tuple(path.lower() for path in self._paths)
        self._parameters = frozenset(map(_plain, token_parameters))

    def findings(self, path: str) -> Iterator[Finding]:
        """What is wrong with a path with query, undecoded; nothing where the gateway shows none."""
        route, _, query = path.partition("?")
        if _UNUSUAL.search(route):
            yield from _tricks(route)
        if (lowered := route.lower()) != route:
            for ours, folded in zip(self._paths, self._folded, strict=True):
                if _begins(lowered, folded) and not _begins(route, ours):
                    yield found("path_case")
                    break
        if query and self._has_token(query):
            yield found("token_in_query")

    def _has_token(self, query: str) -> bool:
        for part in query.split("&", MAX_TOKENS):
            name, _, value = part.partition("=")
            if value and (_plain(unquote(name)) in self._parameters or _JWT.match(value)):
                return True
        return False


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _begins(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix if prefix.endswith("/") else f"{prefix}/")


def _tricks(route: str) -> Iterator[Finding]:
    if _has_dot_segment(route):
        yield found("path_dot_segment")
    if _ENCODED_SEPARATOR.search(route):
        yield found("path_encoded_separator")
    if _DOUBLE.search(route):
        yield found("path_double_encoding")
    if _is_badly_encoded(route):
        yield found("path_encoding")
    if "//" in route or ";" in route:
        yield found("path_ambiguous")


def _has_dot_segment(route: str) -> bool:
    """Whether a segment stands for this or the upper folder to any reader: decoded, and without its parameters."""
    for _ in range(_ROUND):
        if _DOT_SEGMENT.search(route):
            return True
        decoded = unquote(route, errors="replace")
        if decoded == route:
            return False
        route = decoded
    return False


def _is_badly_encoded(route: str) -> bool:
    if not route.isascii() or not route.isprintable() or " " in route or "#" in route:
        return True
    if "%" not in route:
        return False
    if _BAD_ESCAPE.search(route) or _UNRESERVED_ESCAPE.search(route) or _BLANK_AT_EDGE.search(route):
        return True
    try:
        decoded = unquote_to_bytes(route).decode()
    except UnicodeDecodeError:
        return True
    return not decoded.isprintable()
