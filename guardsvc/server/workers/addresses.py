"""Addresses: where each of several workers listens, worked out from what is configured once."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from guardsvc.server.address import UNIX, host_and_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from guardsvc.config.problems import Path
    from guardsvc.server.settings import ServiceSettings

__all__ = ["WORKER", "address_of", "collisions", "settings_at"]

WORKER = "{worker}"
"""Stands for the number of the worker in the path of a socket."""
MAX_PORT = 65_535
ANYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104  compared with, not bound
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def address_of(address: str, worker: int) -> str:
    """Where a worker listens: the port counted up by its number, or its number in the socket's path.

    Port 0 takes a free one for each.
    """
    if address.startswith(UNIX):
        return address.replace(WORKER, str(worker))
    host, port = host_and_port(address)
    return _join(host, port + worker if port else 0)


def settings_at(service: ServiceSettings, addresses: Mapping[str, str]) -> ServiceSettings:
    """The settings with other addresses for its listeners, by their names."""
    listeners = {
        name: listener.model_copy(update={"address": addresses[name]}) for name, listener in service.listeners.items()
    }
    return service.model_copy(update={"listeners": listeners})


def collisions(service: ServiceSettings) -> Iterator[tuple[Path, str]]:
    """Why the workers could not all have addresses of their own: place below ``service``, and what is wrong."""
    taken = {service.metrics.address: "metrics.address"}
    for name, listener in service.listeners.items():
        for problem in _problems(listener.address, service.workers, taken):
            yield ("listeners", name, "address"), problem
        for worker in range(service.workers):
            with suppress(ValueError):
                taken.setdefault(address_of(listener.address, worker), f"listeners.{name}.address, worker {worker}")


def _problems(address: str, workers: int, taken: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with the address of a listener. One process alone is refused by the system where it is taken."""
    if address.startswith(UNIX):
        if workers == 1 and WORKER in address:
            yield f"{WORKER} stands for a worker's number, but service.workers is 1"
        if workers > 1 and WORKER not in address:
            yield f'"{address}" is one socket for {workers} workers; put {WORKER} in its path'
        return
    host, port = host_and_port(address)
    last = port + workers - 1
    if workers == 1 or port == 0:
        return
    if last > MAX_PORT:
        yield f"{workers} workers take the ports from {port} on, and {last} is above {MAX_PORT}"
    for other, name in taken.items():
        if other.startswith(UNIX):
            continue
        other_host, other_port = host_and_port(other)
        if port <= other_port <= last and _overlap(host, other_host):
            yield (
                f"{workers} workers take the ports {port} to {last}, and {other_port} is that of service.{name}; "
                f"choose {workers} free ports, such as those from {_join(host, other_port + 1)} on"
            )
            return


def _overlap(one: str, other: str) -> bool:
    return one == other or bool({one, other} & ANYWHERE) or {one, other} <= LOOPBACK


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
