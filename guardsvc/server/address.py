"""Address: where a listener is found, ``host:port`` or ``unix:/path``."""

from __future__ import annotations

import re

__all__ = ["UNIX", "host_and_port", "is_loopback", "unix_path"]

UNIX = "unix:"
_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})")
_LOOPBACK = re.compile(r"localhost|::1|127(?:\.[0-9]{1,3}){3}")
MAX_UNIX_PATH = 107
"""Bytes that the kernel takes."""

TEMPORARY_NAME_BYTES = 9
"""Bytes of the name under which a socket is made in the folder of its path."""


def host_and_port(address: str) -> tuple[str, int]:
    """Split ``host:port`` or ``[IPv6]:port``.

    Raises:
        ValueError: it is neither, or the port is above 65535.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found[3]) > 65_535:  # noqa: PLR2004
        raise ValueError(f'"{address[:80]}" is not host:port or [IPv6]:port with a port from 0 to 65535')
    return found[1] or found[2], int(found[3])


def unix_path(address: str) -> str | None:
    """The path of ``unix:/path``, None for any other address.

    Abstract sockets have no owner and no mode, so that there is nothing to trust; they are not taken.

    Raises:
        ValueError: the path is not absolute, or too long for a socket.
    """
    if not address.startswith(UNIX):
        return None
    path = address.removeprefix(UNIX)
    if not path.startswith("/") or path.endswith("/") or not path.isprintable():
        raise ValueError(f'"{address[:80]}" is not unix: and the absolute path of a socket')
    folder, _, name = path.encode().rpartition(b"/")
    if len(folder) + 1 + max(len(name), TEMPORARY_NAME_BYTES) > MAX_UNIX_PATH:
        raise ValueError(f'"{path[:80]}…" has more than the {MAX_UNIX_PATH} bytes that the path of a socket may have')
    return path


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host."""
    return _LOOPBACK.fullmatch(host) is not None
