"""Components in a running service: gone back by one, and a registry that never answers holds up no decision."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

from guardsvc.guards.wasm.loading.kept import Kept, Rollback
from guardsvc.guards.wasm.loading.sources import Place, digest_of
from tests.guards.wasm.registry_server import small_registry
from tests.guards.wasm.test_service import call, denying, put
from tests.server.process import gateway, serving


def written(folder: Path, module: str, host: str | None = None) -> Path:
    wasm: dict[str, Any] = {"cache": str(folder / "cache")}
    if host is not None:
        wasm |= {"registries": {host: {"insecure": True}}, "fetch_timeout_s": 1}
    settings: dict[str, Any] = {"module": module, "allow_unsigned": True}
    guard = {"type": "wasm", "id": "vendor", "timeout_ms": 60_000, "settings": settings}
    path = folder / "guardsvc.yaml"
    put(path, json.dumps({"service": {"wasm": wasm}, "policy": {"deadline_ms": 60_000, "guards": [guard]}}).encode())
    return path


def test_back_by_one_and_a_registry_that_never_answers(tmp_path: Path) -> None:
    module = tmp_path / "guard.wasm"
    put(module, denying("first_version"))
    with small_registry() as registry:
        registry.stalls = threading.Event()
        config = written(tmp_path, str(module))
        with serving(tmp_path, "--config", str(config)) as running, gateway(running.grpc_address) as asking:
            put(module, denying("second_version"))
            running.wait_for_log("policy_loaded")
            assert asking.verdict(call()) == "second_version"

            first, second = digest_of(denying("first_version")), digest_of(denying("second_version"))
            kept, place = Kept(tmp_path / "cache"), Place.parse(str(module))
            assert kept.go_back(place, Rollback(second, first))
            running.wait_for_log("policy_loaded", 2)
            assert asking.verdict(call()) == "first_version"
            kept.go_back(place, None)
            running.wait_for_log("policy_loaded", 3)
            assert asking.verdict(call()) == "second_version"

            written(tmp_path, f"oci://{registry.host}/scan:v1", registry.host)
            while not registry.seen:
                assert asking.verdict(call()) == "second_version"
            answered = 0
            while not running.logs("reload_failed"):
                assert asking.verdict(call()) == "second_version"
                answered += 1
            assert answered > 1
            assert "has not answered within 1 s" in running.logs("reload_failed")[0]["problems"][0]
            assert running.logs("restart_needed") == []
            assert running.end() == 0
