"""Judge: what the guards of a policy find in catalogs, each as one whole."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import count
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.cli.scan.catalog import LISTS, RULES
from guardsvc.engine import decide
from guardsvc.guards.native.rug_pull import RUG_PULL
from guardsvc.mcp.revisions import response_phase_of
from guardsvc.model import (
    Caller,
    Direction,
    GatewayProtocol,
    Kind,
    Mode,
    Operation,
    Severity,
)
from guardsvc.state import Sources
from guardsvc.state.listed import LISTED, ListedNames, ListedNeed
from guardsvc.state.pins import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardsvc.cli.scan.catalog import Catalog
    from guardsvc.engine import FactSources
    from guardsvc.model import Decision, FactRequest, FactSource, Finding, GuardOutcome
    from guardsvc.policy import Policy

__all__ = ["SCAN", "Found", "Scanned", "judge", "named_as"]

SCAN = "scan"
"""Stands for the guard where the scan itself noticed something."""
PATIENCE = 60.0
"""Seconds that a guard may take, and a list."""
REVISION = "2025-11-25"
_NAMED_BY = {
    "tools": ("tool", "name"),
    "prompts": ("prompt", "name"),
    "resources": ("resource", "uri"),
    "resourceTemplates": ("template", "uriTemplate"),
}


class Found(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One finding.

    Attributes:
        target: the catalog it is in.
        server: canonical name of the server.
        guard, type: id and type of the guard that noticed it.
        rule: of the guard.
        severity: how bad it is.
        threats: threat ids.
        kind: tool, prompt, resource, template, or server.
        name: of what it is about; empty for a list as a whole.
        where: JSON pointer into the list.
        excerpt: what matched, masked.
        text: more about it.
        verdict: what the guard makes of the list: allow, deny, or modify where it takes entries out.
    """

    target: str
    server: str
    guard: str
    type: str
    rule: str
    severity: Severity
    threats: tuple[str, ...] = ()
    kind: str = "server"
    name: str = ""
    where: str = ""
    excerpt: str = ""
    text: str = ""
    verdict: str = "allow"


class Scanned(msgspec.Struct, frozen=True, kw_only=True):
    """A catalog with the name that the policy has for its server."""

    catalog: Catalog
    server: str


def judge(policy: Policy, scanned: list[Scanned], caller: Caller) -> list[Found]:
    """What is found in all catalogs, which are shown one after the other as servers of one tenant.

    Every guard sees every list as the server sent it: none ends the chain, and none takes anything out for the next.
    ``rug_pull`` is left out, as nothing is learned here; ``--baseline`` compares instead.

    Args:
        policy: the policy.
        scanned: the catalogs.
        caller: who would be shown them.
    """
    guards = tuple(
        replace(bound, mode=Mode.SHADOW, timeout=PATIENCE)
        for bound in policy.guards
        if bound.type.name != RUG_PULL.name
    )
    # What nobody refuses is shown, so that guards remember whose names were there first.
    responses = policy.settings.responses.model_copy(update={"default": "allow"})
    settings = policy.settings.model_copy(update={"responses": responses, "mode": Mode.ENFORCE})
    watching = replace(policy, settings=settings, guards=guards, deadline=PATIENCE, _chains={})
    enforced = {bound.id for bound in policy.guards if bound.mode is Mode.ENFORCE}

    async def run() -> list[Found]:
        found: list[Found] = []
        async with Sources() as sources:
            servers = tuple(dict.fromkeys(each.server for each in scanned))
            # Time passes from list to list, however fast they are judged.
            turns = count(1)
            listed = ListedNames(wall=lambda: float(next(turns)))
            facts = {name: _InMemory(source, servers) for name, source in {**sources.facts, LISTED: listed}.items()}
            if len(servers) > 1:
                # Once before, so that what the first says of the last is seen.
                for each in scanned:
                    if (tools := each.catalog.lists.get("tools/list")) is not None:
                        await _decide(watching, _operation(each, "tools/list", tools, caller), facts)
            for each in scanned:
                found += _remarks(each)
                for method, payload in _payloads(each.catalog):
                    operation = _operation(each, method, payload, caller)
                    for outcome in (await _decide(watching, operation, facts)).outcomes:
                        found += _of_outcome(each, operation, outcome, enforced=outcome.guard in enforced)
        return found

    return list(dict.fromkeys(asyncio.run(run())))


def named_as(policy: Policy, catalog: Catalog, wanted: str | None) -> str:
    """The canonical name of a catalog's server: by the id that is given or the host, else what it calls itself."""
    place = policy.servers.place(server_id=wanted, host=catalog.host, kind=None, subject=None)
    return place.server or wanted or catalog.name or catalog.host or "server"


async def _decide(policy: Policy, operation: Operation, facts: FactSources) -> Decision:
    return await decide(policy, operation, deadline=perf_counter() + PATIENCE, can_modify=True, sources=facts)


def _payloads(catalog: Catalog) -> Iterator[tuple[str, dict[str, Any]]]:
    if catalog.greeting:
        yield catalog.greeted_by, catalog.greeting
    for method in LISTS:
        if method in catalog.lists:
            yield method, catalog.lists[method]


def _operation(scanned: Scanned, method: str, payload: dict[str, Any], caller: Caller) -> Operation:
    return Operation(
        protocol=GatewayProtocol.EXT_PROC,
        direction=Direction.RESPONSE,
        phase=response_phase_of(method),
        kind=Kind.RESULT,
        method=method,
        id=1,
        server=scanned.server,
        servers=(scanned.server,),
        payload=payload,
        caller=caller,
        revision=scanned.catalog.revision or REVISION,
        learnable=True,
    )


def _remarks(scanned: Scanned) -> Iterator[Found]:
    for remark in scanned.catalog.remarks:
        rule = RULES[remark.rule]
        yield Found(
            target=scanned.catalog.target,
            server=scanned.server,
            guard=SCAN,
            type=SCAN,
            rule=remark.rule,
            severity=rule.severity,
            threats=rule.threats,
            name=remark.method,
            text=remark.text,
        )


def _of_outcome(scanned: Scanned, operation: Operation, outcome: GuardOutcome, *, enforced: bool) -> Iterator[Found]:
    verdict = outcome.verdict if enforced else "allow"
    if outcome.error is not None:
        yield Found(
            target=scanned.catalog.target,
            server=scanned.server,
            guard=outcome.guard,
            type=outcome.type,
            rule="guard_failed",
            severity=RULES["guard_failed"].severity,
            name=operation.method,
            text=f"it could not judge {operation.method}: {outcome.error}",
        )
    for finding in outcome.findings:
        if finding.suppressed_by:
            continue
        kind, name = _about(operation, finding)
        yield Found(
            target=scanned.catalog.target,
            server=scanned.server,
            guard=outcome.guard,
            type=outcome.type,
            rule=finding.rule,
            severity=finding.severity,
            threats=finding.threats,
            kind=kind,
            name=name,
            where=finding.where,
            excerpt=finding.excerpt,
            verdict=verdict,
        )


def _about(operation: Operation, finding: Finding) -> tuple[str, str]:
    """Kind and name of what a finding points into."""
    member, _, rest = finding.where.removeprefix("/").partition("/")
    if member not in _NAMED_BY:
        return "server", member if operation.method not in LISTS else operation.method
    kind, field = _NAMED_BY[member]
    index = rest.partition("/")[0]
    entries = operation.payload.get(member)
    if index.isdecimal() and isinstance(entries, list) and int(index) < len(entries):
        entry = entries[int(index)]
        name = entry.get(field) if isinstance(entry, dict) else None
        return kind, name if isinstance(name, str) else f"#{index}"
    return kind, ""


class _InMemory:
    """A source that keeps in memory what the policy would keep in a file or in Redis, which a scan leaves alone.

    Args:
        source: the source.
        servers: those that are scanned, whose names count though the policy does not declare them.
    """

    def __init__(self, source: FactSource, servers: tuple[str, ...]) -> None:
        self._source = source
        self._servers = servers

    async def fetch(self, request: FactRequest) -> Any:
        need = request.need
        if getattr(getattr(need, "store", None), "url", None) is not None:
            need = msgspec.structs.replace(need, store=msgspec.structs.replace(need.store, url=None))
        if isinstance(need, ListedNeed) and need.places:
            others = (Place(need.places[0].tenant, server) for server in self._servers)
            need = msgspec.structs.replace(need, places=tuple(dict.fromkeys((*need.places, *others))))
        return await self._source.fetch(msgspec.structs.replace(request, need=need))
