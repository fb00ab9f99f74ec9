"""agentgateway as ExtMcp sees it: what it does with a client's message, what it asks, and what it makes of answers.

Replayed from what a running one (main of August 2026) was seen to do, so that it stands for one in tests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct

from guardsvc._proto.agentgateway.dev.ext_mcp import ext_mcp_pb2 as contract
from guardsvc.gateways.ext_mcp import ExtMcp
from tests.gateways.ext_mcp.upstream import Server

FAN_OUT = frozenset(
    {
        "initialize",
        "logging/setLevel",
        "ping",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "server/discover",
        "subscriptions/listen",
        "tools/list",
    }
)
WITHOUT_REQUEST_PHASE = frozenset(
    {
        "completion/complete",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/cancel",
        "tasks/get",
        "tasks/update",
    }
)
NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
LISTED = {"tools/list": "tools", "prompts/list": "prompts", "resources/list": "resources"}
ERRORS = {
    contract.AuthorizationError.UNKNOWN: -32603,
    contract.AuthorizationError.PERMISSION_DENIED: -32001,
    contract.AuthorizationError.RESOURCE_EXHAUSTED: -32003,
    contract.AuthorizationError.INVALID: -32600,
}
INTERNAL = -32603


@dataclass
class Told:
    """What the client gets: a result, or an error's code, message and data."""

    result: Any = None
    code: int | None = None
    message: str = ""
    data: Any = None


class _RefusedError(Exception):
    def __init__(self, told: Told) -> None:
        super().__init__(told.message)
        self.told = told


@dataclass
class Agentgateway:
    """A gateway with one processor, ``methods: {'*': full}``, ``failureMode: failClosed``.

    Attributes:
        channel: to the processor.
        servers: its targets by name; with several of them it puts prefixes before names.
        metadata: what its expressions give for every request, beside ``corr`` and ``tool``.
        hands_on: whether the configuration has ``corr`` and ``tool``.
        seconds: ``requestTimeout``, None for none.
    """

    channel: grpc.aio.Channel
    servers: Mapping[str, Server]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    hands_on: bool = True
    seconds: float | None = None
    asked: list[contract.McpRequest] = field(default_factory=list)
    shown: list[contract.McpResponse] = field(default_factory=list)
    upstream_headers: dict[str, str] = field(default_factory=dict)

    async def send(self, method: str, params: Any = None, headers: Mapping[str, str] | None = None) -> Told:
        """Take a request of a client to its end."""
        try:
            return Told(result=await self._send(method, params, headers or {}))
        except _RefusedError as refused:
            return refused.told

    async def _send(self, method: str, params: Any, headers: Mapping[str, str]) -> Any:
        names, forwarded = self._route(method, params)
        handed: dict[str, Any] = {}
        self.upstream_headers = dict(headers)
        if method not in WITHOUT_REQUEST_PHASE:
            forwarded, handed = await self._ask(method, names, forwarded, headers)
        results = {name: self.servers[name].answer(method, forwarded) for name in names}
        return await self._show(method, names, self._merged(method, results), handed)

    def _route(self, method: str, params: Any) -> tuple[list[str], Any]:
        """The targets, and params as the gateway writes them: without ``_meta``, names as the server has them."""
        if method in FAN_OUT:
            return list(self.servers), None
        kept = {key: value for key, value in (params or {}).items() if key != "_meta"}
        by = NAMED_BY.get(method)
        if by is None or len(self.servers) == 1:
            return [next(iter(self.servers))], kept
        separator = "+" if by == "uri" else "_"
        name, _, rest = str(kept[by]).partition(separator)
        return [name], {**kept, by: rest}

    async def _ask(
        self, method: str, names: list[str], params: Any, headers: Mapping[str, str]
    ) -> tuple[Any, dict[str, Any]]:
        request = contract.McpRequest(service_names=names, method=method, metadata_context=_struct(self.metadata))
        if params is not None:
            request.mcp_request = json.dumps(params).encode()
        for key, value in {":method": "POST", ":path": "/mcp", "content-type": "application/json", **headers}.items():
            request.headers.add(key=key, value=value.encode())
        self.asked.append(request)
        answer = contract.McpRequestResult.FromString(await self._call("CheckRequest", request))
        outcome = answer.WhichOneof("result")
        self._refuse_unless_let_in(outcome, answer)
        if outcome == "mutated" and method not in FAN_OUT:
            params = json.loads(answer.mutated)
            if not isinstance(params, dict) or NAMED_BY[method] not in params:
                raise _RefusedError(Told(code=INTERNAL, message="protocol violation"))
        for header in answer.header_mutation.set:
            self.upstream_headers[header.key] = header.value.decode()
        for name in answer.header_mutation.remove:
            self.upstream_headers.pop(name, None)
        return params, MessageToDict(answer.metadata)

    async def _show(self, method: str, names: list[str], result: Any, handed: Mapping[str, Any]) -> Any:
        known = {key: handed[key] for key in ("corr", "tool") if self.hands_on and key in handed}
        response = contract.McpResponse(
            service_names=names,
            method=method,
            metadata_context=_struct({**self.metadata, **known}),
            mcp_response=result if isinstance(result, bytes) else json.dumps(result).encode(),
        )
        self.shown.append(response)
        answer = contract.McpResponseResult.FromString(await self._call("CheckResponse", response))
        outcome = answer.WhichOneof("result")
        self._refuse_unless_let_in(outcome, answer)
        return json.loads(answer.mutated) if outcome == "mutated" else result

    def _refuse_unless_let_in(self, outcome: str | None, answer: Any) -> None:
        if outcome == "error":
            told = answer.error
            data = json.loads(told.mcp_error) if told.HasField("mcp_error") else None
            raise _RefusedError(Told(code=ERRORS[told.code], message=told.reason, data=data))
        if outcome is None:
            raise _RefusedError(Told(code=INTERNAL, message="protocol violation"))

    async def _call(self, name: str, message: Any) -> bytes:
        call: Any = self.channel.unary_unary(f"/{ExtMcp.SERVICE}/{name}")
        try:
            data: bytes = await call(message.SerializeToString(), timeout=self.seconds)
        except grpc.aio.AioRpcError as error:
            raise _RefusedError(
                Told(code=INTERNAL, message=f"mcpGuardrails {name} failed: {error.details()}")
            ) from None
        return data

    def _merged(self, method: str, results: Mapping[str, Any]) -> Any:
        if len(self.servers) == 1 or method not in LISTED:
            return next(iter(results.values()))
        member = LISTED[method]
        by, separator = ("uri", "+") if member == "resources" else ("name", "_")
        return {
            member: [
                {**each, by: f"{name}{separator}{each[by]}"}
                for name, result in results.items()
                for each in result[member]
            ]
        }


def _struct(values: Mapping[str, Any]) -> Struct:
    struct = Struct()
    struct.update(dict(values))
    return struct
