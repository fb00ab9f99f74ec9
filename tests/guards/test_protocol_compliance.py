"""``protocol_compliance`` lets real clients pass, never fails, and refuses to be built of nonsense.

What it refuses of messages is in ``tests/cases/guards``.
"""

from __future__ import annotations

from typing import Any, get_args

import mcp_types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types.methods import CLIENT_NOTIFICATIONS, CLIENT_REQUESTS
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS
from pydantic import BaseModel, ValidationError

from guardsvc.guards.native.protocol_compliance import ProtocolCompliance, ProtocolComplianceSettings
from guardsvc.guards.native.protocol_compliance.settings import Revision
from guardsvc.mcp.accept import accepts_both
from guardsvc.mcp.revisions import KNOWN_METHODS, REVISIONS
from guardsvc.model import (
    ALLOW,
    REASONS,
    Deny,
    Direction,
    GatewayProtocol,
    GuardContext,
    Headers,
    Kind,
    Operation,
    Phase,
    SettingsError,
)
from tests.guards.cases import operations

MODERN = "2026-07-28"
HTTP = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
IMPLEMENTATION = mcp_types.Implementation(name="test", version="1", title="Test")


def guard(**settings: Any) -> ProtocolCompliance:
    context = GuardContext(guard_id="protocol_compliance", servers=frozenset({"files"}))
    return ProtocolCompliance(ProtocolComplianceSettings.model_validate(settings), context)


GUARD = guard()

# What the SDK's own types make of each method, with and without what may be left out.
MESSAGES: dict[str, list[BaseModel]] = {
    "initialize": [
        mcp_types.InitializeRequest(
            params=mcp_types.InitializeRequestParams(
                protocol_version="2025-11-25",
                capabilities=mcp_types.ClientCapabilities(roots=mcp_types.RootsCapability(list_changed=True)),
                client_info=IMPLEMENTATION,
            )
        )
    ],
    "ping": [mcp_types.PingRequest()],
    "server/discover": [mcp_types.DiscoverRequest()],
    "tools/list": [
        mcp_types.ListToolsRequest(),
        mcp_types.ListToolsRequest(params=mcp_types.PaginatedRequestParams(cursor="abc")),
    ],
    "prompts/list": [mcp_types.ListPromptsRequest()],
    "resources/list": [mcp_types.ListResourcesRequest()],
    "resources/templates/list": [
        mcp_types.ListResourceTemplatesRequest(params=mcp_types.PaginatedRequestParams(cursor="abc"))
    ],
    "tools/call": [
        mcp_types.CallToolRequest(params=mcp_types.CallToolRequestParams(name="search")),
        mcp_types.CallToolRequest(
            params=mcp_types.CallToolRequestParams(name="search", arguments={"deep": [{"a": None}]})
        ),
    ],
    "prompts/get": [
        mcp_types.GetPromptRequest(params=mcp_types.GetPromptRequestParams(name="greet", arguments={"who": "Ada"}))
    ],
    "resources/read": [mcp_types.ReadResourceRequest(params=mcp_types.ReadResourceRequestParams(uri="file:///ä b"))],
    "resources/subscribe": [mcp_types.SubscribeRequest(params=mcp_types.SubscribeRequestParams(uri="file:///a"))],
    "resources/unsubscribe": [mcp_types.UnsubscribeRequest(params=mcp_types.UnsubscribeRequestParams(uri="file:///a"))],
    "completion/complete": [
        mcp_types.CompleteRequest(
            params=mcp_types.CompleteRequestParams(
                ref=mcp_types.PromptReference(name="greet"),
                argument=mcp_types.CompletionArgument(name="who", value=""),
                context=mcp_types.CompletionContext(arguments={"lang": "en"}),
            )
        ),
        mcp_types.CompleteRequest(
            params=mcp_types.CompleteRequestParams(
                ref=mcp_types.ResourceTemplateReference(uri="file:///{path}"),
                argument=mcp_types.CompletionArgument(name="path", value="a"),
            )
        ),
    ],
    "logging/setLevel": [
        mcp_types.SetLevelRequest(params=mcp_types.SetLevelRequestParams(level=level))
        for level in get_args(mcp_types.LoggingLevel)
    ],
    "subscriptions/listen": [
        mcp_types.SubscriptionsListenRequest(
            params=mcp_types.SubscriptionsListenRequestParams(
                notifications=mcp_types.SubscriptionFilter(tools_list_changed=True)
            )
        )
    ],
    "notifications/initialized": [mcp_types.InitializedNotification()],
    "notifications/roots/list_changed": [mcp_types.RootsListChangedNotification()],
    "notifications/cancelled": [
        mcp_types.CancelledNotification(
            params=mcp_types.CancelledNotificationParams(request_id=request_id, reason="late")
        )
        for request_id in (1, "one")
    ],
    "notifications/progress": [
        mcp_types.ProgressNotification(
            params=mcp_types.ProgressNotificationParams(progress_token=token, progress=1, total=2.5, message="half")
        )
        for token in (1, "one")
    ],
}


def sent(model: BaseModel, revision: str, *, notification: bool) -> dict[str, Any]:
    """The HTTP request of a client that speaks the revision."""
    body = {"jsonrpc": "2.0", **model.model_dump(by_alias=True, mode="json", exclude_none=True)}
    headers = dict(HTTP)
    method = body["method"]
    if not notification:
        body["id"] = 1
    if method != "initialize":
        headers["mcp-protocol-version"] = revision
    if revision == MODERN:
        params = body.setdefault("params", {})
        if not notification:
            params["_meta"] = META
        headers["mcp-method"] = method
        name = params.get("name" if method in ("tools/call", "prompts/get") else "uri")
        if method in ("tools/call", "prompts/get", "resources/read"):
            headers["mcp-name"] = mcp_name(name)
    return {"headers": headers, "body": body}


def mcp_name(name: str) -> str:
    from mcp.shared.inbound import encode_header_value  # noqa: PLC0415  pulls in the whole SDK

    return encode_header_value(name)


@pytest.mark.parametrize(("method", "revision"), sorted(CLIENT_REQUESTS))
def test_requests_of_the_sdk_pass(method: str, revision: str) -> None:
    for model in MESSAGES[method]:
        for operation in operations(sent(model, revision, notification=False)):
            assert GUARD.evaluate(operation, {}) == ALLOW


@pytest.mark.parametrize(("method", "revision"), sorted(CLIENT_NOTIFICATIONS))
def test_notifications_of_the_sdk_pass(method: str, revision: str) -> None:
    for model in MESSAGES[method]:
        for operation in operations(sent(model, revision, notification=True)):
            assert GUARD.evaluate(operation, {}) == ALLOW


def test_retry_of_the_sdk_passes() -> None:
    model = mcp_types.CallToolRequest(
        params=mcp_types.CallToolRequestParams(
            name="search",
            input_responses={"who": mcp_types.ElicitResult(action="accept", content={"name": "Ada"})},
            request_state="opaque",
        )
    )
    retry = operations(sent(model, MODERN, notification=False))
    assert [operation.kind for operation in retry] == [Kind.REQUEST, Kind.RESULT]
    assert [GUARD.evaluate(operation, {}) for operation in retry] == [ALLOW, ALLOW]


@pytest.mark.parametrize("revision", HANDSHAKE_PROTOCOL_VERSIONS)
@pytest.mark.parametrize(
    "result",
    [
        mcp_types.EmptyResult(),
        mcp_types.ListRootsResult(roots=[]),
        mcp_types.ElicitResult(action="decline"),
        mcp_types.CreateMessageResult(
            role="assistant", content=mcp_types.TextContent(type="text", text="x"), model="m"
        ),
    ],
    ids=lambda result: type(result).__name__,
)
def test_answers_of_the_sdk_pass(result: BaseModel, revision: str) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "result": result.model_dump(by_alias=True, mode="json", exclude_none=True)}
    request = {"headers": {**HTTP, "mcp-protocol-version": revision}, "body": body}
    assert [GUARD.evaluate(o, {}) for o in operations(request)] == [ALLOW]


def test_settings_name_every_revision() -> None:
    assert get_args(Revision) == REVISIONS == ProtocolComplianceSettings().revisions


@pytest.mark.parametrize(
    "settings",
    [{"revisions": []}, {"revisions": ["2025-11-26"]}, {"extra_methods": [""]}, {"versions": [MODERN]}],
)
def test_settings_that_are_wrong(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ProtocolComplianceSettings.model_validate(settings)


@pytest.mark.parametrize("method", ["tools/call", "notifications/message"])
def test_extra_methods_are_none_of_the_protocol(method: str) -> None:
    with pytest.raises(SettingsError, match="is a method of the protocol") as error:
        guard(extra_methods=["acme/*", method])
    assert error.value.path == ("extra_methods", 1)


SCHEMA_WITH_BAD_HEADER = {"type": "object", "properties": {"size": {"type": "number", "x-mcp-header": "Size"}}}


def test_schema_that_declares_headers_wrongly() -> None:
    context = GuardContext(guard_id="p", input_schemas={("files", "search"): SCHEMA_WITH_BAD_HEADER})
    with pytest.raises(SettingsError, match='tool "search" of server "files"') as error:
        ProtocolCompliance(ProtocolComplianceSettings(), context)
    assert error.value.path == ()


def test_schema_does_not_count_where_headers_are_not_checked() -> None:
    context = GuardContext(guard_id="p", input_schemas={("files", "search"): SCHEMA_WITH_BAD_HEADER})
    ProtocolCompliance(ProtocolComplianceSettings(param_headers=False), context)


def test_requested_revision_is_cut() -> None:
    operation = Operation(
        protocol=GatewayProtocol.GUARD_SERVICE,
        direction=Direction.REQUEST,
        phase=Phase.TOOLS_LIST,
        kind=Kind.REQUEST,
        method="tools/list",
        revision="9" * 500,
    )
    verdict = GUARD.evaluate(operation, {})
    assert isinstance(verdict, Deny)
    assert verdict.details["requested"] == "9" * 64


@pytest.mark.parametrize(
    ("values", "both"),
    [
        ([], False),
        ([""], False),
        (["*/*;q=0"], False),
        (["*/*", "text/event-stream;q=0"], False),
        (["*/*;q=0, application/json, text/event-stream"], True),
        (["text/*;q=0, application/json, text/event-stream;q=0.001"], True),
        (["application/json;q=0, application/json, text/event-stream"], True),
        (["application/json; q=2, */*"], False),
        (["*"], False),
    ],
)
def test_accept(values: list[str], both: bool) -> None:
    assert accepts_both(values) is both


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MEMBERS = st.sampled_from(
    [
        "_meta",
        "argument",
        "arguments",
        "capabilities",
        "clientInfo",
        "code",
        "context",
        "cursor",
        "inputResponses",
        "level",
        "message",
        "name",
        "notifications",
        "progress",
        "progressToken",
        "protocolVersion",
        "ref",
        "requestId",
        "requestState",
        "taskId",
        "type",
        "uri",
        *META,
    ]
)
PROTOCOL_JSON = st.recursive(
    JSON | st.sampled_from(["ref/prompt", "ref/resource", "info", *REVISIONS]),
    lambda inner: st.dictionaries(MEMBERS, inner, max_size=6),
    max_leaves=20,
)


OPERATIONS = st.builds(
    Operation,
    protocol=st.just(GatewayProtocol.EXT_AUTHZ),
    direction=st.just(Direction.REQUEST),
    phase=st.sampled_from(Phase),
    kind=st.sampled_from(Kind),
    method=st.sampled_from(["", *sorted(KNOWN_METHODS)]) | st.text(max_size=12),
    server=st.just("files"),
    subject=st.just("search"),
    payload=PROTOCOL_JSON,
    headers=st.dictionaries(
        st.sampled_from(["accept", "mcp-protocol-version", "mcp-method", "mcp-name", "mcp-param-region"]),
        st.sampled_from([*REVISIONS, "*/*", "x"]) | st.text(max_size=12),
    ).map(lambda headers: Headers(headers.items())),
    revision=st.sampled_from(["", *REVISIONS]) | st.text(max_size=12),
    http_method=st.sampled_from(["", "POST"]),
)
SCHEMA = {"properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}
SETTINGS = st.builds(
    ProtocolComplianceSettings,
    revisions=st.lists(st.sampled_from(REVISIONS), min_size=1, unique=True).map(tuple),
    extra_methods=st.sampled_from([(), ("a*",), ("*",)]),
)


@given(operation=OPERATIONS, settings=SETTINGS)
def test_it_answers_whatever_it_is_asked(operation: Operation, settings: ProtocolComplianceSettings) -> None:
    context = GuardContext(guard_id="p", input_schemas={("files", "search"): SCHEMA})
    verdict = ProtocolCompliance(settings, context).evaluate(operation, {})
    if isinstance(verdict, Deny):
        assert verdict.code in REASONS
    else:
        assert verdict == ALLOW
