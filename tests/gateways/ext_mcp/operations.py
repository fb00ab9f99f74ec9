"""What a client asks through agentgateway and what it gets, whichever agentgateway it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

NO_PARAMS: dict[str, Any] = {}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}


@dataclass(frozen=True)
class Operation:
    """One request and its end.

    Attributes:
        params: as the client sends them to a gateway with one target.
        says: what lists and instructions of the servers say.
        reason: of the refusal, None where the client gets a result.
        code: of the JSON-RPC error.
        finds: text that is in the result, and none of the others.
    """

    description: str
    method: str
    params: dict[str, Any] = field(default_factory=dict)
    says: str = "fine"
    reason: str | None = None
    code: int | None = None
    finds: str = ""

    def __str__(self) -> str:
        return f"{self.method}: {self.description}"


def call(description: str, *, tool: str = "read_file", code: int | None = None, **more: Any) -> Operation:
    arguments = more.pop("arguments", {})
    return Operation(description, "tools/call", {"name": tool, "arguments": arguments}, code=code, **more)


OPERATIONS = (
    call("passes both ways", finds='"fine"'),
    call("is refused", arguments={"text": "BAD"}, reason="access_denied", code=-32001),
    call("is changed on the way in", arguments={"text": "SWAP"}, finds='"fine"'),
    call("has a result that is refused", arguments={"say": "bad"}, reason="access_denied", code=-32001),
    call("has a result that is changed", arguments={"say": "swap"}, finds="this is GOOD"),
    call("has an error of the tool that is refused", tool="fail", arguments={"say": "bad"}, reason="access_denied"),
    Operation("passes", "prompts/get", {"name": "greet", "arguments": {"say": "fine"}}, finds='"fine"'),
    Operation("is refused", "prompts/get", {"name": "greet", "arguments": {"x": "BAD"}}, reason="access_denied"),
    Operation("is changed", "prompts/get", {"name": "greet", "arguments": {"say": "swap"}}, finds="this is GOOD"),
    Operation("passes", "resources/read", {"uri": "note://1"}, finds='"fine"'),
    Operation("is refused", "resources/read", {"uri": "note://BAD"}, reason="access_denied"),
    Operation("has a result that is changed", "resources/read", {"uri": "note://1"}, says="swap", finds="is GOOD"),
    *(
        each
        for method in ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "initialize")
        for each in (
            Operation("passes", method, HELLO if method == "initialize" else {}, finds='"fine"'),
            Operation("is refused", method, HELLO if method == "initialize" else {}, "bad", "access_denied", -32001),
            Operation("is changed", method, HELLO if method == "initialize" else {}, "swap", finds="this is GOOD"),
        )
    ),
    Operation("passes", "ping", finds="{}"),
    Operation("has no request phase", "completion/complete", reason="uncorrelated_response", code=-32001),
)
