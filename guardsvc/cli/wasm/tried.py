"""``guardsvc wasm test`` and ``bench``: a component in a policy of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from guardsvc.cli.wasm.component import compiled, enough_limits, least_limits
from guardsvc.cli.wasm.trial import quiet, trial
from guardsvc.guards.wasm.settings import LimitSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from guardsvc.cli.wasm.options import Asked
    from guardsvc.guards.wasm.loading.sources import Artifact

__all__ = ["run_bench", "run_suites"]

TIMEOUT_MS = 5000


def run_suites(
    asked: Asked,
    settings: dict[str, Any],
    grants: dict[str, Any],
    places: Sequence[str],
    *,
    verbose: bool,
    as_json: bool,
) -> None:
    """Run suites, see ``guardsvc test``."""
    from guardsvc.cli.test import SuiteOptions, run_test

    with trial() as folder:
        config = folder / "guardsvc.yaml"
        config.write_text(json.dumps(_policy(asked.read(), settings, grants, folder)), encoding="utf-8")
        options = SuiteOptions(
            places=tuple(places), config=str(config), cases=(), guards=(), junit=None, verbose=verbose
        )
        run_test(options, as_json=as_json)


def run_bench(asked: Asked, settings: dict[str, Any], *, rounds: int, as_json: bool) -> None:
    """Measure, see ``guardsvc bench --wasm``."""
    from guardsvc.cli.bench.wasm import run_wasm

    artifact = asked.read()
    compiled(artifact)
    with trial() as folder, quiet():
        path = _written(artifact, folder)
        run_wasm(str(path), settings, rounds=rounds, as_json=as_json, named=asked.text)


def _policy(artifact: Artifact, settings: dict[str, Any], grants: dict[str, Any], folder: Path) -> dict[str, Any]:
    module = compiled(artifact)
    guard = {
        "type": "wasm",
        "timeout_ms": TIMEOUT_MS,
        "settings": {
            "module": str(_written(artifact, folder)),
            "digest": artifact.digest,
            "config": settings,
            "limits": enough_limits(least_limits(module) or LimitSettings()),
            "grants": ({"kv": {}} if module.shape.wants("kv") else {}) | grants,
        },
    }
    deadlines = {"deadline_ms": TIMEOUT_MS, "responses": {"deadline_ms": TIMEOUT_MS}}
    return {"policy": {"default": "allow", **deadlines, "guards": [guard]}}


def _written(artifact: Artifact, folder: Path) -> Path:
    """The component as a file: what was read is what is tried."""
    path = folder / "module.wasm"
    path.write_bytes(artifact.content)
    return path
