"""Wire: what a ProcessingRequest says, as Envoy 1.40 and agentgateway fill it."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from guardsvc.model import Headers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.struct_pb2 import Struct

    from guardsvc._proto.envoy.service.ext_proc.v3.external_processor_pb2 import HttpHeaders, ProcessingRequest

__all__ = ["BodyMode", "attribute", "headers_of", "metadata_of", "token_of"]

FILTER = "envoy.filters.http.ext_proc"
EXT_AUTHZ = "envoy.filters.http.ext_authz"


class BodyMode(IntEnum):
    """How much of a body the gateway shows; numbers of ``ProcessingMode.BodySendMode``."""

    NONE = 0
    STREAMED = 1
    BUFFERED = 2
    BUFFERED_PARTIAL = 3
    FULL_DUPLEX_STREAMED = 4


def headers_of(headers: HttpHeaders) -> Headers:
    """The header fields, pseudo fields among them."""
    return Headers(
        [
            (field.key, raw.decode("latin-1") if (raw := field.raw_value) else field.value)
            for field in headers.headers.headers
        ]
    )


def attribute(request: ProcessingRequest, name: str) -> str | None:
    """An attribute that is text, None where the gateway shows none of this name."""
    if FILTER not in request.attributes:
        return None
    return _text(request.attributes[FILTER], name)


def metadata_of(request: ProcessingRequest) -> Mapping[str, Struct]:
    """The metadata that the gateway forwards, by namespace."""
    return request.metadata_context.filter_metadata


def token_of(request: ProcessingRequest) -> str | None:
    """The token by which ext_authz handed its decision on."""
    metadata = metadata_of(request)
    return _text(metadata[EXT_AUTHZ], "token") if EXT_AUTHZ in metadata else None


def _text(struct: Struct, name: str) -> str | None:
    if name not in struct.fields:
        return None
    return struct.fields[name].string_value or None
