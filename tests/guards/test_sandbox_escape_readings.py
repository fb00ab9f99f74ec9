"""What ``sandbox_escape`` takes names, schemas, addresses and paths for."""

from __future__ import annotations

from typing import Any

import pytest

from guardsvc.guards.native.sandbox_escape.notation import address_of
from guardsvc.guards.native.sandbox_escape.paths import leaves
from guardsvc.guards.native.sandbox_escape.roles import Role, role_of_name, role_of_schema
from guardsvc.guards.networks import is_internal


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("path", Role.PATH),
        ("file_name", Role.PATH),
        ("projectFileAbsolutePath", Role.PATH),
        ("output_dir", Role.PATH),
        ("baseURL", Role.URL),
        ("db_host", Role.HOST),
        ("cmd", Role.COMMAND),
        ("extra_args", Role.ARGUMENT),
        ("sql", Role.STATEMENT),
        ("template", Role.TEMPLATE),
        ("new_str", Role.TEXT),
        ("source_code", Role.CODE),
        ("command_id", Role.PLAIN),
        ("query", Role.PLAIN),
        ("", Role.PLAIN),
        ("京", Role.PLAIN),
    ],
)
def test_roles_by_name(name: str, role: Role) -> None:
    assert role_of_name(name) is role


@pytest.mark.parametrize(
    ("schema", "role"),
    [
        ({"format": "uri"}, Role.URL),
        ({"format": "hostname"}, Role.HOST),
        ({"description": "The SQL to run"}, Role.STATEMENT),
        ({"description": "Shell command to execute"}, Role.COMMAND),
        ({"description": "JavaScript to evaluate"}, Role.CODE),
        ({"description": 5}, Role.PLAIN),
        (None, Role.PLAIN),
    ],
)
def test_roles_by_schema(schema: dict[str, Any] | None, role: Role) -> None:
    assert role_of_schema(Role.PLAIN, schema) is role


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("425.510.425.510", "169.254.169.254"),
        ("0251.0376.0251.0376", "169.254.169.254"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::127.0.0.1", "127.0.0.1"),
        ("64:ff9b::a00:1", "10.0.0.1"),
        ("2002:7f00:1::", "127.0.0.1"),
        ("::1", "::1"),
        ("1.2.3.4.5", None),
        ("example.com", None),
        ("08", "0.0.0.8"),
        ("", None),
        ("1:2", None),
    ],
)
def test_addresses(host: str, address: str | None) -> None:
    found = address_of(host)
    assert (None if found is None else str(found)) == address


@pytest.mark.parametrize("host", ["100.64.0.1", "0.0.0.0", "fe80::1", "fc00::1", "224.0.0.1", "255.255.255.255"])
def test_internal_networks(host: str) -> None:
    address = address_of(host)
    assert address is not None
    assert is_internal(address)


@pytest.mark.parametrize(
    ("path", "levels", "expected"),
    [
        ("../a", 0, True),
        ("../a", 1, False),
        ("../../a", 1, True),
        ("a/../b", 0, False),
        ("/a/../b", 0, False),
        ("/../a", 16, True),
        ("/a/b/../../c", 0, True),
        ("C:\\a\\..\\..\\b", 0, True),
        ("see ../a", 0, False),
        ("a..b/c", 0, False),
        ("AAAA/../etc/passwd", 0, True),
        ("a/" * 3000 + "..", 0, True),
    ],
)
def test_paths_that_leave(path: str, levels: int, expected: bool) -> None:
    assert leaves(path, levels) is expected
