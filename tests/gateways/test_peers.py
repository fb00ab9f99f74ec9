from __future__ import annotations

from typing import Any

import pytest

from guardsvc.gateways.peers import Certified, anyone, check_dns_pattern, check_uri_pattern, is_local, local, nobody


class Context:
    """The part of a servicer context that shows the peer."""

    def __init__(self, peer: str = "ipv4:10.0.0.1:1", **shown: list[bytes]) -> None:
        self._peer = peer
        self._shown = shown

    def peer(self) -> str:
        return self._peer

    def auth_context(self) -> dict[str, list[bytes]]:
        return self._shown


def context(peer: str = "ipv4:10.0.0.1:1", **shown: list[bytes]) -> Any:
    return Context(peer, **shown)


def certified(*, uris: list[bytes] | None = None, dns: list[bytes] | None = None, **more: list[bytes]) -> Any:
    """A peer whose certificate has these names."""
    names = {"peer_uri": uris or [], "peer_dns": dns or []}
    shown = {"transport_security_type": [b"ssl"], **{name: found for name, found in names.items() if found}, **more}
    return Context("ipv4:10.0.0.1:1", **shown)


@pytest.mark.parametrize(
    "peer",
    [
        "ipv4:127.0.0.1:1",
        "ipv4:127.255.0.9:65535",
        "ipv6:[::1]:1",
        "ipv6:%5B::1%5D:50051",
        "unix:",
        "unix:/run/guardsvc/grpc.sock",
        "unix:@abstract",
    ],
)
def test_a_peer_on_this_host_is_local(peer: str) -> None:
    assert is_local(peer)
    assert local(context(peer))


@pytest.mark.parametrize(
    "peer",
    [
        "",
        "ipv4:10.0.0.1:1",
        "ipv4:128.0.0.1:1",
        "ipv4:1127.0.0.1:1",
        "ipv4:127x.0.0.1:1",
        "ipv4:127.evil.example:1",
        "ipv4:127.0.0.1.evil.example:1",
        "ipv4:127.0.0.1",
        "ipv4:127.0.0.1:1\n",
        "ipv4:127.0.0.1:1,ipv4:10.0.0.1:1",
        " ipv4:127.0.0.1:1",
        "IPV4:127.0.0.1:1",
        "dns:127.0.0.1:1",
        "ipv6:[::1:2]:1",
        "ipv6:[::11]:1",
        "ipv6:[::1]evil:1",
        "ipv6:%5B::1%5Devil:1",
        "ipv6:[fe80::1]:1",
        "ipv6:[::ffff:10.0.0.1]:1",
        "vsock:1:1",
        "unixx:",
        "uds:unix:",
    ],
)
def test_any_other_is_not(peer: str) -> None:
    assert not is_local(peer)
    assert not local(context(peer))


def test_anyone_and_nobody() -> None:
    assert anyone(context())
    assert not nobody(context("unix:"))


GATEWAYS = Certified(["spiffe://acme.example/ns/gateways/*"], ["gw.acme.example", "*.edge.acme.example"])


@pytest.mark.parametrize(
    "peer",
    [
        certified(uris=[b"spiffe://acme.example/ns/gateways/sa/envoy"]),
        certified(uris=[b"https://other.example/", b"spiffe://acme.example/ns/gateways/"]),
        certified(dns=[b"gw.acme.example"]),
        certified(dns=[b"GW.Acme.Example"]),
        certified(dns=[b"a.edge.acme.example"]),
    ],
)
def test_a_name_of_the_certificate_is_believed(peer: Any) -> None:
    assert GATEWAYS(peer)


@pytest.mark.parametrize(
    "peer",
    [
        context("ipv4:127.0.0.1:1"),
        certified(),
        certified(uris=[b"spiffe://acme.example/ns/tools/sa/envoy"]),
        certified(uris=[b"spiffe://acme.example.evil/ns/gateways/x"]),
        certified(uris=[b"SPIFFE://acme.example/ns/gateways/x"]),
        certified(uris=[b"spiffe://acme.example/ns/gateways/x\n"]),
        certified(uris=[b"spiffe://acme.example/ns/gateways/\xc3\xa9"]),
        certified(dns=[b"spiffe://acme.example/ns/gateways/x"]),
        certified(uris=[b"gw.acme.example"]),
        certified(dns=[b"edge.acme.example"]),
        certified(dns=[b"a.b.edge.acme.example"]),
        certified(dns=[b"gw.acme.example.evil"]),
        certified(x509_common_name=[b"gw.acme.example"]),
        certified(peer_email=[b"gw.acme.example"], peer_ip=[b"127.0.0.1"]),
        context(transport_security_type=[b"insecure"], peer_dns=[b"gw.acme.example"]),
        context(peer_dns=[b"gw.acme.example"]),
    ],
)
def test_any_other_certificate_is_not(peer: Any) -> None:
    assert not GATEWAYS(peer)


@pytest.mark.parametrize(
    "pattern",
    ["spiffe://acme", "spiffe://acme/*", "spiffe://acme.example/ns/*/sa/envoy", "https://gw.example:8443/x"],
)
def test_patterns_of_uris(pattern: str) -> None:
    assert check_uri_pattern(pattern) == pattern


@pytest.mark.parametrize(
    "pattern", ["", "*", "spiffe:*", "spiffe://*", "spiffe://*/x", "spiffe://acme*", "*://acme/x", "acme/x", "a://b/ c"]
)
def test_what_is_no_pattern_of_uris(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not a URI"):
        check_uri_pattern(pattern)


@pytest.mark.parametrize("pattern", ["gw", "gw.acme.example", "*.acme.example", "a-b.c_d.example"])
def test_patterns_of_dns_names(pattern: str) -> None:
    assert check_dns_pattern(pattern) == pattern


@pytest.mark.parametrize(
    "pattern", ["", "*", "*.example", "a.*.example", "g*.acme.example", "*gw.acme.example", "a..b", "a b", "-a", "a/b"]
)
def test_what_is_no_pattern_of_dns_names(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not a DNS name"):
        check_dns_pattern(pattern)
