"""Policies of a size that platform teams have, and small ones for the faults."""

from __future__ import annotations

import json
from typing import Any

GUARDS = (
    "protocol_compliance",
    "auth_bypass",
    "access_list",
    "rate_limit",
    "argument_limits",
    "schema_validation",
    "secrets",
    "sandbox_escape",
    "tool_poisoning",
)
SERVERS = 20
RULES = 100
TOOL = "search_tickets"
"""The tool that the benchmark's CheckRequest calls."""


def sizeable(answer: str, **service: Any) -> dict[str, Any]:
    """Twenty servers, all guards and a hundred rules; about 20 KiB.

    Args:
        answer: what becomes of ``TOOL``: ``allow``, ``deny``, or ``limit`` to refuse it as ``rate_limited``.
        service: the ``service`` section.
    """
    verdict = "deny" if answer == "deny" else "allow"
    rules = [{"id": "asked", "action": verdict, "tools": [TOOL]}]
    rules += [
        {"id": f"rule-{number}", "action": "allow", "methods": ["tools/call"], "tools": [f"team_{number}.*", "x_*_y"]}
        for number in range(RULES)
    ]
    windows = ["1/day"] if answer == "limit" else ["1000000/second"]
    settings: dict[str, dict[str, Any]] = {
        "access_list": {"unknown_server": "allow", "default": "deny", "rules": rules},
        "rate_limit": {"limits": [{"name": "all", "key": ["principal", "tool"], "windows": windows}]},
    }
    guards = [
        {"type": name, "priority": priority, "settings": settings.get(name, {})} for priority, name in enumerate(GUARDS)
    ]
    servers = {f"server-{number}": {"hosts": [f"server-{number}.internal"]} for number in range(SERVERS)}
    return {"service": service, "policy": {"name": f"reload-{answer}", "servers": servers, "guards": guards}}


def written(configuration: dict[str, Any]) -> bytes:
    """A configuration as a file has it; YAML that is JSON too."""
    return json.dumps(configuration, indent=1).encode()


def broken() -> tuple[bytes, bytes]:
    """A file cut in the middle, and one that is wrong in a setting; each would refuse as ``rate_limited``."""
    whole = written(sizeable("limit"))
    wrong = sizeable("limit")
    wrong["policy"]["guards"][GUARDS.index("access_list")]["settings"]["rules"][-1]["tool"] = "misspelt"
    return whole[: len(whole) * 2 // 3], written(wrong)
