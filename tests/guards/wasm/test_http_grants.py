"""Which URLs and addresses a grant of ``http`` covers."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.guards.wasm.http.grants import Grants, Origin, origin_of

PRIVATE = [
    "127.0.0.1",
    "127.8.9.1",
    "0.0.0.0",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "::",
    "::1",
    "fe80::1",
    "fc00::1",
    "fd00:ec2::254",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2002:a9fe:a9fe::1",
    "::ffff:0:7f00:1",
    "64:ff9b:1::a00:1",
    "2606:4700::5efe:a00:1",
    "2606:4700::200:5efe:a00:1",
    "fec0::1",
    "3fff::1",
    "5f00::1",
    "192.0.0.8",
    "192.88.99.1",
    "169.254.170.23",
    "169.254.42.42",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public_are_refused_unless_listed(address: str) -> None:
    assert not Grants(("https://api.example",)).allows(ip_address(address))


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:4700::1111", "64:ff9b::5db8:d70e"])
def test_public_addresses_need_no_listing(address: str) -> None:
    assert Grants(("https://api.example",)).allows(ip_address(address))


@pytest.mark.parametrize(
    ("listed", "address", "allowed"),
    [
        ("10.1.0.0/16", "10.1.2.3", True),
        ("10.1.0.0/16", "10.2.2.3", False),
        ("10.1.0.0/16", "::ffff:10.1.2.3", True),
        ("http://10.1.2.3:8080", "10.1.2.3", True),
        ("http://10.1.2.3:8080", "10.1.2.4", False),
        ("169.254.0.0/16", "169.254.169.254", False),
        ("0.0.0.0/0", "169.254.169.254", False),
        ("169.254.169.254/32", "169.254.169.254", True),
        ("fd00::/8", "fd12::1", True),
        ("fd00::/8", "fd00:ec2::254", False),
        ("fd00::/8", "fd00:ec2::23", False),
        ("fd00::/8", "fd20:ce::254", False),
        ("169.254.0.0/16", "169.254.0.23", False),
        ("64:ff9b:1::/48", "64:ff9b:1::a00:1", True),
        ("https://[fd12::1]", "fd12::1", True),
    ],
)
def test_listed_networks(listed: str, address: str, allowed: bool) -> None:
    assert Grants((listed,)).allows(ip_address(address)) is allowed


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://API.example/x?y", ("https", "api.example", 443)),
        ("http://api.example:8080", ("http", "api.example", 8080)),
        ("http://[::1]:80/", ("http", "::1", 80)),
    ],
)
def test_origins(url: str, origin: tuple[str, str, int]) -> None:
    assert origin_of(url) == Origin(*origin)


@pytest.mark.parametrize(
    "url",
    [
        "api.example",
        "ftp://api.example/",
        "https://",
        "https://user@api.example/",
        "https://api.example@evil.example/",
        "https://api.example\\@evil.example/",
        "https://api.example /",
        "https://api.example/\r\nHost: x",
        "https://api.example:99999/",
        "https://[::1/",
        "https://\uff41pi.example/",
        "https://api.example/" + "x" * 9000,
        "file:///etc/passwd",
        "unix:///run/x",
    ],
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  of which kind is of no interest
        origin_of(url)


@pytest.mark.parametrize(
    "entry", ["https://a.example/path", "ftp://a.example", "10.0.0.1/8", "*.example.com", "a b", ""]
)
def test_entries_that_are_none(entry: str) -> None:
    with pytest.raises(ValueError, match="is neither a host as"):
        Grants((entry,))


@given(st.text(max_size=60))
def test_any_text_has_an_origin_or_is_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://api.example{text}"):
        try:
            origin = origin_of(url)
        except ValueError:
            continue
        assert url.lower().startswith(f"{origin.scheme}://")
        assert "@" not in url.split("/")[2]
