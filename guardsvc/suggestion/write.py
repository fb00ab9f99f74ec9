"""Write: the suggested policy as YAML, with comments that say what it was drawn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import yaml

from guardsvc.mcp.transport import TransportKind
from guardsvc.suggestion.access import access_rules, usable
from guardsvc.suggestion.evidence import Evidence
from guardsvc.suggestion.limits import MIN_HEADROOM, rate_limits

__all__ = ["Wishes", "suggest"]

WIDTH = 112


@dataclass(frozen=True)
class Wishes:
    """What an operator may choose.

    Attributes:
        glob_from: names with the same beginning from which on a glob stands for them; 0 for never.
        headroom: what the highest count is multiplied by for a limit.
        servers: ``servers`` of the policy that named them.
        preset: which other guards there are; None for a policy without any.
    """

    glob_from: int = 8
    headroom: float = MIN_HEADROOM
    servers: Mapping[str, Any] = field(default_factory=dict)
    preset: str | None = "default"


def suggest(evidence: Evidence, wishes: Wishes) -> str:
    """The section ``policy`` of a configuration, under which everything that was seen and can be named passes.

    What guards of a preset refuse of it besides is theirs.
    """
    kept = replace(evidence, seen=[seen for seen in evidence.seen if usable(seen)])
    lines = [*_head(evidence, kept), "policy:"]
    if wishes.preset is not None:
        lines.append(f"  preset: {wishes.preset}    # all other guards; the entries below change or add to them")
    if servers := {**_servers(kept), **wishes.servers}:
        lines += _block({"servers": servers}, 2)
    transport = sorted({seen.method for seen in kept.seen} & set(map(str, TransportKind)))
    if transport:
        lines += _block({"transport": {name.removeprefix("http/"): "allow" for name in transport}}, 2)
    lines.append("  guards:")
    if not evidence.checked and wishes.preset is not None:
        lines += ["    - type: protocol_compliance", "      enabled: false"]
    elif evidence.checked and wishes.preset is None:
        lines += ["    - type: protocol_compliance", "      priority: 10"]
    lines += _access_list(kept, wishes)
    lines += _rate_limit(kept, wishes)
    return "\n".join(lines) + "\n"


def _head(evidence: Evidence, kept: Evidence) -> Iterator[str]:
    sources = ", ".join(map(_told, evidence.sources))
    yield f"# Drawn from {_count(len(kept.seen), 'allowed request')} of {sources}."
    span = kept.span
    yield (
        "# When they were sent is not known." if span is None else f"# Sent from {_time(span[0])} to {_time(span[1])}."
    )
    left_out = (
        (evidence.refused, "denied"),
        (evidence.unread, "that cannot be read"),
        (evidence.others, "answers, or none of MCP"),
        (len(evidence.seen) - len(kept.seen), "with a name that has * in it, which would stand for any name"),
    )
    if told := [f"{count} {what}" for count, what in left_out if count]:
        yield f"# Left out: {'; '.join(told)}."
    if any((seen.caller.tenant or seen.caller.principal) and not seen.caller.verified for seen in kept.seen):
        yield "# Some callers are not verified: who names one of them in the same way is allowed the same."
    if not evidence.checked:
        yield "# Without protocol_compliance, which some of the requests have not passed."


def _servers(kept: Evidence) -> dict[str, Any]:
    names = sorted({name for seen in kept.seen for name in seen.operation.servers})
    return {name: {"hosts": sorted(kept.hosts[name])} if name in kept.hosts else {} for name in names}


def _access_list(kept: Evidence, wishes: Wishes) -> Iterator[str]:
    unknown = any(not seen.operation.servers for seen in kept.seen)
    yield "    - type: access_list"
    yield "      priority: 30"
    yield "      settings:"
    yield "        default: deny"
    if unknown:
        yield "        unknown_server: allow    # of some requests nobody says for which server they are"
    yield "        rules:"
    rules = access_rules(kept, glob_from=wishes.glob_from)
    for rule in rules:
        yield f"          # {_count(rule.requests, 'request')} of {_count(rule.callers, 'caller')}"
        yield from _block([rule.settings], 10)
    if not rules:
        yield "          []"


def _rate_limit(kept: Evidence, wishes: Wishes) -> Iterator[str]:
    limits = rate_limits(kept, headroom=wishes.headroom)
    if not limits:
        return
    yield "    - type: rate_limit"
    yield "      priority: 40"
    yield "      settings:"
    yield f"        # {wishes.headroom:g} times the most that was seen of one key"
    yield "        limits:"
    yield from _block(limits, 10)


def _block(value: Any, indent: int) -> list[str]:
    text = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=WIDTH - indent, default_flow_style=None)
    return [" " * indent + line for line in text.splitlines()]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _told(name: str) -> str:
    return name if name.isprintable() else name.encode("unicode_escape").decode()
