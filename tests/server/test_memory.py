"""The bound that is printed at start has a part for everything that may be held."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.server.configuration import load_configuration
from guardsvc.server.memory import MIB, memory_bound

if TYPE_CHECKING:
    from pathlib import Path


def bound(folder: Path, service: dict[str, Any], *guards: dict[str, Any]) -> dict[str, int]:
    file = folder / "policy.yaml"
    file.write_text(json.dumps({"service": service, "policy": {"guards": guards}}))
    return {part: size // MIB for part, size in memory_bound(load_configuration(file)).items()}


def test_streams_of_ext_proc_have_their_part(tmp_path: Path) -> None:
    assert bound(tmp_path, {})["streams"] == 128
    pair = {"workers": 2, "metrics": {"address": "127.0.0.1:0"}, "overload": {"max_streams": 16}}
    assert bound(tmp_path, pair)["streams"] == 2


@pytest.mark.parametrize(
    ("guard", "part"),
    [
        ({"type": "protocol_compliance"}, 0),
        ({"type": "rug_pull", "settings": {"storage": "sqlite:/tmp/baseline.db"}}, 64),
        ({"type": "rug_pull", "settings": {"storage": "memory"}}, 192),
        ({"type": "rug_pull", "settings": {"storage": "memory"}, "enabled": False}, 0),
    ],
)
def test_catalogs_have_theirs(tmp_path: Path, guard: dict[str, Any], part: int) -> None:
    assert bound(tmp_path, {}, guard)["catalogs"] == part
