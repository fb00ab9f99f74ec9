"""Cases: what a guard must say of an operation, as YAML; see ``tests/cases/guards``.

A file has ``templates`` (named parts) and ``cases``. A case takes over the template it is ``like``, with
its own members merged in as in RFC 7396: null removes. Its operation is given as ``operation``, the
fields of ``Operation`` that matter, or as ``request``, an HTTP request that is interpreted first and may
give several operations; the first denial counts. Where the guard needs facts they come from fresh
sources at time 0, on which the operations of ``before`` have drawn first; each is a patch of the case.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from guardsvc.guards.registry import load_registry
from guardsvc.mcp import BodyState, HttpRequest, InterpretationRules, interpret
from guardsvc.model import (
    Caller,
    Deny,
    Direction,
    FactRequest,
    GatewayProtocol,
    GuardContext,
    Headers,
    Kind,
    Operation,
    Phase,
    Verdict,
)
from guardsvc.state import RATE_LIMITS, RateLimits

__all__ = ["CASES", "Case", "load_cases"]

CASES = Path(__file__).parents[1] / "cases" / "guards"
RULES = InterpretationRules(batches=True)


@dataclass(frozen=True)
class Case:
    """One case of a file."""

    guard: str
    given: dict[str, Any]

    @property
    def description(self) -> str:
        return str(self.given["description"])

    def verdict(self) -> Verdict:
        """Build the guard, and judge what is given."""
        guard_type = load_registry()[self.guard]
        settings = guard_type.settings.model_validate(self.given.get("settings", {}))
        guard = guard_type.build(settings, self.context())
        before = [operation for patch in self.given.get("before", ()) for operation in self.patched(patch).operations()]
        verdicts = asyncio.run(_verdicts(guard, before, self.operations()))
        assert not any(hasattr(verdict, "__await__") for verdict in verdicts)
        denials = [verdict for verdict in verdicts if isinstance(verdict, Deny)]
        return (denials or verdicts)[0]

    def patched(self, patch: dict[str, Any]) -> Case:
        """The case with other members."""
        return Case(self.guard, _merge(self.given, patch))

    def context(self) -> GuardContext:
        schemas = {
            (server, tool): schema
            for server, tools in self.given.get("schemas", {}).items()
            for tool, schema in tools.items()
        }
        return GuardContext(
            guard_id=self.guard, servers=frozenset(self.given.get("servers", ["files"])), input_schemas=schemas
        )

    def operations(self) -> list[Operation]:
        reached = tuple(self.given.get("reaches", ["files"]))
        caller = Caller(**self.given.get("caller", {}))
        if "operation" in self.given:
            return [operation(self.given["operation"], reached, caller)]
        request = http_request(self.given["request"])
        return [
            Operation(
                protocol=GatewayProtocol.EXT_AUTHZ,
                direction=Direction.REQUEST,
                phase=message.phase,
                kind=message.kind,
                method=message.method,
                id=message.id,
                server=reached[0] if len(reached) == 1 else None,
                servers=reached,
                subject=message.subject,
                payload=message.payload,
                caller=caller,
                headers=request.headers,
                revision=message.revision,
                http_method=request.method,
                path=request.path,
            )
            for message in interpret(request, RULES).messages
        ]


async def _verdicts(guard: Any, before: list[Operation], operations: list[Operation]) -> list[Verdict]:
    sources = {RATE_LIMITS: RateLimits(lambda: 0.0)}
    verdicts = []
    for given in (*before, *operations):
        needs = guard.needs(given) if hasattr(guard, "needs") else {}
        facts = {
            name: await sources[name].fetch(FactRequest(operation=given, guard="guard", need=need))
            for name, need in needs.items()
        }
        verdicts.append(guard.evaluate(given, facts))
    return verdicts[len(before) :]


def load_cases() -> list[Case]:
    """Every case of every file; a file is named after its guard."""
    return [
        Case(path.stem, given)
        for path in sorted(CASES.glob("*.yaml"))
        for given in _expand(yaml.safe_load(path.read_text()))
    ]


def operation(fields: dict[str, Any], reached: tuple[str, ...], caller: Caller) -> Operation:
    """An operation of plain fields."""
    return Operation(
        protocol=GatewayProtocol(fields.get("protocol", "ext_authz")),
        direction=Direction(fields.get("direction", "request")),
        phase=Phase(fields.get("phase", "other")),
        kind=Kind(fields.get("kind", "request")),
        method=fields.get("method", ""),
        id=fields.get("id"),
        server=reached[0] if len(reached) == 1 else None,
        servers=reached,
        subject=fields.get("subject"),
        payload=fields.get("payload"),
        caller=caller,
        headers=Headers(fields.get("headers", {}).items()),
        revision=fields.get("revision", "2025-11-25"),
        http_method=fields.get("http_method", ""),
    )


def http_request(fields: dict[str, Any]) -> HttpRequest:
    """A request of plain fields; a header with a list of values is repeated."""
    headers = [
        (name, value)
        for name, values in fields.get("headers", {}).items()
        for value in (values if isinstance(values, list) else [values])
    ]
    body = json.dumps(fields["body"]).encode() if "body" in fields else b""
    return HttpRequest(
        method=fields.get("method", "POST"),
        path=fields.get("path", "/mcp"),
        host="files.example",
        headers=Headers(headers),
        body=body,
        body_state=BodyState.WHOLE if body else BodyState.ABSENT,
    )


def _expand(document: dict[str, Any]) -> list[dict[str, Any]]:
    templates = document.get("templates", {})
    return [_resolve(case, templates) for case in document["cases"]]


def _resolve(given: dict[str, Any], templates: dict[str, Any]) -> dict[str, Any]:
    if "like" not in given:
        return given
    base = _resolve(templates[given["like"]], templates)
    return dict(_merge(base, {name: value for name, value in given.items() if name != "like"}))


def _merge(base: Any, patch: Any) -> Any:
    if not isinstance(patch, dict) or not isinstance(base, dict):
        return patch
    merged = {**base, **{name: _merge(base.get(name), value) for name, value in patch.items()}}
    return {name: value for name, value in merged.items() if value is not None}
