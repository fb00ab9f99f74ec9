"""What a listener may be: its defaults, and combinations that are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardsvc.config import ConfigError
from guardsvc.server.configuration import load_configuration
from guardsvc.server.listener_settings import ListenerSettings
from tests.server.policies import allowing

TLS = {"certificate": "/c.pem", "key": "/k.pem"}
MUTUAL = {**TLS, "client_ca": "/ca.pem"}
NAMES = {"uris": ["spiffe://acme/gw"]}


def listener(**settings: Any) -> ListenerSettings:
    return ListenerSettings.model_validate_json(json.dumps(settings), strict=True)


@pytest.mark.parametrize(
    ("settings", "believed"),
    [
        ({}, "local"),
        ({"address": "0.0.0.0:9191"}, "local"),
        ({"address": "unix:/run/guardsvc/g.sock"}, "local"),
        ({"tls": TLS}, "local"),
        ({"tls": MUTUAL, "trust": NAMES}, "certificate"),
        ({"tls": MUTUAL, "trust": {"dns_names": ["gw.acme"]}}, "certificate"),
        ({"tls": MUTUAL, "trust": {"peers": "none"}}, "none"),
        ({"trust": {"peers": "any"}}, "any"),
        ({"address": "unix:/g.sock", "socket": {"mode": "0666"}, "trust": {"peers": "none"}}, "none"),
    ],
)
def test_whom_a_listener_believes(settings: dict[str, Any], believed: str) -> None:
    assert listener(**settings).believed == believed


@pytest.mark.parametrize(
    ("address", "beyond"),
    [
        ("127.0.0.1:1", False),
        ("127.9.9.9:1", False),
        ("localhost:1", False),
        ("[::1]:1", False),
        ("unix:/g.sock", False),
        ("0.0.0.0:1", True),
        ("[::]:1", True),
        ("10.0.0.1:1", True),
        ("127.evil.example:1", True),
    ],
)
def test_what_other_machines_reach(address: str, beyond: bool) -> None:
    assert listener(address=address).beyond_this_host is beyond


@pytest.mark.parametrize(
    ("settings", "path", "message"),
    [
        ({"address": "unix:/g.sock", "tls": TLS}, "tls", "a UNIX socket has no TLS"),
        ({"socket": {"mode": "0660"}}, "socket", '"127.0.0.1:9191" is no UNIX socket'),
        ({"trust": {"peers": "certificate", **NAMES}}, "trust.peers", "needs tls.client_ca"),
        ({"tls": TLS, "trust": {"peers": "certificate", **NAMES}}, "trust.peers", "needs tls.client_ca"),
        ({"tls": MUTUAL}, "trust", "names no certificate"),
        ({"tls": TLS, "trust": NAMES}, "trust.peers", 'do not count with "local"'),
        ({"trust": {"peers": "any", **NAMES}}, "trust.peers", 'do not count with "any"'),
        ({"address": "unix:/g.sock", "socket": {"mode": "0666"}}, "socket.mode", "lets every user of this host"),
        ({"address": "unix:/g.sock", "socket": {"mode": "660x"}}, "socket.mode", "not a mode in octal digits"),
        ({"address": "unix:g.sock"}, "address", "not unix: and the absolute path"),
        ({"address": "unix:@abstract"}, "address", "not unix: and the absolute path"),
        ({"address": "unix:/run/"}, "address", "not unix: and the absolute path"),
        ({"address": "unix:/" + "x" * 107}, "address", "more than the 107 bytes"),
        ({"address": f"unix:/{'x' * 98}/g"}, "address", "more than the 107 bytes"),
        ({"address": "unix-abstract:x"}, "address", "is not host:port"),
        ({"tls": {"certificate": "c.pem", "key": "/k.pem"}}, "tls.certificate", "not an absolute path"),
        ({"tls": MUTUAL, "trust": {"uris": ["*"]}}, "trust.uris[0]", "is not a URI"),
        ({"tls": MUTUAL, "trust": {"dns_names": ["*"]}}, "trust.dns_names[0]", "is not a DNS name"),
    ],
)
def test_what_does_not_fit_together(tmp_path: Any, settings: dict[str, Any], path: str, message: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(allowing(listeners={"default": settings}))
    with pytest.raises(ConfigError) as caught:
        load_configuration(file)
    (problem,) = caught.value.problems
    assert problem.path == f"service.listeners.default.{path}"
    assert message in problem.message


@pytest.mark.parametrize(
    ("listeners", "path"),
    [
        ({}, "service.listeners"),
        ({"a": {"serves": "http"}}, "service.listeners"),
        ({"a": {}, "b": {}}, "service.listeners.b.address"),
        ({"a b": {}}, 'service.listeners["a b"]'),
    ],
)
def test_listeners_that_cannot_be_told_apart(tmp_path: Any, listeners: dict[str, Any], path: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(allowing(listeners=listeners))
    with pytest.raises(ConfigError) as caught:
        load_configuration(file)
    assert path in {problem.path for problem in caught.value.problems}


def test_two_listeners_may_each_take_a_free_port(tmp_path: Any) -> None:
    file = tmp_path / "config.json"
    file.write_text(allowing(listeners={"a": {"address": "127.0.0.1:0"}, "b": {"address": "127.0.0.1:0"}}))
    assert set(load_configuration(file).service.listeners) == {"a", "b"}
