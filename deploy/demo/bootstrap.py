"""Bootstrap: the shipped Envoy configuration with the ports of this run in place of the fixed ones."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "GUARDSVC",
    "LISTENER",
    "MCP_SERVER",
    "SHIPPED",
    "SHIPPED_JWT",
    "SHIPPED_UDS",
    "SHIPPED_WORKERS",
    "Bootstrap",
]

SHIPPED = Path(__file__).parents[1] / "envoy" / "ext_authz.yaml"
SHIPPED_UDS = SHIPPED.with_name("ext_authz_uds.yaml")
SHIPPED_WORKERS = SHIPPED.with_name("ext_authz_workers.yaml")
SHIPPED_JWT = SHIPPED.with_name("jwt_authn.yaml")
LISTENER = "mcp_ingress"
MCP_SERVER = "mcp_server"
GUARDSVC = "guardsvc"


class Bootstrap:
    """A copy of a shipped configuration in which Envoy takes free ports.

    Args:
        shipped: its file.

    Attributes:
        document: the configuration as Envoy reads it.
    """

    def __init__(self, shipped: Path = SHIPPED) -> None:
        self.document: dict[str, Any] = yaml.safe_load(shipped.read_text())
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

    def point(self, cluster: str, *ports: int) -> None:
        """Let a cluster lead to ports of this machine, as many as it has endpoints."""
        for endpoint, port in zip(self._endpoints(cluster), ports, strict=True):
            _address(endpoint)["port_value"] = port

    def point_to_socket(self, cluster: str, path: Path) -> None:
        """Let a cluster lead to a UNIX socket."""
        (endpoint,) = self._endpoints(cluster)
        endpoint["address"]["pipe"]["path"] = str(path)

    def add_guardsvc(self, cluster: str) -> None:
        """Add another cluster like guardsvc's."""
        (found,) = (each for each in self._clusters if each["name"] == GUARDSVC)
        copy = deepcopy(found)
        copy["name"] = copy["load_assignment"]["cluster_name"] = cluster
        self._clusters.append(copy)

    def add_listener(self, name: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Add a listener like the shipped one, whose ext_authz settings ``change`` alters in place."""
        filters = self._add_copy(name)
        change(filters[0]["typed_config"])

    def add_token_listener(self, name: str, jwks: str) -> None:
        """Add a listener like the shipped one that takes only requests with a token, by the shipped filter.

        Args:
            name: of the listener.
            jwks: public keys of the issuer, as JSON.
        """
        verify: dict[str, Any] = yaml.safe_load(SHIPPED_JWT.read_text())
        verify["typed_config"]["providers"]["issuer"]["local_jwks"] = {"inline_string": jwks}
        self._add_copy(name).insert(0, verify)

    def _add_copy(self, name: str) -> list[dict[str, Any]]:
        """Add a copy of the shipped listener, and give its HTTP filters."""
        copy = deepcopy(self._listeners[0])
        copy["name"] = name
        self._listeners.append(copy)
        filters: list[dict[str, Any]] = copy["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
        return filters

    def _endpoints(self, cluster: str) -> list[dict[str, Any]]:
        (found,) = (each for each in self._clusters if each["name"] == cluster)
        return [each["endpoint"] for each in found["load_assignment"]["endpoints"][0]["lb_endpoints"]]


def _address(holder: dict[str, Any]) -> dict[str, Any]:
    address: dict[str, Any] = holder["address"]["socket_address"]
    return address
