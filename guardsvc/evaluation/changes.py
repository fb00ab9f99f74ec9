"""Changes: definitions that a server has changed, each learned as it was and then shown and called as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from guardsvc.engine import decide
from guardsvc.evaluation.flags import PATIENCE, REVISION, Flag, flag
from guardsvc.evaluation.toolbox import Tool
from guardsvc.mcp.revisions import phase_of, response_phase_of
from guardsvc.model import Caller, Direction, GatewayProtocol, Kind, Operation, Severity
from guardsvc.server.configuration import load_configuration
from guardsvc.state import Sources
from guardsvc.state.catalog import CATALOG
from guardsvc.state.in_memory import InMemory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guardsvc.model import Decision
    from guardsvc.policy import BoundGuard, Policy

__all__ = ["ChangeBench", "Changed"]

_MILD = frozenset({Severity.INFO, Severity.LOW})


class Changed(NamedTuple):
    """What a policy makes of a change.

    Attributes:
        listed: of the list that shows it.
        called: of a call after that.
        trusted: whether the tool might be called before.
    """

    listed: Flag
    called: Flag
    trusted: bool


class ChangeBench:
    """Shows a policy how a tool was, as a gateway that is trusted does, and then how it is.

    Everything is kept in memory, whatever the policy says. Made for one event loop.

    Args:
        policy: the policy.
        server: what the gateway calls the server.
        with_memory: put ``rug_pull`` at its defaults behind the guards of the policy.
    """

    def __init__(self, policy: Policy, server: str | None, *, with_memory: bool = False) -> None:
        self._policy = replace(policy, guards=(*policy.guards, _rug_pull()), _chains={}) if with_memory else policy
        self._server = server or "server"
        self._sources = Sources()
        self._facts = {name: InMemory(source) for name, source in self._sources.facts.items()}
        self._asked = 0

    @staticmethod
    def learns(policy: Policy) -> bool:
        """Whether a policy has a guard that remembers what servers listed."""
        return any(CATALOG in bound.type.facts and hasattr(bound.guard, "learns") for bound in policy.guards)

    async def close(self) -> None:
        """Forget everything."""
        await self._sources.close()

    async def judge(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Changed:
        """Judge one change, for a tenant of its own, so that nothing is left of the one before."""
        self._asked += 1
        caller = Caller(tenant=f"tenant{self._asked}", principal="evaluation", verified=True)
        await self._list(before, caller)
        trusted = _denied(await self._call(before, caller)) is False
        listed = await self._list(after, caller)
        called = await self._call(after, caller)
        return Changed(_flag_of(listed), _flag_of(called), trusted)

    async def _list(self, definition: Mapping[str, Any], caller: Caller) -> Decision:
        self._asked += 1
        await self._decide(Direction.REQUEST, "tools/list", None, caller)
        return await self._decide(Direction.RESPONSE, "tools/list", {"tools": [dict(definition)]}, caller)

    async def _call(self, definition: Mapping[str, Any], caller: Caller) -> Decision:
        schema = definition.get("inputSchema")
        name = str(definition.get("name", "tool"))
        tool = Tool(self._server, name, schema if isinstance(schema, dict) else {})
        payload = {"name": name, "arguments": tool.call({})}
        return await self._decide(Direction.REQUEST, "tools/call", payload, caller, name)

    async def _decide(
        self, direction: Direction, method: str, payload: Any, caller: Caller, subject: str | None = None
    ) -> Decision:
        asking = direction is Direction.REQUEST
        operation = Operation(
            protocol=GatewayProtocol.EXT_PROC,
            direction=direction,
            phase=phase_of(method) if asking else response_phase_of(method),
            kind=Kind.REQUEST if asking else Kind.RESULT,
            method=method,
            id=self._asked,
            server=self._server,
            servers=(self._server,),
            subject=subject,
            payload=payload,
            caller=caller,
            revision=REVISION,
            learnable=True,
        )
        deadline = perf_counter() + PATIENCE
        return await decide(self._policy, operation, deadline=deadline, can_modify=True, sources=self._facts)


def _rug_pull() -> BoundGuard:
    content = b"policy: {guards: [{type: rug_pull}]}"
    (bound,) = load_configuration(Path("rug_pull.yaml"), content=content).policy.patient(PATIENCE).guards
    return bound


def _denied(decision: Decision) -> bool:
    return decision.verdict not in ("allow", "modify")


def _flag_of(decision: Decision) -> Flag:
    rules = [
        f"{outcome.guard}/{finding.rule}"
        for outcome in decision.outcomes
        for finding in outcome.findings
        if finding.severity not in _MILD and not finding.suppressed_by
    ]
    taken_out = decision.verdict == "modify" and not decision.payload.get("tools")
    return flag(rules, denied=_denied(decision) or taken_out)
