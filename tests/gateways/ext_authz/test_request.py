"""What a CheckRequest says of the HTTP request, the caller and the server."""

from __future__ import annotations

from typing import Any

import pytest

from guardsvc._proto.envoy.service.auth.v3.attribute_context_pb2 import AttributeContext
from guardsvc.gateways.exchange import Asker
from guardsvc.gateways.ext_authz.request import asker_of, http_request_of
from guardsvc.mcp import BodyState
from guardsvc.model import Caller, GatewayProtocol, Headers
from guardsvc.policy import Identity
from guardsvc.policy.identity_settings import IdentitySettings
from tests.gateways.ext_authz.checks import attributes


def header_map(*fields: tuple[str, bytes | str]) -> AttributeContext:
    context = attributes()
    for name, value in fields:
        field = context.request.http.header_map.headers.add(key=name)
        if isinstance(value, bytes):
            field.raw_value = value
        else:
            field.value = value
    return context


def test_the_request_is_the_gateways() -> None:
    request = http_request_of(attributes(b"{}", path="/mcp?x=%2e", host="H:1", method="PUT"))
    assert (request.method, request.path, request.host) == ("PUT", "/mcp?x=%2e", "H:1")
    assert (request.body, request.body_state) == (b"{}", BodyState.WHOLE)


def test_headers_of_the_map_are_taken_as_they_are() -> None:
    request = http_request_of(attributes(headers={"x-a": "1,2", ":authority": "h"}))
    assert request.headers.get("x-a") == "1,2"
    assert request.headers.get(":authority") == "h"


def test_raw_headers_are_taken_in_place_of_the_map_with_repeated_ones_apart() -> None:
    request = http_request_of(header_map(("x-a", b"1"), ("X-A", b"2"), (":path", b"/")))
    assert request.headers == Headers([("x-a", "1"), ("x-a", "2"), (":path", "/")])
    assert request.headers.repeated("x-a")
    assert "content-type" not in request.headers


def test_a_raw_header_without_a_raw_value_has_its_value() -> None:
    assert http_request_of(header_map(("x-a", "text"), ("x-b", b""))).headers == Headers([("x-a", "text"), ("x-b", "")])


def test_bytes_beyond_ascii_are_the_same_text_whichever_way_they_come() -> None:
    value = "é✓".encode()
    expected = value.decode("latin-1")
    assert http_request_of(header_map(("x-a", value))).headers.get("x-a") == expected
    assert http_request_of(header_map(("x-a", "é✓"))).headers.get("x-a") == expected
    assert http_request_of(attributes(headers={"x-a": "é✓"})).headers.get("x-a") == expected
    assert http_request_of(header_map(("x-a", b"\xff\x80"))).headers.get("x-a") == "\xff\x80"


PARTIAL = "x-envoy-auth-partial-body"


@pytest.mark.parametrize(
    ("fields", "headers", "state"),
    [
        ({}, {}, BodyState.WHOLE),
        ({}, {PARTIAL: "false"}, BodyState.WHOLE),
        ({}, {PARTIAL: " False "}, BodyState.WHOLE),
        ({"size": 0}, {}, BodyState.WHOLE),
        ({"size": 0, "raw_body": b""}, {}, BodyState.ABSENT),
        ({"size": 0, "raw_body": b""}, {PARTIAL: "false"}, BodyState.ABSENT),
        ({"size": -1}, {}, BodyState.PARTIAL),
        ({"size": -1, "raw_body": b""}, {}, BodyState.PARTIAL),
        ({"size": 3, "raw_body": b"{}"}, {}, BodyState.PARTIAL),
        ({"size": 3, "raw_body": b""}, {}, BodyState.PARTIAL),
        ({}, {PARTIAL: "true"}, BodyState.PARTIAL),
        ({}, {PARTIAL: "TRUE"}, BodyState.PARTIAL),
        ({}, {PARTIAL: "false,true"}, BodyState.PARTIAL),
        ({}, {PARTIAL: ""}, BodyState.PARTIAL),
        ({}, {PARTIAL: "0"}, BodyState.PARTIAL),
        ({"raw_body": None, "body": "{}", "size": 2}, {}, BodyState.LOSSY),
        ({"raw_body": None, "body": "é", "size": 2}, {}, BodyState.LOSSY),
        ({"raw_body": None, "body": "{}", "size": 3}, {}, BodyState.PARTIAL),
        ({"raw_body": b"{}", "body": "[]", "size": 2}, {}, BodyState.WHOLE),
    ],
)
def test_how_much_of_the_body_is_there(fields: dict[str, Any], headers: dict[str, str], state: BodyState) -> None:
    assert http_request_of(attributes(headers=headers, **fields)).body_state is state


def test_every_copy_of_the_partial_body_header_counts() -> None:
    request = http_request_of(header_map((PARTIAL, b"false"), (PARTIAL, b"true")))
    assert request.body_state is BodyState.PARTIAL


def test_a_body_given_as_text_and_as_bytes_is_the_bytes() -> None:
    assert http_request_of(attributes(b"{}", body="[]")).body == b"{}"


IDENTITY = Identity(IdentitySettings())


def asked_by(context: AttributeContext, *, believed: bool = True, identity: Identity = IDENTITY) -> Asker:
    headers = http_request_of(context).headers
    return asker_of(context, headers, identity, peer="ipv4:10.9.8.7:4242", believed=believed)


ADDRESS = "203.0.113.9"
JWT = Caller(principal="ann", tenant="acme", verified=True, address=ADDRESS, source="jwt")


@pytest.mark.parametrize(
    ("given", "caller"),
    [
        ({}, Caller(address=ADDRESS)),
        (
            {"principal": "spiffe://acme/a"},
            Caller(principal="spiffe://acme/a", verified=True, address=ADDRESS, source="certificate"),
        ),
        ({"claims": {"sub": "ann", "tenant": "acme", "exp": 5}}, JWT),
        (
            {"principal": "cert", "claims": {"sub": "ann"}},
            Caller(principal="cert", verified=True, address=ADDRESS, source="certificate"),
        ),
        ({"extensions": {"tenant": "acme"}}, Caller(tenant="acme", address=ADDRESS, source="context_extensions")),
        ({"claims": {"sub": "", "tenant": ""}}, Caller(address=ADDRESS)),
    ],
)
def test_the_caller_is_whom_a_believed_gateway_names(given: dict[str, Any], caller: Caller) -> None:
    asker = asked_by(attributes(**given))
    assert (asker.caller, asker.refusal) == (caller, None)


def test_of_a_peer_that_is_not_believed_nothing_but_the_request_counts() -> None:
    extensions = {"tenant": "acme", "mcp_server": "files"}
    context = attributes(principal="spiffe://acme/a", claims={"sub": "ann", "tenant": "acme"}, extensions=extensions)
    assert asked_by(context, believed=False) == Asker(
        protocol=GatewayProtocol.EXT_AUTHZ, caller=Caller(address="10.9.8.7")
    )
    spoiled = attributes(claims={"sub": ["ann"]}, extensions={"tenant": "globex"})
    assert asked_by(spoiled, believed=False).refusal is None


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"claims": {"sub": ["ann"], "tenant": "acme"}}, "identity_invalid"),
        ({"claims": {"tenant": {"x": 1}}}, "identity_invalid"),
        ({"claims": {"tenant": "acme"}, "extensions": {"tenant": "globex"}}, "identity_conflict"),
    ],
)
def test_a_caller_whose_names_cannot_be_told_has_none_and_is_refused(given: dict[str, Any], code: str) -> None:
    asker = asked_by(attributes(**given))
    assert asker.refusal is not None
    assert (asker.caller, asker.refusal.code) == (Caller(address=ADDRESS), code)


def test_what_a_client_sends_as_headers_names_nobody() -> None:
    headers = {"tenant": "acme", "x-tenant": "acme", "authorization": "Bearer x", "mcp_server": "files"}
    asker = asked_by(attributes(headers=headers))
    assert (asker.caller.tenant, asker.caller.principal, asker.server_id) == (None, None, None)


def test_the_server_is_what_the_context_extension_says() -> None:
    asker = asked_by(attributes(extensions={"mcp_server": "files"}))
    assert (asker.protocol, asker.server_id, asker.can_modify) == (GatewayProtocol.EXT_AUTHZ, "files", False)
    assert asked_by(attributes(extensions={"mcp_server": ""})).server_id is None


def test_a_pipe_is_an_address_too() -> None:
    context = AttributeContext()
    context.source.address.pipe.path = "/run/x.sock"
    assert asked_by(context).caller.address == "/run/x.sock"


def test_an_empty_request_says_nothing_and_breaks_nothing() -> None:
    request = http_request_of(AttributeContext())
    assert (request.method, request.body_state, len(request.headers)) == ("", BodyState.ABSENT, 0)
    assert asked_by(AttributeContext()).caller == Caller()
