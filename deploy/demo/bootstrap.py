"""Bootstrap: the shipped Envoy configuration with the ports of this run in place of the fixed ones."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["GUARDSVC", "LISTENER", "MCP_SERVER", "SHIPPED", "Bootstrap"]

SHIPPED = Path(__file__).parents[1] / "envoy" / "ext_authz.yaml"
LISTENER = "mcp_ingress"
MCP_SERVER = "mcp_server"
GUARDSVC = "guardsvc"


class Bootstrap:
    """A copy of the shipped configuration in which Envoy takes free ports.

    Attributes:
        document: the configuration as Envoy reads it.
    """

    def __init__(self) -> None:
        self.document: dict[str, Any] = yaml.safe_load(SHIPPED.read_text())
        _address(self.document["admin"])["port_value"] = 0
        for listener in self._listeners:
            _address(listener)["port_value"] = 0

    @property
    def _listeners(self) -> list[dict[str, Any]]:
        listeners: list[dict[str, Any]] = self.document["static_resources"]["listeners"]
        return listeners

    @property
    def _clusters(self) -> list[dict[str, Any]]:
        clusters: list[dict[str, Any]] = self.document["static_resources"]["clusters"]
        return clusters

    def point(self, cluster: str, port: int) -> None:
        """Let a cluster lead to a port of this machine."""
        (found,) = (each for each in self._clusters if each["name"] == cluster)
        endpoint = found["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        _address(endpoint)["port_value"] = port

    def add_guardsvc(self, cluster: str) -> None:
        """Add another cluster like guardsvc's."""
        (found,) = (each for each in self._clusters if each["name"] == GUARDSVC)
        copy = deepcopy(found)
        copy["name"] = copy["load_assignment"]["cluster_name"] = cluster
        self._clusters.append(copy)

    def add_listener(self, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Add a listener like the shipped one, whose ext_authz settings ``change`` alters in place."""
        copy = deepcopy(self._listeners[0])
        copy["name"] = name
        manager = copy["filter_chains"][0]["filters"][0]["typed_config"]
        change(manager["http_filters"][0]["typed_config"])
        self._listeners.append(copy)


def _address(holder: dict[str, Any]) -> dict[str, Any]:
    address: dict[str, Any] = holder["address"]["socket_address"]
    return address
