"""What the audit knows of guards with a candidate: which version decided follows from caller, share and salt."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec

from guardsvc.cli.ab.arms import Arms, Guards

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guardsvc.guards.wasm.guard import WasmGuard

__all__ = ["read_audit"]

CUT = "…"


class _Guard(msgspec.Struct):
    guard: str
    verdict: str
    duration_us: int
    error: str | None = None
    findings: list[Any] = []


class _Record(msgspec.Struct):
    policy: str = ""
    tenant: str | None = None
    principal: str | None = None
    verified: bool = False
    guards: list[_Guard] = []


def read_audit(files: list[str], config: str) -> tuple[Guards, Counter[str]]:
    """What each version decided, by the records of the policy that the configuration is.

    Args:
        files: of the audit.
        config: path of the configuration.

    Returns:
        The guards, and how many records were left out, by reason.

    Raises:
        OSError: a file cannot be read.
    """
    from guardsvc.server.configuration import load_configuration

    policy = load_configuration(Path(config)).policy
    varied: dict[str, WasmGuard] = {
        bound.id: cast("WasmGuard", bound.guard)
        for bound in policy.guards
        if getattr(bound.guard, "assignment", None) is not None
    }
    guards: Guards = {name: Arms() for name in varied}
    left_out: Counter[str] = Counter()
    for record in _records(files, left_out):
        judged = [each for each in record.guards if each.guard in varied]
        if not judged:
            continue
        if record.policy != policy.hash:
            left_out["of another policy"] += 1
            continue
        if any(text is not None and text.endswith(CUT) for text in (record.tenant, record.principal)):
            left_out["whose caller is cut off"] += 1
            continue
        for each in judged:
            arm = varied[each.guard].decides(record.tenant, record.principal, verified=record.verified)
            outcome = "error" if each.error else "warn" if each.verdict == "allow" and each.findings else each.verdict
            known = guards[each.guard].arms[arm]
            known.outcomes[outcome] += 1
            known.times.append(each.duration_us)
    return guards, left_out


def _records(files: list[str], left_out: Counter[str]) -> Iterator[_Record]:
    decode = msgspec.json.Decoder(_Record).decode
    for name in files:
        with Path(name).open("rb") as file:
            for line in file:
                if b'"type":"decision"' not in line:
                    continue
                try:
                    yield decode(line)
                except msgspec.MsgspecError:
                    left_out["that cannot be read"] += 1
