"""ExtMcp is on the wire what agentgateway's own contract is: names, numbers, types and presence of every field.

agentgateway publishes no Python classes to compare with, so that the contract stands here as it was read, and some
messages as bytes that were put together by hand.
"""

from __future__ import annotations

from typing import Any

import pytest

from guardsvc._proto.agentgateway.dev.ext_mcp import ext_mcp_pb2 as contract
from tests.proto.schema import describe_enum, describe_message, describe_service

PACKAGE = "agentgateway.dev.ext_mcp"
STRUCT = "google.protobuf.Struct"
# Field: number, type (a scalar's name or a message's), repeated, oneof; "_x" is the oneof of an optional field.
FIELDS: dict[str, dict[str, tuple[int, str, bool, str | None]]] = {
    "McpRequest": {
        "service_names": (1, "string", True, None),
        "method": (2, "string", False, None),
        "metadata_context": (3, STRUCT, False, None),
        "mcp_request": (4, "bytes", False, "_mcp_request"),
        "headers": (5, f"{PACKAGE}.McpHeader", True, None),
    },
    "McpResponse": {
        "service_names": (1, "string", True, None),
        "method": (2, "string", False, None),
        "metadata_context": (3, STRUCT, False, None),
        "mcp_response": (4, "bytes", False, None),
    },
    "McpRequestResult": {
        "pass": (1, f"{PACKAGE}.Pass", False, "result"),
        "mutated": (2, "bytes", False, "result"),
        "error": (3, f"{PACKAGE}.AuthorizationError", False, "result"),
        "header_mutation": (4, f"{PACKAGE}.HeaderMutation", False, None),
        "metadata": (5, STRUCT, False, None),
    },
    "McpResponseResult": {
        "pass": (1, f"{PACKAGE}.Pass", False, "result"),
        "mutated": (2, "bytes", False, "result"),
        "error": (3, f"{PACKAGE}.AuthorizationError", False, "result"),
    },
    "HeaderMutation": {
        "set": (1, f"{PACKAGE}.McpHeader", True, None),
        "remove": (2, "string", True, None),
    },
    "McpHeader": {"key": (1, "string", False, None), "value": (2, "bytes", False, None)},
    "Pass": {},
    "AuthorizationError": {
        "code": (1, f"{PACKAGE}.AuthorizationError.Code", False, None),
        "reason": (2, "string", False, None),
        "mcp_error": (3, "bytes", False, "_mcp_error"),
    },
}
SCALARS = {9: "string", 12: "bytes"}


def described(name: str) -> dict[str, Any]:
    fields = describe_message(contract.DESCRIPTOR.message_types_by_name[name])
    return {
        field: (told["number"], told["type_name"] or SCALARS[told["type"]], told["repeated"], _oneof(told["oneof"]))
        for field, told in fields.items()
    }


def _oneof(oneof: Any) -> str | None:
    return None if oneof is None else str(getattr(oneof, "name", oneof))


def test_the_package_and_the_service() -> None:
    assert contract.DESCRIPTOR.package == PACKAGE
    assert describe_service(contract.DESCRIPTOR.services_by_name["ExtMcp"]) == {
        "CheckRequest": [f"{PACKAGE}.McpRequest", False, f"{PACKAGE}.McpRequestResult", False],
        "CheckResponse": [f"{PACKAGE}.McpResponse", False, f"{PACKAGE}.McpResponseResult", False],
    }


def test_there_are_no_other_messages() -> None:
    assert set(contract.DESCRIPTOR.message_types_by_name) == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_fields(name: str) -> None:
    assert described(name) == FIELDS[name]


def test_codes() -> None:
    codes: Any = contract.AuthorizationError.DESCRIPTOR.enum_types_by_name["Code"]
    assert describe_enum(codes) == {"UNKNOWN": 0, "PERMISSION_DENIED": 1, "RESOURCE_EXHAUSTED": 2, "INVALID": 3}


def test_bytes_of_a_request() -> None:
    wire = (
        b"\x0a\x01f\x12\x04ping\x1a\x0b\x0a\x09\x0a\x01a\x12\x04\x1a\x02xy\x22\x02{}\x2a\x07\x0a\x01h\x12\x02\xff\x00"
    )
    request = contract.McpRequest.FromString(wire)
    assert (list(request.service_names), request.method, request.mcp_request) == (["f"], "ping", b"{}")
    assert request.metadata_context["a"] == "xy"
    assert (request.headers[0].key, request.headers[0].value) == ("h", b"\xff\x00")
    assert request.SerializeToString() == wire


@pytest.mark.parametrize(
    ("wire", "which"),
    [(b"\x0a\x00", "pass"), (b"\x12\x02{}", "mutated"), (b"\x1a\x05\x08\x01\x12\x01n", "error"), (b"", None)],
)
def test_bytes_of_a_result(wire: bytes, which: str | None) -> None:
    for kind in (contract.McpRequestResult, contract.McpResponseResult):
        assert kind.FromString(wire).WhichOneof("result") == which
        assert kind.FromString(wire).SerializeToString() == wire


def test_params_that_are_empty_are_not_params_that_are_absent() -> None:
    assert contract.McpRequest(mcp_request=b"").HasField("mcp_request")
    assert not contract.McpRequest().HasField("mcp_request")
