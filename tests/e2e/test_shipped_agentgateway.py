"""The shipped agentgateway configurations: only keys that agentgateway is known to take, and nothing that lets pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from guardsvc._proto.agentgateway.dev.ext_mcp import ext_mcp_pb2 as ext_mcp
from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from guardsvc.gateways.ext_authz import ExtAuthz
from guardsvc.gateways.ext_mcp import ExtMcp
from guardsvc.gateways.ext_mcp.correlation import CORRELATION, EXT_AUTHZ_TOKEN, TOOL
from guardsvc.policy.response_settings import ResponseSettings
from guardsvc.policy.settings import IntegritySettings, PolicySettings, ServerSettings
from tests.engine.scripted import asked, guard, policy
from tests.gateways.ext_authz.checks import attributes, check_request
from tests.gateways.protocols import CALL_OF_READ, serving

FOLDER = Path(__file__).parents[2] / "deploy" / "agentgateway"
FILES = sorted(FOLDER.glob("*.yaml"))

ANY: dict[str, Any] = {"*": None}
"""An object whose keys are the operator's own."""
CALLOUT = {"http": {"requestTimeout": None}}
EXT_AUTHZ = {
    "host": None,
    "failureMode": None,
    "protocol": {"grpc": {"context": ANY, "metadata": ANY}},
    "includeRequestBody": {"maxRequestBytes": None, "allowPartialMessage": None, "packAsBytes": None},
    "policies": CALLOUT,
}
EXT_PROC = {
    "host": None,
    "failureMode": None,
    "metadataContext": {"*": ANY},
    "processingOptions": {"requestBodyMode": None, "responseBodyMode": None},
}
PROCESSOR = {
    "kind": None,
    "host": None,
    "failureMode": None,
    "policies": CALLOUT,
    "methods": ANY,
    "metadata": ANY,
}
POLICIES = {"extAuthz": EXT_AUTHZ, "extProc": EXT_PROC, "mcpGuardrails": {"processors": [PROCESSOR]}}
BACKEND = {"mcp": {"targets": [{"name": None, "stdio": {"cmd": None, "args": [None]}}]}}
KEYS = {"binds": [{"port": None, "listeners": [{"routes": [{"policies": POLICIES, "backends": [BACKEND]}]}]}]}
"""Keys of agentgateway's configuration as its own tests and documents have them, and of these what is shipped."""


def unknown(value: Any, keys: Any, path: str = "") -> list[str]:
    """Paths of what is not among the keys."""
    if isinstance(value, dict):
        if not isinstance(keys, dict):
            return [path]
        found: list[str] = []
        for key, under in value.items():
            place = f"{path}.{key}"
            found += unknown(under, keys.get(key, keys.get("*")), place) if key in keys or "*" in keys else [place]
        return found
    if isinstance(value, list):
        if not isinstance(keys, list):
            return [path]
        return [each for number, item in enumerate(value) for each in unknown(item, keys[0], f"{path}[{number}]")]
    return [] if keys is None else [path]


def route(file: Path) -> dict[str, Any]:
    configuration = yaml.safe_load(file.read_text(encoding="utf-8"))
    found: dict[str, Any] = configuration["binds"][0]["listeners"][0]["routes"][0]["policies"]
    return found


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_there_is_one_for_each_way() -> None:
    assert [file.stem for file in FILES] == ["ext_authz", "ext_authz_ext_mcp", "ext_mcp", "ext_proc"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_key_is_known(file: Path) -> None:
    assert unknown(yaml.safe_load(file.read_text(encoding="utf-8")), KEYS) == []


def test_a_key_that_is_not_known_would_be_found() -> None:
    assert unknown({"binds": [{"port": 1, "listener": []}]}, KEYS) == [".binds[0].listener"]
    assert unknown({"binds": {"port": 1}}, KEYS) == [".binds"]
    assert unknown({"binds": [{"listeners": [{"routes": [{"policies": {"extAuthz": 7}}]}]}]}, KEYS) != []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_nothing_passes_where_guardsvc_does_not_answer(file: Path) -> None:
    policies = route(file)
    if ext_authz := policies.get("extAuthz"):
        assert ext_authz["failureMode"] == "deny"
        body = ext_authz["includeRequestBody"]
        assert body["maxRequestBytes"] >= IntegritySettings().max_bytes
        assert (body["allowPartialMessage"], body["packAsBytes"]) == (False, True)
        assert seconds(ext_authz["policies"]["http"]["requestTimeout"]) > PolicySettings().deadline_ms / 1000
        assert "mcp_server" in ext_authz["protocol"]["grpc"]["context"]
    if ext_proc := policies.get("extProc"):
        assert ext_proc["failureMode"] == "failClosed"
        assert set(ext_proc["processingOptions"].values()) == {"fullDuplexStreamed"}
    for processor in policies.get("mcpGuardrails", {}).get("processors", ()):
        assert (processor["kind"], processor["failureMode"]) == ("remote", "failClosed")
        assert list(processor["methods"]) == ["*"]
        assert seconds(processor["policies"]["http"]["requestTimeout"]) > ResponseSettings().deadline_ms / 1000


def test_a_request_is_judged_once_and_its_result_belongs_to_it() -> None:
    alone = route(FOLDER / "ext_mcp.yaml")["mcpGuardrails"]["processors"][0]
    assert alone["methods"] == {"*": "full"}
    assert alone["metadata"][CORRELATION] == f"mcpGuardrails.{CORRELATION}"
    assert alone["metadata"][TOOL] == f"mcpGuardrails.{TOOL}"

    beside = route(FOLDER / "ext_authz_ext_mcp.yaml")["mcpGuardrails"]["processors"][0]
    assert beside["methods"] == {"*": "response"}
    assert beside["metadata"][EXT_AUTHZ_TOKEN] == "extauthz.token"


async def test_the_token_of_ext_authz_is_taken_for_a_result() -> None:
    """What ``extauthz.token`` gives is the token in the dynamic metadata of a CheckResponse."""
    seeing = guard("g")
    servers = {"files": ServerSettings(tool_prefixes=("files_",))}
    async with serving(policy(seeing, servers=servers)) as protocols:
        check = check_request(attributes(CALL_OF_READ.envelope, extensions={"mcp_server": "files"}))
        data = await protocols.unary(ExtAuthz.SERVICE, "Check", check)
        token = CheckResponse.FromString(data).dynamic_metadata["token"]
        shown = ext_mcp.McpResponse(service_names=["files"], method="tools/call", mcp_response=b'{"content":[]}')
        shown.metadata_context.update({EXT_AUTHZ_TOKEN: token})
        answer = await protocols.unary(ExtMcp.SERVICE, "CheckResponse", shown.SerializeToString())
    assert ext_mcp.McpResponseResult.FromString(answer).WhichOneof("result") == "pass"
    request, result = asked(seeing)
    assert (request.subject, result.subject) == ("read", "read")
    assert json.loads(CALL_OF_READ.payload or b"")["name"] == "files_read"
