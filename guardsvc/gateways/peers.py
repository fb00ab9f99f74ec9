"""Peers: whether the process on the other end of the gRPC socket is believed when it names a caller."""

from __future__ import annotations

import re

__all__ = ["is_trusted"]

_LOOPBACK = re.compile(r"ipv4:127(?:\.[0-9]{1,3}){3}:[0-9]+|ipv6:(?:\[::1\]|%5B::1%5D):[0-9]+")


def is_trusted(peer: str) -> bool:
    """Whether the peer is on this host: a UNIX socket or the loopback interface.

    Args:
        peer: as ``grpc.ServicerContext.peer()`` gives it.
    """
    return peer.startswith("unix:") or _LOOPBACK.fullmatch(peer) is not None
