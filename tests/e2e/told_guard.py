"""A third-party guard that refuses a call with the reason it names, to see how clients take each.

It is brought to guardsvc as any installed package brings one: by an entry point.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from guardsvc.model import (
    ALLOW,
    Deny,
    Facts,
    GuardContext,
    GuardType,
    Operation,
    Settings,
    Tier,
    Verdict,
    reason_for,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable

REFUSED_CLIENT = "refused"


class RefuseAsTold:
    def __init__(self, settings: Settings, context: GuardContext) -> None:
        del settings, context

    def evaluate(self, operation: Operation, facts: Facts) -> Awaitable[Verdict]:
        del facts
        return self._judge(operation.payload if type(operation.payload) is dict else {})

    async def _judge(self, payload: dict[str, Any]) -> Verdict:
        arguments = payload.get("arguments", {})
        await asyncio.sleep(arguments.get("sleep", 0))
        meta = payload.get("_meta", {})
        client = payload.get("clientInfo") or meta.get("io.modelcontextprotocol/clientInfo") or {}
        code = "access_denied" if client.get("name") == REFUSED_CLIENT else arguments.get("reason")
        return ALLOW if code is None else Deny(code=code, message=reason_for(code).text)


REFUSE_AS_TOLD = GuardType(name="refuse_as_told", settings=Settings, build=RefuseAsTold, tier=Tier.HTTP)
