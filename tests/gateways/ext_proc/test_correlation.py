"""Which request a response answers, and what becomes of one that answers none that was allowed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from guardsvc.gateways.seal import Seal
from guardsvc.model import Caller, Phase
from guardsvc.observe import Metrics
from guardsvc.policy.scope import Scope
from guardsvc.policy.settings import MatchSettings
from tests.engine.scripted import asked, guard, policy
from tests.gateways.ext_authz.checks import attributes, check_request
from tests.gateways.ext_authz.test_service import serving
from tests.gateways.ext_proc.streams import (
    EVENTS,
    FDS,
    JSON,
    SEAL,
    body,
    event,
    exchange,
    judge_words,
    pieces,
    response_headers,
    result,
    token,
    trailers,
)

LENIENT: dict[str, Any] = {"responses": {"require_context": False}}
OTHER_SEAL = Seal((b"x" * 32,))


def counted(metrics: Metrics) -> dict[str, float]:
    lines = metrics.exposition().decode().splitlines()
    found = {line.split('"')[1]: float(line.split()[-1]) for line in lines if "uncorrelated_responses_total{" in line}
    return {cause: number for cause, number in found.items() if number}


def tools(request_id: Any = 7) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "result": {"tools": [], "content": []}}).encode()


@pytest.mark.parametrize(
    ("sealed", "cause"),
    [
        (None, "missing"),
        ("g1.e30.x", "invalid"),
        (token(OTHER_SEAL), "invalid"),
        (token(Seal((b"k" * 32,), lifetime=-1)), "invalid"),
        (token()[:-1], "invalid"),
    ],
)
async def test_without_a_good_token_it_is_refused_with_its_own_id_and_counted(sealed: str | None, cause: str) -> None:
    metrics = Metrics("0")
    headers = response_headers(JSON, sealed=sealed)
    seen = await exchange(policy(guard("g")), headers, *pieces("response", tools(9)), metrics=metrics)
    assert (seen.error["id"], seen.error["error"]["data"]["reason"]) == (9, "uncorrelated_response")
    assert counted(metrics) == {cause: 1}
    headers = response_headers(EVENTS, sealed=sealed)
    seen = await exchange(policy(guard("g")), headers, *pieces("response", event(tools(9))), metrics=metrics)
    assert b'"id":9' in seen.body
    assert (seen.ended, counted(metrics)) == (True, {cause: 2})


async def test_it_can_be_judged_by_its_shape_by_every_guard() -> None:
    scoped = guard("g", scope=Scope.compile(MatchSettings(tenants=("nobody",), tools=("none",))))
    headers = response_headers(JSON)
    seen = await exchange(policy(scoped, **LENIENT), headers, *pieces("response", tools()))
    assert seen.body == tools()
    assert [each.phase for each in asked(scoped)] == [Phase.TOOLS_LIST, Phase.TOOL_RESULT]
    assert all(each.caller == Caller() and each.server is None and not each.learnable for each in asked(scoped))
    refusing = policy(guard("g", judge_words), **LENIENT)
    assert (await exchange(refusing, headers, *pieces("response", result("BAD", 9)))).error["id"] == 9


async def test_an_answer_to_another_request_is_none_to_this_one() -> None:
    metrics = Metrics("0")
    headers = response_headers(JSON, sealed=token())
    for other in (8, "7"):
        seen = await exchange(policy(guard("g")), headers, *pieces("response", result("x", other)), metrics=metrics)
        assert (seen.error["id"], seen.error["error"]["data"]["reason"]) == (7, "uncorrelated_response")
    assert counted(metrics) == {"other_request": 2}
    seeing = guard("g")
    await exchange(policy(seeing, **LENIENT), headers, *pieces("response", tools(8)))
    assert [each.phase for each in asked(seeing)] == [Phase.TOOLS_LIST, Phase.TOOL_RESULT]
    assert asked(seeing)[0].caller.tenant == "acme"


async def test_an_answer_of_several_servers_is_theirs_after_ext_authz() -> None:
    seeing = guard("g")
    servers = {
        "files": {"hosts": ["h"], "tool_prefixes": ["files_"]},
        "mail": {"hosts": ["h"], "tool_prefixes": ["mail_"]},
        "alone": {"hosts": ["elsewhere"]},
    }
    chain = policy(seeing, servers=servers)
    async with serving(lambda: chain, seal=SEAL) as check:
        checked = await check(check_request(attributes({"jsonrpc": "2.0", "id": 7, "method": "tools/list"})))
    sealed = checked.dynamic_metadata.fields["token"].string_value
    listed = {"jsonrpc": "2.0", "id": 7, "result": {"tools": [{"name": "files_read", "inputSchema": {}}]}}
    seen = await exchange(
        chain, response_headers(JSON, sealed=sealed), *pieces("response", json.dumps(listed).encode())
    )
    assert seen.ended
    request, response = asked(seeing)
    assert (request.phase, response.phase) == (Phase.TOOLS_LIST, Phase.TOOLS_LIST)
    assert (response.server, response.servers) == (request.server, request.servers) == (None, ("files", "mail"))


async def test_an_error_may_have_an_id_of_its_own() -> None:
    seeing = guard("g")
    data = b'{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"Session not found"}}'
    headers = response_headers(JSON, sealed=token(), status="404")
    seen = await exchange(policy(seeing), headers, *pieces("response", data))
    assert (seen.body, asked(seeing)[0].phase) == (data, Phase.TOOL_RESULT)


@pytest.mark.parametrize("details", ["ext_authz_denied", "route_not_found", "upstream_reset_before_response_started"])
async def test_what_the_gateway_made_itself_passes_unread(details: str) -> None:
    metrics = Metrics("0")
    headers = response_headers(("content-type", "text/plain"), details=details, status="403")
    seen = await exchange(policy(), headers, *pieces("response", b"BAD", b"..."), metrics=metrics)
    assert (seen.body, seen.ended, counted(metrics)) == (b"BAD...", True, {})
    seen = await exchange(policy(), headers, body("response", b"BAD"), trailers("response"))
    assert (seen.body, seen.kinds[-1], seen.status) == (b"BAD", "response_trailers", None)


@pytest.mark.parametrize("details", [None, "", "via_upstream"])
async def test_everything_else_is_judged(details: str | None) -> None:
    seen = await exchange(policy(), response_headers(JSON, details=details), *pieces("response", result()))
    assert seen.denial
    assert not seen.headers


async def test_who_is_not_believed_can_neither_hand_on_a_decision_nor_make_a_response_its_own() -> None:
    metrics = Metrics("0")
    stranger = {"peer": "ipv4:10.0.0.9:1", "metrics": metrics}
    for headers in (
        response_headers(JSON, sealed=token()),
        response_headers(JSON, details="ext_authz_denied"),
    ):
        seen = await exchange(policy(guard("g")), headers, *pieces("response", result()), **stranger)  # type: ignore[arg-type]
        assert seen.error["error"]["data"]["reason"] == "uncorrelated_response"
    assert counted(metrics) == {"missing": 2}


async def test_catalogs_are_learned_from_correlated_responses_only() -> None:
    seeing = guard("g")
    await exchange(policy(seeing, **LENIENT), response_headers(JSON, sealed=token()), *pieces("response", result()))
    await exchange(policy(seeing, **LENIENT), response_headers(JSON), *pieces("response", result()))
    await exchange(policy(seeing, **LENIENT), response_headers(JSON, sealed=token()), *pieces("response", tools(8)))
    assert [each.learnable for each in asked(seeing)] == [True, False, False, False]


async def test_a_document_is_judged_as_one() -> None:
    seeing = guard("g")
    sealed = token(method="http/well_known", id=None, subject=None)
    data = b'{"issuer": "https://issuer.example"}'
    seen = await exchange(policy(seeing), response_headers(JSON, sealed=sealed), *pieces("response", data))
    assert seen.body == data
    assert (asked(seeing)[0].phase, asked(seeing)[0].payload) == (Phase.CONNECTION, json.loads(data))


async def test_a_response_nobody_judged() -> None:
    headers = response_headers(JSON, sealed=token(), mode=FDS)
    seen = await exchange(policy(), headers, *pieces("response", result()))
    assert seen.error["error"]["data"]["reason"] == "default_deny"
    seen = await exchange(policy(responses={"default": "allow"}), headers, *pieces("response", result()))
    assert seen.body == result()
