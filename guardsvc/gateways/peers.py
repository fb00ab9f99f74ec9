"""Peers: whether the process on the other end of the gRPC socket is believed when it names a caller."""

from __future__ import annotations

__all__ = ["is_trusted"]

_LOCAL = ("unix:", "ipv4:127.", "ipv6:[::1]", "ipv6:%5B::1%5D")


def is_trusted(peer: str) -> bool:
    """Whether the peer is on this host: a UNIX socket or the loopback interface.

    Args:
        peer: as ``grpc.ServicerContext.peer()`` gives it.
    """
    return peer.startswith(_LOCAL)
