"""CheckRequests as agentgateway sends them: joined headers, text or cut bodies, claims, and never a deadline.

The shapes are those measured on a running agentgateway; the binary itself is not on PyPI.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse
from tests.e2e.ask import check, denial

if TYPE_CHECKING:
    from deploy.demo.services import Guardsvc
    from deploy.demo.stack import Stack

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _request(
    body: bytes,
    *,
    http_method: str = "POST",
    claims: dict[str, Any] | None = None,
    **headers: str,
) -> CheckRequest:
    request = CheckRequest()
    attributes = request.attributes
    peer = attributes.source.address.socket_address
    peer.address, peer.port_value = "10.0.0.7", 41322
    attributes.source.principal = ""
    http = attributes.request.http
    http.id, http.method, http.path, http.scheme, http.protocol = TRACE, http_method, "/mcp", "http", "HTTP/1.1"
    http.host = "gateway.example:3000"
    http.raw_body = body
    http.size = len(body)
    fields = {
        ":method": http_method,
        ":scheme": "http",
        ":authority": "gateway.example:3000",
        ":path": "/mcp",
        "accept": "application/json, text/event-stream",
        "traceparent": TRACE,
        "mcp-protocol-version": "2026-07-28",
        **({"content-type": "application/json"} if body else {}),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    for name, value in fields.items():
        http.headers[name] = value
    attributes.metadata_context.SetInParent()
    if claims is not None:
        metadata = attributes.metadata_context.filter_metadata["envoy.filters.http.jwt_authn"]
        metadata.update({"jwt_payload": claims})
    return request


def _call(tool: str) -> bytes:
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    params = {"name": tool, "arguments": {"path": "README.md"}, "_meta": meta}
    return json.dumps({"jsonrpc": "2.0", "id": "c1", "method": "tools/call", "params": params}).encode()


def _call_request(tool: str, *, mcp_name: str | None = None, **more: Any) -> CheckRequest:
    return _request(_call(tool), mcp_method="tools/call", mcp_name=mcp_name or tool, **more)


ACME = {"sub": "agent-1", "tenant": "acme", "exp": 1_900_000_000, "groups": ["dev"]}


def test_a_call_is_allowed_by_its_claims_and_its_prefix(agentgateway: Guardsvc) -> None:
    response = check(agentgateway.address, _call_request("files_read_file", claims=ACME))
    assert response.status.code == 0
    told = {name: value.string_value for name, value in response.dynamic_metadata.fields.items()}
    assert (
        told.items()
        >= {
            "verdict": "allow",
            "method": "tools/call",
            "server": "files",
            "tool": "read_file",
            "tenant": "acme",
            "principal": "agent-1",
        }.items()
    )
    assert told["token"]
    ok = response.ok_response
    assert [option.header.key for option in ok.headers] == ["x-guardsvc-decision-id"]
    assert [option.header.value for option in ok.response_headers_to_add] == [told["decision_id"]]
    assert not ok.headers_to_remove


@pytest.mark.parametrize(
    ("tool", "claims"),
    [
        ("files_read_file", {**ACME, "tenant": "globex"}),
        ("files_read_file", None),
        ("more_read_file", ACME),
        ("files_delete_everything", ACME),
    ],
    ids=["other tenant", "no claims", "other server", "other tool"],
)
def test_a_call_is_denied(agentgateway: Guardsvc, tool: str, claims: dict[str, Any] | None) -> None:
    answer = _refusal(check(agentgateway.address, _call_request(tool, claims=claims)), "access_denied")
    assert answer["id"] == "c1"


def test_a_claim_that_cannot_be_read_names_nobody(agentgateway: Guardsvc) -> None:
    claims = {"sub": "agent-1", "tenant": ["acme"]}
    _refusal(check(agentgateway.address, _call_request("files_read_file", claims=claims)), "identity_invalid")


def test_a_denial_is_one_that_clients_survive(agentgateway: Guardsvc) -> None:
    response = check(agentgateway.address, _call_request("more_read_file", claims=ACME))
    answer = denial(response)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert response.dynamic_metadata.fields["verdict"].string_value == "deny"
    assert "token" not in response.dynamic_metadata.fields


def test_a_body_cut_by_the_gateway_has_size_minus_one(agentgateway: Guardsvc) -> None:
    request = _call_request("files_read_file", claims=ACME)
    http = request.attributes.request.http
    http.raw_body, http.size = http.raw_body[:100], -1
    assert _refusal(check(agentgateway.address, request), "partial_body", status=400)["id"] is None


def test_a_body_of_unknown_size_is_not_believed_to_be_whole(agentgateway: Guardsvc) -> None:
    request = _call_request("files_read_file", claims=ACME)
    request.attributes.request.http.size = -1
    _refusal(check(agentgateway.address, request), "partial_body", status=400)


def test_a_body_given_as_text_is_refused(agentgateway: Guardsvc) -> None:
    request = _call_request("files_read_file", claims=ACME)
    http = request.attributes.request.http
    body = http.raw_body.replace(b"README", b"R\xff\xfe").decode(errors="replace")
    http.ClearField("raw_body")
    http.body = body
    http.size = len(body.encode())
    _refusal(check(agentgateway.address, request), "lossy_body", status=400)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"mcp_name": "files_read_file, more_read_file"}, "header_mismatch"),
        ({"mcp_name": "files_read_file, files_read_file"}, "header_mismatch"),
        ({"mcp_protocol_version": "2026-07-28, 2025-11-25"}, "header_mismatch"),
        ({"content_type": "application/json, text/plain"}, "content_type"),
        ({"content_encoding": "identity, gzip"}, "content_encoding"),
    ],
    ids=["two names", "one name twice", "two revisions", "two content types", "two encodings"],
)
def test_repeated_headers_arrive_joined_and_are_refused(
    agentgateway: Guardsvc, header: dict[str, str], reason: str
) -> None:
    request = _call_request("files_read_file", claims=ACME, **header)
    _refusal(check(agentgateway.address, request), reason, status=400)


def test_a_stream_has_no_body(agentgateway: Guardsvc) -> None:
    request = _request(b"", http_method="GET", accept="text/event-stream")
    answer = _refusal(check(agentgateway.address, request), "stream_not_allowed", status=405)
    assert "id" not in answer


def test_a_post_whose_body_the_gateway_does_not_show_is_refused(agentgateway: Guardsvc) -> None:
    request = _request(b"", content_type="application/json", claims=ACME)
    _refusal(check(agentgateway.address, request), "missing_body", status=400)


def test_without_a_deadline_the_policy_sets_one(refusals: Stack) -> None:
    call = {"name": "read_file", "arguments": {"sleep": 3600}}
    body = json.dumps({"jsonrpc": "2.0", "id": "c1", "method": "tools/call", "params": call}).encode()
    request = _request(body, mcp_protocol_version="2025-11-25")
    answer = _refusal(check(refusals.guardsvc.address, request), "deadline_exceeded")
    assert answer["error"]["code"] == -32603


def _refusal(response: CheckResponse, reason: str, *, status: int = 200) -> dict[str, Any]:
    answer = denial(response)
    found: dict[str, Any] = json.loads(answer.body)
    assert (answer.status, found["error"]["data"]["reason"]) == (status, reason)
    return found
