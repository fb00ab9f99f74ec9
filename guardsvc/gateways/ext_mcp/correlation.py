"""Correlation: the request that a CheckResponse belongs to, by the token in the gateway's metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from guardsvc.gateways.server_message import Origin
from guardsvc.model import Caller

if TYPE_CHECKING:
    from google.protobuf.struct_pb2 import Struct

    from guardsvc.gateways.exchange import Asker
    from guardsvc.gateways.seal import Correlation, Seal
    from guardsvc.gateways.server_message import ServerMessage

__all__ = ["CORRELATION", "EXT_AUTHZ_TOKEN", "TOOL", "Correlated", "correlate"]

CORRELATION = "corr"
"""Key of the metadata that CheckRequest answers with, and CheckResponse gets: the token."""
TOOL = "tool"
"""The same for the subject, which expressions of the gateway may use."""
EXT_AUTHZ_TOKEN = "token"  # noqa: S105  the name of a key
"""Key of the metadata that holds the token of ext_authz, where that judged the request."""

Stray = Literal["missing", "invalid", "other_request"]


class Correlated(msgspec.Struct, frozen=True, kw_only=True):
    """What a response belongs to.

    Attributes:
        origin: the request, None where nobody knows.
        caller: of that request, None where nobody knows.
        stray: why nobody knows, else None.
    """

    origin: Origin | None = None
    caller: Caller | None = None
    stray: Stray | None = None

    def applied(self, message: ServerMessage, asker: Asker) -> tuple[ServerMessage, Asker]:
        """The response as that request's; who sent the request counts, whoever the gateway names now."""
        if self.origin is None or self.caller is None:
            return message, asker
        return (
            msgspec.structs.replace(message, origin=self.origin),
            msgspec.structs.replace(asker, caller=self.caller),
        )


def correlate(metadata: Struct, seal: Seal, *, method: str, servers: tuple[str, ...]) -> Correlated:
    """Find the request.

    A token of a request that was for another method, or for a server that did not answer, is another request's.

    Args:
        metadata: ``metadata_context`` of a gateway that is believed.
        seal: opens tokens.
        method: that the gateway says is answered.
        servers: canonical names of those that answer, empty where they are not known.
    """
    token = _text(metadata, CORRELATION) or _text(metadata, EXT_AUTHZ_TOKEN)
    if token is None:
        return Correlated(stray="missing")
    sealed = seal.open(token)
    if sealed is None:
        return Correlated(stray="invalid")
    elsewhere = bool(servers and sealed.servers) and not set(servers) & set(sealed.servers)
    if sealed.method != method or elsewhere:
        return Correlated(stray="other_request")
    return Correlated(origin=_origin(sealed, servers), caller=_caller(sealed))


def _origin(sealed: Correlation, servers: tuple[str, ...]) -> Origin:
    return Origin(
        decision_id=sealed.decision_id,
        method=sealed.method,
        id=None,
        servers=servers or sealed.servers,
        subject=sealed.subject,
    )


def _caller(sealed: Correlation) -> Caller:
    return Caller(tenant=sealed.tenant, principal=sealed.principal, verified=sealed.verified, source="token")


def _text(metadata: Struct, key: str) -> str | None:
    return (metadata.fields[key].string_value or None) if key in metadata.fields else None
