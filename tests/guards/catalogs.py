"""One gateway and one client in front of a policy with ``rug_pull``: they ask for lists, and call what they list."""

from __future__ import annotations

import json
from textwrap import indent
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

from guardsvc.config import Checker, Document
from guardsvc.gateways.exchange import Asker
from guardsvc.gateways.statement import Statement, judge_statement
from guardsvc.guards.native.rug_pull import RUG_PULL
from guardsvc.guards.registry import load_registry
from guardsvc.mcp.revisions import phase_of, response_phase_of
from guardsvc.model import Caller, Decision, Direction, GatewayProtocol, Kind
from guardsvc.policy import Policy, build_policy, policy_model
from guardsvc.state import Sources

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["ANN", "BOB", "Gateway", "policy_of", "tool"]

ANN = Caller(tenant="acme", principal="ann", verified=True)
BOB = Caller(tenant="acme", principal="bob", verified=True)
POLICY = """
policy:
  name: catalogs
  mode: {mode}
  default: allow
  servers:
    files: {{}}
    mail: {{}}
  guards:
{before}
    - type: rug_pull
      timeout_ms: 5000
      settings:
{settings}
{after}
"""
LISTS = {"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources"}


def tool(name: str, description: str = "Reads a file.", **members: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"path": {"type": "string"}}}
    return {"name": name, "description": description, "inputSchema": schema, **members}


def policy_of(settings: str = "storage: memory", *, before: str = "", after: str = "", mode: str = "enforce") -> Policy:
    registry = {**load_registry(), RUG_PULL.name: RUG_PULL}
    text = POLICY.format(
        settings=indent(settings, " " * 8), before=indent(before, " " * 4), after=indent(after, " " * 4), mode=mode
    )
    document = Document.parse(text, "p.yaml")
    checker = Checker(document)
    checked: Any = checker.check(policy_model(registry), document.value["policy"], ("policy",))
    policy = None if checked is None else build_policy(checked, registry, checker)
    checker.raise_if_any()
    assert policy is not None
    return policy


class Gateway:
    """Asks as a trusted gateway does that sees both directions.

    Args:
        policy: the policy, or the settings of the guard.
        learnable: whether the listener teaches.
        protocol: by which it asks.
    """

    def __init__(
        self,
        policy: Policy | str = "storage: memory",
        *,
        learnable: bool = True,
        protocol: GatewayProtocol = GatewayProtocol.EXT_PROC,
    ) -> None:
        self.policy = policy if isinstance(policy, Policy) else policy_of(policy)
        self.sources = Sources()
        self.learnable = learnable
        self.protocol = protocol
        self._id = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.sources.close()

    async def list(
        self,
        *entries: Any,
        cursor: str | None = None,
        following: str | None = None,
        caller: Caller = ANN,
        server: str = "files",
        method: str = "tools/list",
    ) -> Decision:
        """A page is asked for and answered; the decision about the answer."""
        self._id += 1
        params = {} if cursor is None else {"cursor": cursor}
        await self.ask(Direction.REQUEST, method, params, caller, server)
        result: dict[str, Any] = {LISTS[method]: list(entries)}
        if following is not None:
            result["nextCursor"] = following
        return await self.ask(Direction.RESPONSE, method, result, caller, server)

    async def call(self, name: str, *, caller: Caller = ANN, server: str = "files") -> Decision:
        """A tool is called."""
        self._id += 1
        return await self.ask(Direction.REQUEST, "tools/call", {"name": name, "arguments": {}}, caller, server)

    async def ask(self, direction: Direction, method: str, payload: Any, caller: Caller, server: str) -> Decision:
        """One message."""
        asking = direction is Direction.REQUEST
        statement = Statement(
            direction=direction,
            phase=phase_of(method) if asking else response_phase_of(method),
            kind=Kind.REQUEST if asking else Kind.RESULT,
            method=method,
            id=self._id,
            servers=(server,),
            payload=json.dumps(payload).encode(),
        )
        asker = Asker(protocol=self.protocol, caller=caller, can_modify=True, learnable=self.learnable)
        deadline = perf_counter() + 20
        exchange = await judge_statement(self.policy, statement, asker, deadline=deadline, sources=self.sources.facts)
        return exchange.leading
