"""``guardsvc wasm inspect``: what a component is, without running what it judges."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from guardsvc.cli.wasm.component import compiled, least_limits, raised, schema_of
from guardsvc.guards.wasm.loading.sources import SourceError
from guardsvc.guards.wasm.loading.trust import Trusted

if TYPE_CHECKING:
    from guardsvc.cli.wasm.options import Asked
    from guardsvc.guards.wasm.loading.sources import Artifact

__all__ = ["described", "run_inspect", "told"]


def run_inspect(asked: Asked, *, as_json: bool) -> None:
    """Print what the component is."""
    artifact = asked.read()
    report = described(artifact) | {"module": asked.text, "signed_by": _signer(asked, artifact)}
    print(json.dumps(report) if as_json else told(report))


def described(artifact: Artifact) -> dict[str, Any]:
    """What a component is; ends the process where it can be no guard."""
    module = compiled(artifact)
    shape = module.shape
    limits = least_limits(module)
    points = sorted(f"{direction.value} {phase.value}" for direction, phase in shape.functions)
    return {
        "digest": artifact.digest,
        "manifest": artifact.manifest,
        "bytes": len(artifact.content),
        "interface": shape.version,
        "judges": shape.kinds,
        "phases": points,
        "imports": sorted(f"{each.instance} {each.name}" for each in shape.imports),
        "grants": [grant for grant in ("http", "kv") if shape.wants(grant)],
        "memory_mib": None if limits is None else limits.memory_mib,
        "limits": {} if limits is None else raised(limits),
        "settings": sorted(shape.settings),
        "schema": None if limits is None else schema_of(module, limits),
        "signatures": len(artifact.evidence),
        "signed_by": None,
    }


def told(report: dict[str, Any]) -> str:
    """The report for a person."""
    memory = report["memory_mib"]
    signed = "no signature" if not report["signatures"] else f"{report['signatures']}, of no key that was named"
    rows = {
        "module": report.get("module", ""),
        "digest": report["digest"],
        "manifest": report["manifest"],
        "size": f"{report['bytes'] / 1024:.1f} KiB",
        "interface": report["interface"],
        "judges": ", ".join(report["judges"]),
        "phases": ", ".join(report["phases"]),
        "imports": ", ".join(report["imports"]) or "nothing",
        "grants it needs": ", ".join(report["grants"]) or "none",
        "memory_mib": "cannot be instantiated" if memory is None else f"{memory:g} at least",
        "limits it needs": ", ".join(f"{name}: {value:g}" for name, value in report["limits"].items()) or None,
        "settings": ", ".join(report["settings"]) or "not described",
        "schema": None if report["schema"] is None else json.dumps(report["schema"]),
        "signatures": f"by {report['signed_by']}" if report["signed_by"] else signed,
    }
    return "\n".join(f"{name:16} {value}" for name, value in rows.items() if value is not None)


def _signer(asked: Asked, artifact: Artifact) -> str | None:
    trusted = Trusted(asked.place, asked.options.trust)
    if not trusted.asks(pinned=False):
        return None
    try:
        return trusted.accept(artifact, pinned=False, allow_unsigned=False)
    except SourceError:
        return None
