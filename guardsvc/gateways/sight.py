"""Sight: what each gateway protocol shows guardsvc, and what it can carry back.

The table of ``docs/gateways.md``, as data: the same operation gets the same decision by every protocol that can
see it, and this says which can. Tests hold the page and the protocols to it.
"""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = ["PROTOCOLS", "SIGHT", "Claim", "ProtocolName", "Row", "table"]

ProtocolName = Literal["ext_authz", "ext_proc", "ext_mcp", "guard_service", "http"]
PROTOCOLS: tuple[ProtocolName, ...] = ("ext_authz", "ext_proc", "ext_mcp", "guard_service", "http")
"""The columns; ``http`` is ``POST /v1/security/evaluate``."""


class Claim(msgspec.Struct, frozen=True):
    """Whether a protocol can, and what is to be said of it."""

    can: bool
    remark: str = ""

    @property
    def text(self) -> str:
        """The cell of the table."""
        return ("yes" if self.can else "no") + (f", {self.remark}" if self.remark else "")


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One ability.

    Attributes:
        name: short, for tests.
        title: what the page calls it.
        claims: of each protocol, in the order of ``PROTOCOLS``.
    """

    name: str
    title: str
    claims: tuple[Claim, Claim, Claim, Claim, Claim]

    def can(self, protocol: ProtocolName) -> bool:
        """Whether the protocol can."""
        return self.claims[PROTOCOLS.index(protocol)].can


YES, NO = Claim(can=True), Claim(can=False)

SIGHT = (
    Row(name="requests", title="requests of clients", claims=(YES, YES, YES, YES, YES)),
    Row(name="notifications", title="notifications of clients", claims=(YES, YES, NO, YES, YES)),
    Row(
        name="client_answers",
        title="answers of clients to questions of servers",
        claims=(YES, YES, Claim(can=False, remark="but for those inside of a retry (2026-07-28)"), YES, YES),
    ),
    Row(
        name="batches",
        title="batches of 2025-03-26",
        claims=(
            YES,
            Claim(can=True, remark="without their responses"),
            NO,
            Claim(can=False, remark="each message on its own"),
            Claim(can=False, remark="each message on its own"),
        ),
    ),
    Row(name="transport", title="HTTP requests without a message", claims=(YES, YES, NO, YES, YES)),
    Row(name="results", title="results of servers", claims=(NO, YES, YES, YES, YES)),
    Row(name="errors", title="errors of servers", claims=(NO, YES, NO, YES, YES)),
    Row(name="server_messages", title="requests and notifications of servers", claims=(NO, YES, NO, YES, YES)),
    Row(
        name="exact_bytes",
        title="the exact bytes of a message",
        claims=(
            YES,
            YES,
            Claim(can=False, remark="the gateway writes `params` and `result` anew, without `_meta`"),
            Claim(can=False, remark="those of `params`, `result` or `error`"),
            Claim(can=False, remark="those of `params`, `result` or `error`"),
        ),
    ),
    Row(name="ids", title="ids of requests", claims=(YES, YES, NO, YES, YES)),
    Row(
        name="servers",
        title="servers by the gateway's own word",
        claims=(
            Claim(can=True, remark="one: `mcp_server`"),
            Claim(can=True, remark="one: `mcp_server`"),
            Claim(can=True, remark="all: `service_names`"),
            Claim(can=True, remark="all: `servers`"),
            Claim(can=True, remark="all: `context.servers`"),
        ),
    ),
    Row(
        name="prefixed_names",
        title="names in requests with the gateway's prefix",
        claims=(YES, YES, Claim(can=False, remark="as the server has them"), YES, YES),
    ),
    Row(
        name="change_requests",
        title="carry a changed request",
        claims=(
            Claim(can=False, remark="`modification_unsupported`"),
            Claim(can=True, remark="without ext_authz"),
            Claim(can=True, remark="of one server; else `modification_unsupported`"),
            YES,
            YES,
        ),
    ),
    Row(name="change_results", title="carry a changed result", claims=(NO, YES, YES, YES, YES)),
    Row(
        name="correlation",
        title="match a response to its request",
        claims=(
            Claim(can=True, remark="by a token in dynamic metadata, for others"),
            Claim(can=True, remark="by the stream, or the token of ext_authz"),
            Claim(can=True, remark="by a token in `metadata`"),
            Claim(can=False, remark="the caller's to do"),
            Claim(can=False, remark="the caller's to do"),
        ),
    ),
    Row(
        name="findings",
        title="findings of guards before guardsvc, on record only",
        claims=(NO, NO, NO, YES, YES),
    ),
    Row(
        name="deadlines",
        title="a deadline of the gateway",
        claims=(
            Claim(can=True, remark="agentgateway sends none"),
            Claim(can=False, remark="`policy.deadline_ms`, `policy.responses.deadline_ms`"),
            Claim(can=True, remark="agentgateway sends none: the same two"),
            YES,
            Claim(can=True, remark="`timeout_ms`"),
        ),
    ),
)
"""All abilities, in the order of the page."""


def table() -> str:
    """The table in Markdown."""
    lines = ["| | " + " | ".join(PROTOCOLS) + " |", "|---" * (len(PROTOCOLS) + 1) + "|"]
    lines += [f"| {row.title} | " + " | ".join(claim.text for claim in row.claims) + " |" for row in SIGHT]
    return "\n".join(lines) + "\n"
