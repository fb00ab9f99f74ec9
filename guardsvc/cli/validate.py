"""``guardsvc validate``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.config import ConfigError
from guardsvc.server.configuration import Configuration, load_configuration

__all__ = ["run_validate"]


def run_validate(file: str, *, as_json: bool) -> None:
    """Check the file and say what it amounts to, or every problem of it."""
    try:
        configuration = load_configuration(Path(file))
    except ConfigError as error:
        if as_json:
            problems = [{"path": p.path, "message": p.message, "line": p.line} for p in error.problems]
            print(json.dumps({"valid": False, "source": error.source, "problems": problems}))
        else:
            print(error, file=sys.stderr)
            count = len(error.problems)
            print(f"{file}: {count} problem{'s' * (count != 1)}", file=sys.stderr)
        sys.exit(ExitCode.CONFIGURATION)
    warnings = _warnings(configuration)
    policy = configuration.policy
    if as_json:
        print(
            json.dumps(
                {
                    "valid": True,
                    "source": configuration.source,
                    "policy": {"name": policy.settings.name, "hash": policy.hash},
                    "guards": [bound.id for bound in policy.guards],
                    "warnings": warnings,
                }
            )
        )
        return
    print(f"{file}: valid; policy {policy.settings.name} ({policy.hash}), {len(policy.guards)} guards")
    for warning in warnings:
        print(f"{file}: warning: {warning}")


def _warnings(configuration: Configuration) -> list[str]:
    """What is legal, but seldom meant."""
    policy, warnings = configuration.policy, []
    if not policy.guards:
        warnings.append(f"no guards: every operation is decided by default: {policy.settings.default}")
    elif all(bound.mode == "shadow" for bound in policy.guards) and policy.settings.default == "deny":
        warnings.append("all guards are in shadow mode, so default: deny refuses every operation")
    if policy.settings.default == "allow":
        warnings.append("default: allow lets pass what no guard judged, even where the chain itself fails")
    if policy.settings.transport.other == "allow":
        warnings.append("transport.other: allow lets requests of every kind pass unread, a POST outside mcp_paths too")
    if policy.settings.mode == "shadow":
        warnings.append("mode: shadow applies no decision")
    warnings.extend(
        f"guard {bound.id} fails open: when it cannot answer, the operation passes"
        for bound in policy.guards
        if bound.failure_mode == "fail_open"
    )
    host = configuration.service.grpc.address.rpartition(":")[0].strip("[]")
    if host not in ("localhost", "::1") and not host.startswith("127."):
        warnings.append(
            f"service.grpc.address {configuration.service.grpc.address} is not loopback: identities from peers "
            "on other hosts count as not verified"
        )
    return warnings
