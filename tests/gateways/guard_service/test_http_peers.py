"""``POST /v1/security/evaluate``: whom it believes, by address, socket and certificate."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from guardsvc.observe import Metrics
from tests.engine.scripted import asked, guard, policy
from tests.gateways.guard_service.test_http import LIST, SERVERS, Asking, serving
from tests.server.certificates import Authority


@pytest.mark.parametrize(("peers", "believed"), [("local", True), ("any", True), ("none", False)])
@pytest.mark.parametrize("teaches", [True, False])
async def test_whom_it_believes(peers: str, believed: bool, teaches: bool) -> None:
    seeing, metrics = guard("g"), Metrics("0")
    listener = {"trust": {"peers": peers}}
    async with serving(policy(seeing, servers=SERVERS), listener=listener, metrics=metrics, teaches=teaches) as asking:
        await asking.told({**LIST, "findings": [{"rule": "r", "severity": "low"}]})
    (operation,) = asked(seeing)
    assert operation.caller.principal == ("user@example.com" if believed else None)
    assert operation.caller.address == (None if believed else "127.0.0.1")
    assert (operation.server, operation.learnable) == ("github" if believed else None, believed and teaches)
    assert (
        f'guardsvc_unbelieved_calls_total{{listener="l"}} {0 if believed else 1}.0'
    ).encode() in metrics.exposition()


async def test_a_unix_socket(tmp_path: Path) -> None:
    seeing, path = guard("g"), tmp_path / "folder" / "http.sock"
    async with serving(policy(seeing), listener={"address": f"unix:{path}"}) as asking:
        assert path.stat().st_mode & 0o777 == 0o660
        assert path.parent.stat().st_mode & 0o777 == 0o750
        await asking.told(LIST)
    assert asked(seeing)[0].caller.principal == "user@example.com"
    assert not path.exists()


def client_context(authority: Authority, folder: Path, **names: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    certificate, key = authority.issue(**names).write(folder, "client")
    context.load_cert_chain(certificate, key)
    return context


@pytest.mark.parametrize(
    ("names", "believed"),
    [
        ({"uris": ("spiffe://acme.example/gw/a",)}, True),
        ({"dns": ("spiffe://acme.example/gw/a",)}, False),
        ({"uris": ("spiffe://acme.example/tools/a",), "name": "spiffe://acme.example/gw/a"}, False),
    ],
)
async def test_names_of_certificates(names: dict[str, Any], believed: bool, tmp_path: Path) -> None:
    authority, seeing = Authority(), guard("g")
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    certificate, key = authority.issue_server().write(tmp_path, "server")
    tls = {"certificate": str(certificate), "key": str(key), "client_ca": str(tmp_path / "ca.pem")}
    listener = {"tls": tls, "trust": {"uris": ["spiffe://acme.example/gw/*"]}}
    context = client_context(authority, tmp_path, **names)
    async with serving(policy(seeing), listener=listener, client=context) as asking:
        await asking.told(LIST)
    assert (asked(seeing)[0].caller.principal is not None) is believed


async def test_certificates_are_replaced_while_it_serves(tmp_path: Path) -> None:
    first, second = Authority("first"), Authority("second")
    authorities = tmp_path / "ca.pem"
    authorities.write_bytes(first.certificate)
    certificate, key = first.issue_server().write(tmp_path, "server")
    tls = {"certificate": str(certificate), "key": str(key), "client_ca": str(authorities), "reload_interval_s": 0.1}
    listener = {"tls": tls, "trust": {"uris": ["spiffe://a.example/*"]}}
    names: dict[str, Any] = {"uris": ("spiffe://a.example/x",)}
    seeing, metrics = guard("g"), Metrics("0")
    async with serving(
        policy(seeing), listener=listener, client=client_context(first, tmp_path, **names), metrics=metrics
    ) as asking:
        await asking.told(LIST)
        authorities.write_bytes(second.certificate)
        second.issue_server().write(tmp_path, "server")
        async with asyncio.timeout(60):
            while b'guardsvc_tls_reloads_total{listener="l",result="loaded"}' not in metrics.exposition():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        renewed = client_context(second, tmp_path, **names)
        stale = ssl.create_default_context(cadata=second.certificate.decode())
        old_certificate, old_key = first.issue(**names).write(tmp_path, "old")
        stale.load_cert_chain(old_certificate, old_key)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=renewed)) as session:
            assert (await Asking(session, asking.url).told(LIST))["decision"] == "allow"
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=stale)) as session:
            with pytest.raises(aiohttp.ClientError):
                await Asking(session, asking.url).told(LIST)


async def test_a_peer_without_a_certificate_cannot_connect(tmp_path: Path) -> None:
    authority = Authority()
    (tmp_path / "ca.pem").write_bytes(authority.certificate)
    certificate, key = authority.issue_server().write(tmp_path, "server")
    tls = {"certificate": str(certificate), "key": str(key), "client_ca": str(tmp_path / "ca.pem")}
    context = ssl.create_default_context(cadata=authority.certificate.decode())
    listener = {"tls": tls, "trust": {"uris": ["spiffe://acme.example/gw/*"]}}
    async with serving(policy(guard("g")), listener=listener, client=context) as asking:
        with pytest.raises(aiohttp.ClientError):
            await asking.post(LIST)
