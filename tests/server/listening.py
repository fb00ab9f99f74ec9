"""Listeners of a running service: their settings, how to ask over TLS, and a request that claims all there is."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from tests.packages.installed import environment
from tests.server.certificates import Authority, Pair
from tests.server.process import Running, call, check_request, launched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CHECK = "/envoy.service.auth.v3.Authorization/Check"
AUTHORITY = Authority()
GATEWAY = AUTHORITY.issue(uris=("spiffe://acme.example/ns/gateways/sa/envoy",))
STRANGER = AUTHORITY.issue(
    uris=("spiffe://acme.example/ns/tools/sa/x",),
    dns=("spiffe://acme.example/ns/gateways/sa/envoy",),
    name="spiffe://acme.example/ns/gateways/sa/envoy",
)
TRUST = {"uris": ["spiffe://acme.example/ns/gateways/*"]}
FREE = {"address": "127.0.0.1:0"}

ACME_ALONE = {
    "type": "access_list",
    "settings": {
        "unknown_server": "allow",
        "default": "deny",
        "rules": [{"action": "allow", "verified": True, "tenants": ["acme"], "principals": ["ann"]}],
    },
}


def write(folder: Path, listeners: dict[str, Any], *guards: Any, **service: Any) -> Path:
    """A configuration with these listeners, which allows Ann of acme alone unless other guards are given."""
    config = folder / "config.json"
    settings = {"listeners": listeners, "metrics": FREE, **service}
    config.write_text(json.dumps({"service": settings, "policy": {"guards": guards or (ACME_ALONE,)}}))
    return config


@contextmanager
def serving(folder: Path, listeners: dict[str, Any], *guards: Any, **service: Any) -> Iterator[Running]:
    config = write(folder, listeners, *guards, **service)
    with launched(folder, "--config", str(config), env=environment(folder)) as running:
        running.wait_for_log("ready")
        yield running


def address(running: Running, listener: str) -> str:
    return str(running.logs("ready")[0]["listeners"][0][listener])


def port_of(running: Running, listener: str) -> str:
    return address(running, listener).rpartition(":")[2]


@contextmanager
def secured(target: str, pair: Pair | None = None, authority: Authority = AUTHORITY) -> Iterator[Callable[..., Any]]:
    """How to ask over TLS, on a connection of its own."""
    credentials = grpc.ssl_channel_credentials(authority.certificate, pair and pair.key, pair and pair.certificate)
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.secure_channel(target, credentials, options=options) as channel:
        yield channel.unary_unary(CHECK, CheckRequest.SerializeToString, CheckResponse.FromString)


def forged(**extensions: str) -> CheckRequest:
    """A CheckRequest that claims to be for Ann of acme in every way there is."""
    request = check_request(call(), **{"tenant": "acme", "mcp_server": "files", **extensions})
    request.attributes.source.principal = "ann"
    request.attributes.source.address.socket_address.address = "203.0.113.9"
    metadata = request.attributes.metadata_context.filter_metadata["envoy.filters.http.jwt_authn"]
    metadata.update({"jwt_payload": {"sub": "ann", "tenant": "acme"}})
    return request


def told(answer: CheckResponse) -> dict[str, str]:
    return {name: value.string_value for name, value in answer.dynamic_metadata.fields.items()}


def tls(folder: Path, **more: Any) -> dict[str, Any]:
    """Settings of TLS with a fresh certificate in files."""
    certificate, key = AUTHORITY.issue_server().write(folder, "server")
    return {"certificate": str(certificate), "key": str(key), "reload_interval_s": 0.1, **more}


def mutual(folder: Path) -> dict[str, Any]:
    authority = folder / "authority.pem"
    authority.write_bytes(AUTHORITY.certificate)
    return tls(folder, client_ca=str(authority))
