"""Where each worker listens, and what cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.config import ConfigError
from guardsvc.server.configuration import load_configuration
from guardsvc.server.workers.addresses import address_of, settings_at
from tests.server.policies import allowing

if TYPE_CHECKING:
    from pathlib import Path

METRICS = "127.0.0.1:9192"


@pytest.mark.parametrize(
    ("address", "worker", "expected"),
    [
        ("127.0.0.1:9193", 0, "127.0.0.1:9193"),
        ("127.0.0.1:9193", 3, "127.0.0.1:9196"),
        ("[::1]:9193", 1, "[::1]:9194"),
        ("127.0.0.1:0", 5, "127.0.0.1:0"),
        ("unix:/run/guardsvc/{worker}.sock", 1, "unix:/run/guardsvc/1.sock"),
        ("unix:/run/{worker}/guardsvc-{worker}.sock", 12, "unix:/run/12/guardsvc-12.sock"),
    ],
)
def test_address_of_a_worker(address: str, worker: int, expected: str) -> None:
    assert address_of(address, worker) == expected


def problems(folder: Path, workers: int, metrics: str = METRICS, **listeners: str) -> list[tuple[str, str]]:
    file = folder / "config.yaml"
    service: dict[str, Any] = {"workers": workers, "metrics": {"address": metrics}}
    file.write_text(allowing("any", **service, listeners={name: {"address": each} for name, each in listeners.items()}))
    try:
        load_configuration(file)
    except ConfigError as error:
        return [(problem.path, problem.message) for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("workers", "metrics", "listeners"),
    [
        (1, METRICS, {"a": "127.0.0.1:9192"}),
        (2, METRICS, {"a": "127.0.0.1:9193"}),
        (2, METRICS, {"a": "127.0.0.1:9190"}),
        (2, METRICS, {"a": "127.0.0.1:0", "b": "127.0.0.1:0"}),
        (2, METRICS, {"a": "127.0.0.2:9191"}),
        (2, "127.0.0.1:0", {"a": "127.0.0.1:9191"}),
        (2, METRICS, {"a": "unix:/run/{worker}.sock", "b": "127.0.0.1:65534"}),
        (4, METRICS, {"a": "127.0.0.1:9193", "b": "127.0.0.1:9197"}),
    ],
)
def test_what_fits(tmp_path: Path, workers: int, metrics: str, listeners: dict[str, str]) -> None:
    assert problems(tmp_path, workers, metrics, **listeners) == []


@pytest.mark.parametrize(
    ("workers", "listeners", "told"),
    [
        (2, {"a": "127.0.0.1:9191"}, "9192 is that of service.metrics.address; choose 2 free ports"),
        (2, {"a": "0.0.0.0:9191"}, "such as those from 0.0.0.0:9193 on"),
        (3, {"a": "localhost:9190"}, "the ports 9190 to 9192, and 9192 is that of service.metrics.address"),
        (2, {"a": "unix:/run/guardsvc.sock"}, "is one socket for 2 workers; put {worker} in its path"),
        (1, {"a": "unix:/run/guardsvc-{worker}.sock"}, "service.workers is 1"),
        (2, {"a": "127.0.0.1:65535"}, "65536 is above 65535"),
    ],
)
def test_what_collides_is_a_problem(tmp_path: Path, workers: int, listeners: dict[str, str], told: str) -> None:
    ((path, message),) = problems(tmp_path, workers, **listeners)

    assert path == "service.listeners.a.address"
    assert told in message


def test_listeners_that_take_each_others_ports(tmp_path: Path) -> None:
    ((path, message),) = problems(tmp_path, 4, a="127.0.0.1:9193", b="127.0.0.1:9196")

    assert path == "service.listeners.b.address"
    assert "9196 is that of service.listeners.a.address, worker 3" in message


@pytest.mark.parametrize("workers", [0, -1, 65, "many"])
def test_numbers_of_workers(tmp_path: Path, workers: Any) -> None:
    assert [path for path, _ in problems(tmp_path, workers, a="127.0.0.1:0")] == ["service.workers"]


def test_the_settings_of_a_worker_have_its_addresses(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(allowing("any", listeners={"a": {"address": "127.0.0.1:1"}, "b": {"address": "127.0.0.1:5"}}))
    service = load_configuration(file).service
    moved = settings_at(service, {"a": "127.0.0.1:2", "b": "unix:/run/b"})

    assert [listener.address for listener in moved.listeners.values()] == ["127.0.0.1:2", "unix:/run/b"]
    assert moved.model_copy(update={"listeners": service.listeners}) == service
