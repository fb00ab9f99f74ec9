"""The metric of pins: by guard, server and state, over all tenants, with names from bounded sets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from guardsvc.observe import Metrics
from guardsvc.server.configuration import load_configuration
from guardsvc.server.pins_report import PinsReport
from guardsvc.state import Sources
from guardsvc.state.baseline import Baseline
from guardsvc.state.catalog_needs import CatalogStore
from guardsvc.state.pins import Pin, PinKind, PinState, Place

if TYPE_CHECKING:
    from pathlib import Path

DEFINITION = {"name": "read"}
PINS = (
    ("", "files", "a", PinState.LEARNING, ""),
    ("acme", "files", "a", PinState.APPROVED, ""),
    ("acme", "files", "b", PinState.APPROVED, "other"),
    ("acme", "elsewhere", "a", PinState.LEARNING, ""),
)


async def test_pins_are_counted(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    guard = {"type": "rug_pull", "id": "pins", "settings": {"storage": f"sqlite:{tmp_path}/baseline.db"}}
    others = [{"type": "protocol_compliance"}]
    file.write_text(json.dumps({"policy": {"servers": {"files": {}, "mail": {}}, "guards": [guard, *others]}}))
    policy = load_configuration(file).policy
    metrics = Metrics("0", process=False)

    def shown(server: str, state: str) -> float | None:
        labels = {"guard": "pins", "server": server, "state": state}
        return metrics.registry.get_sample_value("guardsvc_baseline_pins", labels)

    async with Sources() as sources:
        report = PinsReport(lambda: policy, sources, metrics)
        await report.count()
        assert shown("files", "learning") == 0
        assert not (tmp_path / "baseline.db").exists()

        baseline = Baseline(sources.tables_of(CatalogStore(f"sqlite:{tmp_path}/baseline.db")), "pins")
        for tenant, server, name, state, changed in PINS:
            pin = Pin(digest="d", shape="s", state=state, changed=changed)
            await baseline.put((Place(tenant, server), PinKind.TOOL, name), pin, DEFINITION)
        await report.count()

        assert [shown("files", state) for state in ("learning", "approved", "changed")] == [1, 1, 1]
        assert [shown("_other", "learning"), shown("mail", "learning")] == [1, 0]
        assert shown("elsewhere", "learning") is None

        await baseline.reset((await baseline.pins()).items())
        await report.count()
        assert [shown("files", state) for state in ("learning", "approved", "changed")] == [0, 0, 0]


async def test_what_cannot_be_read_keeps_its_figures(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    guard = {"type": "rug_pull", "settings": {"storage": f"sqlite:{tmp_path}/none/baseline.db"}}
    file.write_text(json.dumps({"policy": {"servers": {"files": {}}, "guards": [guard]}}))
    policy = load_configuration(file).policy
    metrics = Metrics("0", process=False)
    async with Sources() as sources:
        await PinsReport(lambda: policy, sources, metrics).count()
    assert "guardsvc_baseline_pins{" not in metrics.exposition().decode()
