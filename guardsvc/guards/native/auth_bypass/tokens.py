"""Tokens in arguments: credentials for the gateway that are passed on to a server as data (token passthrough)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import re2

from guardsvc.guards.native.arguments import sent_texts
from guardsvc.guards.native.auth_bypass.authorization import credentials_of
from guardsvc.guards.native.auth_bypass.rules import found

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from guardsvc.guards.native.arguments import Sent
    from guardsvc.model import Finding, Operation

__all__ = ["MAX_FINDINGS", "tokens_in_arguments"]

MAX_FINDINGS = 16
"""Findings of one message; the last stands for the whole and all that follow."""
MIN_CREDENTIALS = 12
"""Characters below which credentials could be anything."""

_FIELDS = frozenset({"accesstoken", "authorization", "bearertoken", "idtoken", "oauthtoken", "jwt"})
_MAX_NAME = 32
_SEPARATORS = str.maketrans("", "", "-_ ")
_TOKEN = re.compile(r"(?:[Bb]earer +)?[A-Za-z0-9._~+/|-]{16,}=*")
_IN_URL = re2.compile(r"(?i)[?&#](?:access_token|id_token|refresh_token|bearer_token)=[a-z0-9._~+/|%-]{12,}")


def tokens_in_arguments(operation: Operation, schema: Mapping[str, Any] | None) -> Iterator[Finding]:
    """Where the arguments hold a token.

    That is the request's own credentials, a URL with a token in its query or fragment, or a field named for a
    token which the tool does not declare.
    """
    own = credentials_of(operation.headers)
    if len(own) < MIN_CREDENTIALS:
        own = ""
    for count, (sent, excerpt) in enumerate(_suspects(operation, schema, own), 1):
        if sent.is_key:
            # Every pointer from here on would repeat it.
            yield found("token_in_arguments", excerpt, sent.where.rpartition("/")[0])
            return
        if count == MAX_FINDINGS:
            yield found("token_in_arguments", "further ones")
            return
        yield found("token_in_arguments", excerpt, sent.where)


def _suspects(operation: Operation, schema: Mapping[str, Any] | None, own: str) -> Iterator[tuple[Sent, str]]:
    urls: list[Sent] = []
    for sent in sent_texts(operation, schema, MIN_CREDENTIALS, beside=True):
        text = str(sent.value)
        if own and own in text:
            yield sent, "the request's own credentials"
        elif _is_of_token(sent.name) and _is_token(sent, text):
            yield sent, "a token in a field that the tool does not declare"
        elif not sent.is_key and "=" in text and "_token=" in text.lower():
            urls.append(sent)
    # One search over all of them, for a client may send many that only look like it.
    if urls and _IN_URL.search("\n".join(str(sent.value) for sent in urls)):
        yield from ((sent, "a URL with a token") for sent in urls if _IN_URL.search(sent.value))


@lru_cache(maxsize=4096)
def _is_of_token(name: str) -> bool:
    """Whether a field of this name holds a token."""
    return len(name) <= _MAX_NAME and name.lower().translate(_SEPARATORS) in _FIELDS


def _is_token(sent: Sent, text: str) -> bool:
    return not sent.is_key and _TOKEN.fullmatch(text) is not None and sent.schema is None
