"""Servers: the canonical name of the MCP server an operation is for, and of what it asks of it.

Gateways name a server by an id, a host, or a prefix they put in front of tool names and URIs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardsvc.model import Globs, SubjectKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from guardsvc.policy.settings import ServerSettings

__all__ = ["AmbiguousServerError", "Place", "ServerTable"]


class AmbiguousServerError(Exception):
    """A prefixed name leads to more than one server (reason code ``ambiguous_server``)."""


@dataclass(frozen=True)
class Place:
    """Where an operation is headed.

    Attributes:
        server: the one server it is for, or None.
        servers: every server it may reach.
        subject: the subject as the server itself names it.
    """

    server: str | None
    servers: tuple[str, ...]
    subject: str | None


@dataclass(frozen=True)
class _Server:
    name: str
    ids: frozenset[str]
    hosts: Globs
    tool_prefixes: tuple[str, ...]
    uri_prefixes: tuple[str, ...]


class ServerTable:
    """The ``servers`` of a policy."""

    def __init__(self, servers: Mapping[str, ServerSettings]) -> None:
        self._servers = tuple(
            _Server(
                name,
                frozenset(settings.ids if settings.ids is not None else (name,)),
                Globs(host.lower() for host in settings.hosts),
                _longest_first(settings.tool_prefixes),
                _longest_first(settings.uri_prefixes),
            )
            for name, settings in servers.items()
        )
        self.names = frozenset(servers)

    def place(self, *, server_id: str | None, host: str, kind: SubjectKind | None, subject: str | None) -> Place:
        """Find the server and the server's own name of the subject.

        The gateway's id counts first, then the host, then the prefix alone. An id that the policy
        does not know is an unknown server, whatever the host says.

        Args:
            server_id: what the gateway calls the server, if it says so.
            host: host of the request, with or without port.
            kind: what the subject names.
            subject: tool name, prompt name or URI as the gateway shows it.

        Raises:
            AmbiguousServerError: the prefix of the subject belongs to several candidates.
        """
        candidates = self._candidates(server_id, host)
        return _place(candidates, candidates or (() if server_id else self._servers), kind, subject)

    def place_among(self, servers: Iterable[str], *, kind: SubjectKind | None, subject: str | None) -> Place:
        """Find the server among those a caller names, and the server's own name of the subject.

        Args:
            servers: by canonical name or by id, at least one. If any of them is unknown, all are: what
                may reach a server that nobody knows is not judged as if it could not.
            kind: what the subject names.
            subject: tool name, prompt name or URI, with or without the gateway's prefix.

        Raises:
            AmbiguousServerError: a name is one server's own and another's id, or the prefix of the
                subject belongs to several candidates.
        """
        named = [self._called(name) for name in servers]
        candidates = tuple(dict.fromkeys(server for found in named for server in found)) if all(named) else ()
        return _place(candidates, candidates, kind, subject)

    def _called(self, name: str) -> tuple[_Server, ...]:
        """The servers of a canonical name or an id."""
        found = tuple(server for server in self._servers if name == server.name or name in server.ids)
        if len(found) > 1 and name in self.names:
            raise AmbiguousServerError(name)
        return found

    def _candidates(self, server_id: str | None, host: str) -> tuple[_Server, ...]:
        if server_id:
            return tuple(server for server in self._servers if server_id in server.ids)
        name = _without_port(host)
        return tuple(server for server in self._servers if server.hosts.match(name))


def _place(
    candidates: tuple[_Server, ...], owners_among: tuple[_Server, ...], kind: SubjectKind | None, subject: str | None
) -> Place:
    if subject is None:
        return _reaching(candidates, None)
    uri = kind is SubjectKind.RESOURCE
    owners = [
        (server, prefix) for server in owners_among if (prefix := _prefix_of(server, subject, uri=uri)) is not None
    ]
    if len(owners) > 1:
        raise AmbiguousServerError(subject)
    if owners:
        server, prefix = owners[0]
        return Place(server.name, (server.name,), subject[len(prefix) :])
    return _reaching(candidates, subject)


def _reaching(servers: tuple[_Server, ...], subject: str | None) -> Place:
    names = tuple(server.name for server in servers)
    return Place(names[0] if len(names) == 1 else None, names, subject)


def _prefix_of(server: _Server, subject: str, *, uri: bool) -> str | None:
    prefixes = server.uri_prefixes if uri else server.tool_prefixes
    return next((p for p in prefixes if len(subject) > len(p) and subject.startswith(p)), None)


def _longest_first(prefixes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(prefixes, key=len, reverse=True))


def _without_port(host: str) -> str:
    """The host in lower case, without port and without the dot that ends a fully qualified name."""
    name, colon, port = host.rpartition(":")
    without = name if colon and (not port or (port.isascii() and port.isdigit())) else host
    return without.lower().removesuffix(".")
