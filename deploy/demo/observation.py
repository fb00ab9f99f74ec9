"""Observation: what one call came to, put together from the client, the server and guardsvc's log."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deploy.demo.stack import Stack
    from deploy.demo.wire import Exchange

__all__ = ["ALLOWED", "Expected", "Observation", "Seen", "observe"]


@dataclass(frozen=True)
class Expected:
    """What a call should come to.

    Attributes:
        status: HTTP status.
        code: JSON-RPC error code, None where there is no error.
        reason: reason code of guardsvc, None where it allows or is not asked.
    """

    status: int = 200
    code: int | None = None
    reason: str | None = None

    @property
    def allowed(self) -> bool:
        """Whether the request should reach the server."""
        return self.status == 200 and self.code is None  # noqa: PLR2004


ALLOWED = Expected()


@dataclass(frozen=True)
class Seen:
    """What the client saw.

    Attributes:
        text: the result or the error in words.
        code: JSON-RPC error code.
        reason: ``error.data.reason``.
    """

    text: str
    code: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Observation:
    """One call and what it came to.

    Attributes:
        sent: what the client sent, in words.
        decision: what guardsvc decided, in words.
        server: what the server got, in words.
        client: what the client saw, in words.
        problems: what was not as expected.
    """

    sent: str
    decision: str
    server: str
    client: str
    problems: tuple[str, ...]


def observe(stack: Stack, sent: str, exchange: Exchange, seen: Seen, expected: Expected) -> Observation:
    """Compare what a call came to with what it should."""
    problems = [
        f"{name} is {is_!r}, should be {should!r}"
        for name, is_, should in (
            ("status", exchange.status, expected.status),
            ("error code", seen.code, expected.code),
            ("reason", seen.reason, expected.reason),
        )
        if is_ != should
    ]
    server, untouched = _at_the_server(stack, exchange)
    if untouched is not (True if expected.allowed else None):
        problems.append(f"the server {server}")
    decision, explained = _decision(stack, exchange, seen)
    if not explained:
        problems.append(decision)
    return Observation(
        sent=sent,
        decision=decision,
        server=server,
        client=f"HTTP {exchange.status}  {seen.text}",
        problems=tuple(problems),
    )


def _at_the_server(stack: Stack, exchange: Exchange) -> tuple[str, bool | None]:
    """What the server got in words, and whether it is what the client sent; None where it got nothing."""
    for request in stack.mcp_server.received():
        if exchange.decision_id in request.all("x-guardsvc-decision-id"):
            same = request.body == exchange.body
            digest = hashlib.sha256(request.body).hexdigest()[:16]
            words = "exactly the client's" if same else "other than the client's"
            return f"got {words} {len(request.body)} bytes, sha256 {digest}…", same
        if exchange.body and request.body == exchange.body:
            return "got the request without a decision", False
    return "got nothing", None


def _decision(stack: Stack, exchange: Exchange, seen: Seen) -> tuple[str, bool]:
    """The decision in words, and whether client and guardsvc tell the same of it."""
    if exchange.decision_id is None:
        return "none: Envoy answered by itself", seen.reason is None
    logged = stack.guardsvc.decision(exchange.decision_id)
    if seen.reason is None:
        return f"allow  {exchange.decision_id}", not logged
    by = logged.get("guard") or "guardsvc itself"
    rules = "".join(f" ({rule})" for rule in logged.get("rules") or ())
    of = f" for {logged['principal']} of {logged['tenant']}" if logged.get("verified") else ""
    detail = f": {logged['detail']}" if logged.get("detail") else ""
    words = f"deny  {seen.reason} by {by}{rules}{of}{detail}  {exchange.decision_id}"
    return words, logged.get("reason") == seen.reason
