"""Transport: which requests carry a message, and what the others ask for."""

from __future__ import annotations

import pytest

from guardsvc.mcp import HttpRequest, InterpretationRules, Refusal, TransportKind, interpret
from guardsvc.mcp.transport import classify
from guardsvc.model import Globs, Headers, Kind, Phase

STREAM = {"accept": "application/json, Text/Event-Stream;q=0.9"}
PREFLIGHT = {"origin": "https://a", "access-control-request-method": "POST"}


@pytest.mark.parametrize(
    ("method", "path", "headers", "kind"),
    [
        ("POST", "/mcp", {}, None),
        ("POST", "/mcp?x=/other", {}, None),
        ("POST", "/mcp/", {}, TransportKind.OTHER),
        ("POST", "/", {}, TransportKind.OTHER),
        ("POST", "/.well-known/x", {}, TransportKind.OTHER),
        ("post", "/mcp", {}, TransportKind.OTHER),
        ("PUT", "/mcp", {}, TransportKind.OTHER),
        ("GET", "/mcp", STREAM, TransportKind.GET_STREAM),
        ("GET", "/mcp", {}, TransportKind.OTHER),
        ("GET", "/mcp", {"accept": "text/event-streams, */*"}, TransportKind.OTHER),
        ("GET", "/other", STREAM, TransportKind.OTHER),
        ("HEAD", "/mcp", STREAM, TransportKind.OTHER),
        ("DELETE", "/mcp", {}, TransportKind.SESSION_END),
        ("DELETE", "/other", {}, TransportKind.OTHER),
        ("GET", "/.well-known/oauth-protected-resource/mcp?a=..", {}, TransportKind.WELL_KNOWN),
        ("HEAD", "/.well-known/x", {}, TransportKind.WELL_KNOWN),
        ("DELETE", "/.well-known/x", {}, TransportKind.OTHER),
        ("GET", "/.well-known", {}, TransportKind.OTHER),
        ("GET", "//.well-known/x", {}, TransportKind.OTHER),
        ("GET", "/%2ewell-known/x", {}, TransportKind.OTHER),
        ("GET", "/.Well-known/x", {}, TransportKind.OTHER),
        ("GET", "/.well-known/../mcp", {}, TransportKind.OTHER),
        ("GET", "/.well-known/%2E%2e/mcp", {}, TransportKind.OTHER),
        ("GET", "/.well-known/.%2fmcp", {}, TransportKind.OTHER),
        ("GET", "/.well-known/.\\mcp", {}, TransportKind.OTHER),
        ("OPTIONS", "/mcp", PREFLIGHT, TransportKind.PREFLIGHT),
        ("OPTIONS", "/mcp", {"origin": "https://a"}, TransportKind.OTHER),
        ("OPTIONS", "/mcp", {"access-control-request-method": "POST"}, TransportKind.OTHER),
    ],
)
def test_kind(method: str, path: str, headers: dict[str, str], kind: TransportKind | None) -> None:
    request = HttpRequest(method=method, path=path, host="h", headers=Headers(headers.items()))
    assert classify(request, Globs(["/mcp"])) is kind


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/mcp", STREAM),
        ("DELETE", "/mcp", {}),
        ("GET", "/.well-known/x", {}),
        ("OPTIONS", "/mcp", PREFLIGHT),
    ],
)
def test_a_request_that_could_carry_messages_unread_is_none_of_the_known_kinds(
    method: str, path: str, headers: dict[str, str]
) -> None:
    def kind(body: bytes = b"", **more: str) -> TransportKind | None:
        fields = Headers((headers | more).items())
        request = HttpRequest(method=method, path=path, host="h", headers=fields, body=body)
        return classify(request, Globs(["/mcp"]))

    assert kind() is not TransportKind.OTHER
    assert kind(b'{"jsonrpc":"2.0","id":1,"method":"tools/call"}') is TransportKind.OTHER
    assert kind(upgrade="websocket") is TransportKind.OTHER


def test_a_post_may_offer_an_upgrade_as_java_clients_do() -> None:
    request = HttpRequest(method="POST", path="/mcp", host="h", headers=Headers([("upgrade", "h2c")]), body=b"{}")
    assert classify(request, Globs(["/mcp"])) is None


def test_message_of_the_transport() -> None:
    headers = Headers([*STREAM.items(), ("MCP-Protocol-Version", "2025-06-18")])
    request = HttpRequest(method="GET", path="/", host="h", headers=headers)
    (message,) = interpret(request).messages
    assert (message.kind, message.phase) == (Kind.TRANSPORT, Phase.CONNECTION)
    assert (message.method, message.revision) == ("http/get_stream", "2025-06-18")


def test_a_repeated_version_is_refused_here_too() -> None:
    headers = Headers([("mcp-protocol-version", "2025-06-18"), ("mcp-protocol-version", "2025-11-25")])
    request = HttpRequest(method="DELETE", path="/", host="h", headers=headers)
    with pytest.raises(Refusal) as refused:
        interpret(request, InterpretationRules())
    assert (refused.value.code, refused.value.kind) == ("header_mismatch", Kind.TRANSPORT)
    assert refused.value.method == "http/session_end"
