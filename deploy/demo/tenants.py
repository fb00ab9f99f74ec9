"""Tenants: callers whom Envoy knows by a verified token, and callers who would like to be taken for them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from deploy.demo.observation import ALLOWED, Expected
from deploy.demo.sending import ask, body, exchange, headers_of
from deploy.demo.stack import TENANTS
from deploy.demo.tokens import TokenIssuer, with_claims, without_signature
from deploy.demo.wire import Wire

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import httpx2

    from deploy.demo.observation import Observation
    from deploy.demo.stack import Stack

__all__ = ["impostors", "two_tenants"]

DENIED = Expected(code=-32001, reason="access_denied")
NO_GOOD_TOKEN = Expected(status=401)
FOR_ANOTHER_SERVER = Expected(status=403)
ACME = {"sub": "agent-7", "org": {"tenant": "acme"}}
GLOBEX = {"sub": "agent-7", "org": {"tenant": "globex"}}


async def two_tenants(stack: Stack) -> AsyncIterator[Observation]:
    """The same calls by agents of two tenants, each with a token of its own; all but the tenant is alike."""
    for tenant, claims, refund, export in (("acme", ACME, ALLOWED, DENIED), ("globex", GLOBEX, DENIED, ALLOWED)):
        as_tenant = _bearing(stack.issuer.token(**claims))
        async with Wire(as_tenant) as wire, wire.client(stack.url(TENANTS), "auto") as client:
            await client.list_tools()  # the SDK would ask in the middle of the first call
            for name, expected in (("refund", refund), ("export_orders", export)):
                answer = client.call_tool(name, {"order": f"{tenant}-1"})
                yield await ask(stack, wire, f"{tenant}'s token: tools/call {name}", answer, expected)


async def impostors(stack: Stack) -> AsyncIterator[Observation]:
    """The call that only acme may make, by callers who are not acme."""
    acme, globex = stack.issuer.token(**ACME), stack.issuer.token(**GLOBEX)
    late = stack.issuer.token(**ACME, exp=int(time.time()) - 3600)
    elsewhere = stack.issuer.token(**ACME, aud="https://other.example/mcp")
    names = {"x-tenant": "acme", "x-guardsvc-tenant": "acme", "tenant": "acme"}
    async with Wire() as wire:
        for number, (sent, headers, expected) in enumerate(
            (
                ("acme's token", _bearer(acme), ALLOWED),
                ("globex's token, headers that name acme", _bearer(globex) | names, DENIED),
                ("no token, headers that name acme", names, NO_GOOD_TOKEN),
                ("globex's token, its claim changed to acme", _bearer(with_claims(globex, **ACME)), NO_GOOD_TOKEN),
                ("acme's claims, signed with another key", _bearer(TokenIssuer().token(**ACME)), NO_GOOD_TOKEN),
                ("acme's claims, not signed (alg: none)", _bearer(without_signature(acme)), NO_GOOD_TOKEN),
                ("acme's token, expired", _bearer(late), NO_GOOD_TOKEN),
                ("acme's token for another server", _bearer(elsewhere), FOR_ANOTHER_SERVER),
            ),
            start=1,
        ):
            content = body(number, "refund", order=f"acme-2{number:02}")
            fields = headers_of("refund") | headers
            request = wire.http.build_request("POST", stack.url(TENANTS), content=content, headers=fields)
            yield await exchange(stack, wire, f"{sent}: tools/call refund", request, expected)


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def _bearing(token: str) -> Callable[[httpx2.Request], None]:
    return lambda request: request.headers.update(_bearer(token))
