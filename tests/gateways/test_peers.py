from __future__ import annotations

import pytest

from guardsvc.gateways.peers import is_trusted


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
def test_a_peer_on_this_host_is_trusted(peer: str) -> None:
    assert is_trusted(peer)


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
    assert not is_trusted(peer)
