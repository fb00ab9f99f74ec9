"""Identity evidence: what Envoy and agentgateway say of a caller, read from their messages where it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guardsvc.model import Caller
from guardsvc.policy import UNREADABLE, IdentityError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.struct_pb2 import Struct, Value

    from guardsvc.model import Headers
    from guardsvc.policy import Identity

__all__ = ["WireEvidence", "named", "peer_address", "plain"]


class WireEvidence:
    """Evidence in the form in which gateways send it: ``google.protobuf.Struct`` metadata by namespace.

    Only what a source asks for is read. Any message that parses can be read.

    Args:
        principal: ``source.principal``.
        extensions: ``context_extensions``.
        metadata: ``metadata_context.filter_metadata``.
        headers: of the request.
    """

    __slots__ = ("_extensions", "_metadata", "headers", "principal")

    def __init__(
        self, principal: str, extensions: Mapping[str, str], metadata: Mapping[str, Struct], headers: Headers
    ) -> None:
        self.principal = principal
        self.headers = headers
        self._extensions = extensions
        self._metadata = metadata

    def extension(self, key: str) -> str | None:
        """A context extension."""
        return self._extensions.get(key)

    def has_metadata(self, namespace: str, key: str) -> bool:
        """Whether a namespace has a key at all."""
        # Looking up what is missing would add it: maps of protobuf are defaultdicts.
        return namespace in self._metadata and key in self._metadata[namespace].fields

    def metadata(self, namespace: str, path: tuple[str, ...]) -> Any:
        """A value of a namespace, see ``guardsvc.policy.Evidence``."""
        first, *rest = path
        if not self.has_metadata(namespace, first):
            return None
        value: Value | None = self._metadata[namespace].fields[first]
        for step in rest:
            if value is None:
                return None
            match value.WhichOneof("kind"):
                case "struct_value":
                    fields = value.struct_value.fields
                    value = fields.get(step)
                case "list_value":
                    items = value.list_value.values
                    if not (step.isascii() and step.isdecimal()):
                        return UNREADABLE
                    index = int(step[:9])
                    value = items[index] if index < len(items) else None
                case "null_value" | None:
                    return None
                case _:
                    return UNREADABLE
        return plain(value)


def plain(value: Value | None) -> Any:
    """Text, number or boolean; None where there is nothing or null, ``UNREADABLE`` for what has members."""
    kind = None if value is None else value.WhichOneof("kind")
    if value is None or kind in (None, "null_value"):
        return None
    if kind in ("struct_value", "list_value"):
        return UNREADABLE
    return getattr(value, kind)


def peer_address(peer: str) -> str | None:
    """Host of a gRPC peer (``ipv4:10.0.0.7:41322``), None for a UNIX socket or what has another form."""
    family, _, rest = peer.partition(":")
    if family not in ("ipv4", "ipv6"):
        return None
    return rest.rpartition(":")[0].replace("%5B", "").replace("%5D", "").strip("[]") or None


def named(identity: Identity, evidence: WireEvidence, address: str | None) -> tuple[Caller, IdentityError | None]:
    """Who calls, and why the caller is refused whatever it asks; such a one has no name.

    Args:
        identity: names callers.
        evidence: what a gateway that is believed says.
        address: of the caller, where it is known.
    """
    try:
        return identity.caller(evidence, address), None
    except IdentityError as error:
        return Caller(address=address), error
