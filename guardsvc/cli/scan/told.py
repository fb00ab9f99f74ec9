"""What ``guardsvc scan`` prints: a table for people, or plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from guardsvc.cli.plain import plain
from guardsvc.cli.scan.catalog import LISTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from guardsvc.cli.scan.judge import Found, Scanned
    from guardsvc.policy import Policy

__all__ = ["Disguise", "described", "table"]

MASK = "********"
SHORTEST = 8
"""Characters from which on a secret is looked for in what is printed."""
MAX_NAME = 80


class Disguise:
    """Masks what must not be printed wherever it stands: a server may send back what it was sent.

    Args:
        secrets: values of header fields and variables, and their parts.
    """

    def __init__(self, secrets: Sequence[str]) -> None:
        parts = {part for secret in secrets for part in (secret, *secret.split()) if len(part) >= SHORTEST}
        self._secrets = sorted(parts - {"Bearer", "Basic", "bearer", "basic"}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """The text without them."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def of(self, value: Any) -> Any:
        """The same of plain data, names of members left as they are."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {key: self.of(inner) for key, inner in value.items()}
        return [self.of(inner) for inner in value] if isinstance(value, list | tuple) else value


def described(
    policy: Policy, scanned: Sequence[Scanned], findings: Sequence[Found], failed: dict[str, str]
) -> dict[str, Any]:
    """Everything as plain data."""
    return {
        "policy": policy.hash,
        "targets": [
            {
                "target": each.catalog.target,
                "server": each.server,
                "revision": each.catalog.revision,
                "entries": {member: len(entries) for member, entries in _members(each)},
            }
            for each in scanned
        ],
        "failed": failed,
        "findings": [msgspec.to_builtins(found) for found in findings],
    }


def table(
    policy: Policy, scanned: Sequence[Scanned], findings: Sequence[Found], failed: dict[str, str]
) -> Iterator[str]:
    """Everything in lines."""
    for each in scanned:
        count = ", ".join(f"{len(entries)} {member}" for member, entries in _members(each)) or "nothing listed"
        yield f"{plain(each.catalog.target)}  server {plain(each.server)}: {count}"
    for target, reason in failed.items():
        yield f"{plain(target)}  not scanned: {plain(reason)}"
    rows = [_row(found) for found in findings]
    head = ("severity", "what", "rule", "policy", "threats", "where")
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head) - 1)]
    for row in [head, *rows] if rows else []:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[-1]]).rstrip()
    yield f"{len(findings)} finding{'s' * (len(findings) != 1)} by policy {policy.settings.name} ({policy.hash})"


def _row(found: Found) -> tuple[str, ...]:
    name = plain(found.name)
    about = f"{found.server} {found.kind} {name[:MAX_NAME]}".rstrip()
    detail = plain(": ".join(part for part in (found.where, found.text or found.excerpt) if part))
    verdict = {"deny": "refuses", "modify": "takes out"}.get(found.verdict, "passes")
    return (str(found.severity), plain(about), f"{found.guard}/{found.rule}", verdict, " ".join(found.threats), detail)


def _members(scanned: Scanned) -> Iterator[tuple[str, list[Any]]]:
    for method, member in LISTS.items():
        if method in scanned.catalog.lists:
            yield member, scanned.catalog.lists[method][member]
