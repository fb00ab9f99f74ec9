"""Court: has a policy judge calls, tool lists and results, as a gateway would, and says what was flagged."""

from __future__ import annotations

import asyncio
import json
from time import perf_counter
from typing import TYPE_CHECKING, Any, Self

from guardsvc.engine import decide
from guardsvc.evaluation.changes import ChangeBench, Changed
from guardsvc.evaluation.flags import PATIENCE, REVISION, Flag, flag
from guardsvc.gateways.exchange import Asker, judge
from guardsvc.mcp.mirror import conforming_post
from guardsvc.mcp.revisions import response_phase_of
from guardsvc.model import Decision, Direction, GatewayProtocol, Kind, Operation, Severity
from guardsvc.state import Sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    from guardsvc.policy import Policy

__all__ = ["PATIENCE", "Court", "Flag"]

_FIELDS = (("mcp-protocol-version", REVISION),)


class Court:
    """Judges by one policy, on an event loop of its own. A context manager.

    Args:
        policy: the policy.
        server: what the gateway calls the server; unknown without.
    """

    def __init__(self, policy: Policy, server: str | None = None) -> None:
        self._policy = policy.patient(PATIENCE)
        self._asker = Asker(protocol=GatewayProtocol.CLI, server_id=server, can_modify=True)
        self._server = server
        self._sources = Sources()
        self._changes = ChangeBench(self._policy, server)
        self._remembering: ChangeBench | None = None
        self._runner = asyncio.Runner()
        self.failures: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.run(self._sources.close())
        self._runner.run(self._changes.close())
        if self._remembering is not None:
            self._runner.run(self._remembering.close())
        self._runner.close()

    def judges(self, method: str) -> bool:
        """Whether the policy has guards for answers to a method."""
        return bool(self._policy.chain(Direction.RESPONSE, response_phase_of(method)))

    def refuses_everything(self, tool: str) -> str | None:
        """Reason code where an ordinary call without arguments is refused, so that rates would say nothing."""
        decision = self._call(tool, {})
        return decision.code if decision.verdict == "deny" else None

    def call(self, tool: str, arguments: dict[str, Any]) -> Flag:
        """Judge a call of a tool."""
        return _flag_of(self._call(tool, arguments))

    def result(self, tool: str, text: str) -> Flag:
        """Judge what a tool returns, as one text. One that goes on changed is noticed, not refused."""
        payload = {"content": [{"type": "text", "text": text}]}
        decision = self._answer("tools/call", payload, self._server or "server", tool)
        found = _flag_of(decision)
        return found._replace(denied=False) if decision.verdict == "modify" else found

    def tools(
        self, definitions: Sequence[dict[str, Any]], server: str, wanted: Iterable[int] | None = None
    ) -> list[Flag]:
        """Judge a server's tools list.

        A list is refused or not as a whole. Which tool it is refused for shows when the others are listed with
        nothing but their names; where it takes several, all that something was found in count.

        Args:
            definitions: the tools.
            server: its name.
            wanted: indexes of the tools to report; all without.
        """
        indexes = range(len(definitions)) if wanted is None else list(wanted)
        decision = self._answer("tools/list", {"tools": list(definitions)}, server)
        found = _by_tool(decision)
        if decision.verdict == "modify":
            kept = decision.payload.get("tools") or []
            taken = [index for index, tool in enumerate(definitions) if tool not in kept]
        elif decision.verdict == "allow":
            taken = []
        else:
            suspects = list(found) or range(len(definitions))
            alone = [index for index in range(len(definitions)) if self._is_refused_for(definitions, server, index)]
            taken = alone or list(suspects)
        return [flag(found.get(index, ()), denied=index in taken) for index in indexes]

    @property
    def learns(self) -> bool:
        """Whether the policy has a guard that remembers what servers listed."""
        return ChangeBench.learns(self._policy)

    def change(self, before: dict[str, Any], after: dict[str, Any]) -> Changed:
        """Judge a tool that was one thing and is another now."""
        return self._runner.run(self._changes.judge(before, after))

    def change_remembered(self, before: dict[str, Any], after: dict[str, Any]) -> Changed:
        """The same by the policy with ``rug_pull`` at its defaults behind its guards."""
        if self._remembering is None:
            self._remembering = ChangeBench(self._policy, self._server, with_memory=True)
        return self._runner.run(self._remembering.judge(before, after))

    def _is_refused_for(self, definitions: Sequence[dict[str, Any]], server: str, index: int) -> bool:
        listed = [tool if at == index else _name_only(tool) for at, tool in enumerate(definitions)]
        return self._answer("tools/list", {"tools": listed}, server).verdict not in ("allow", "modify")

    def _call(self, tool: str, arguments: dict[str, Any]) -> Decision:
        params = {"name": tool, "arguments": arguments}
        message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        body = json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")
        request = conforming_post(body, "localhost", _FIELDS)
        exchange = self._runner.run(
            judge(
                self._policy,
                request,
                self._asker,
                deadline=perf_counter() + PATIENCE,
                sources=self._sources.facts,
            )
        )
        self._note_failures(exchange.leading)
        return exchange.leading

    def _answer(self, method: str, payload: dict[str, Any], server: str, subject: str | None = None) -> Decision:
        operation = Operation(
            protocol=GatewayProtocol.CLI,
            direction=Direction.RESPONSE,
            phase=response_phase_of(method),
            kind=Kind.RESULT,
            method=method,
            id=1,
            server=server,
            servers=(server,),
            subject=subject,
            payload=payload,
            revision=REVISION,
        )
        decision = self._runner.run(
            decide(
                self._policy,
                operation,
                deadline=perf_counter() + PATIENCE,
                can_modify=True,
                sources=self._sources.facts,
            )
        )
        self._note_failures(decision)
        return decision

    def _note_failures(self, decision: Decision) -> None:
        for outcome in decision.outcomes:
            if outcome.error is not None:
                text = f"guard {outcome.guard} could not answer ({outcome.error}): {outcome.message}"
                self.failures[text] = self.failures.get(text, 0) + 1


def _flag_of(decision: Decision) -> Flag:
    denied = decision.verdict not in ("allow", "modify")
    rules = tuple(rule for rule, _ in _found(decision))
    if denied and not rules:
        rules = (f"{decision.guard or 'engine'}/{decision.code}",)
    return flag(rules, denied=denied or decision.verdict == "modify")


def _found(decision: Decision) -> list[tuple[str, str]]:
    """Rule and place of what guards noticed, without what is noted of harmless things too."""
    return [
        (f"{outcome.guard}/{finding.rule}", finding.where)
        for outcome in decision.outcomes
        for finding in outcome.findings
        if finding.severity is not Severity.INFO and not finding.suppressed_by
    ]


def _by_tool(decision: Decision) -> dict[int, list[str]]:
    found: dict[int, list[str]] = {}
    for rule, where in _found(decision):
        index = where.removeprefix("/tools/").partition("/")[0] if where.startswith("/tools/") else ""
        if index.isdecimal():
            found.setdefault(int(index), []).append(rule)
    return found


def _name_only(tool: dict[str, Any]) -> dict[str, Any]:
    return {"name": tool.get("name", "tool"), "inputSchema": {"type": "object"}}
