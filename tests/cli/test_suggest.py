"""``guardsvc policy suggest``: what is suggested validates, and lets pass what was allowed and nothing that was not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.model import Caller, GatewayProtocol, Kind, Mode, Operation, Phase
from guardsvc.observe.audit.record import Encoder
from tests.cli.command import Command, Outcome
from tests.observe.audits import KEY
from tests.observe.decisions import decision, outcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

NOON = 1_769_860_800


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, **({"params": params} if params else {})}


def line(body: dict[str, Any], at: float = NOON, **more: Any) -> dict[str, Any]:
    who = {"tenant": "acme", "principal": "ada", "verified": True, "server": "files"}
    return {"message": body, "time": at, **{key: value for key, value in {**who, **more}.items() if value is not None}}


def lines(*values: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def suggested(guardsvc: Command, tmp_path: Path, data: bytes, *args: object) -> tuple[str, dict[str, Any], Path]:
    """Text, policy and file of what is suggested; it has been validated."""
    answer = guardsvc("policy", "suggest", "-", *args, stdin=data)
    assert (answer.code, answer.err) == (0, "")
    file = tmp_path / "suggested.yaml"
    file.write_text(answer.out)
    assert guardsvc("validate", file).code == 0
    return answer.out, yaml.safe_load(answer.out)["policy"], file


def guard(policy: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [entry["settings"] for entry in policy["guards"] if entry["type"] == name]
    return dict(found)


def verdicts(answer: Outcome) -> list[str]:
    return [each["verdict"] for each in answer.objects]


TRAFFIC = lines(
    line(message("tools/list")),
    line(call("read_file", path="a.txt"), NOON + 1),
    line(call("read_file", path="b.txt"), NOON + 2, principal="bob"),
    line(call("search"), NOON + 3, tenant="other", principal="eve", server="web"),
    line(message("resources/read", uri="file:///pub/a"), NOON + 4),
    line(message("prompts/get", name="greet"), NOON + 5, principal=None),
    line(message("ping"), NOON + 6, tenant=None, principal=None, verified=None, server=None),
)


def test_all_of_the_traffic_passes_and_nothing_else_does(guardsvc: Command, tmp_path: Path) -> None:
    text, policy, file = suggested(guardsvc, tmp_path, TRAFFIC)
    others = lines(
        line(call("delete_file")),
        line(call("read_file"), principal="eve"),
        line(call("read_file"), verified=False),
        line(call("search")),
        line(message("resources/read", uri="file:///pub/b")),
        line(message("resources/subscribe", uri="file:///pub/a")),
        line(message("prompts/list")),
        line(call("read_file"), server="web"),
    )

    assert verdicts(guardsvc("check", "-c", file, "-o", "json", stdin=TRAFFIC)) == ["allow"] * 7
    assert verdicts(guardsvc("check", "-c", file, "-o", "json", stdin=others)) == ["deny"] * 8
    assert text.startswith(
        "# Drawn from 7 allowed requests of - (lines).\n# Sent from 2026-01-31T12:00:00Z to 2026-01-31T12:00:06Z.\n"
    )
    assert set(policy["servers"]) == {"files", "web"}
    assert guard(policy, "access_list")["unknown_server"] == "allow"


def test_callers_who_do_the_same_share_a_rule(guardsvc: Command, tmp_path: Path) -> None:
    text, policy, _ = suggested(guardsvc, tmp_path, TRAFFIC)
    (rule,) = [rule for rule in guard(policy, "access_list")["rules"] if rule.get("tools") == ["read_file"]]

    assert rule == {
        "action": "allow",
        "tenants": ["acme"],
        "principals": ["ada", "bob"],
        "verified": True,
        "servers": ["files"],
        "tools": ["read_file"],
    }
    assert "# 2 requests of 2 callers" in text


def test_what_was_denied_is_left_out(guardsvc: Command, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "policy: {servers: {files: {ids: [f]}}, guards: [{type: access_list, settings: {default: allow, "
        "rules: [{action: deny, tools: [delete_*]}]}}]}\n"
    )
    data = lines(line(call("delete_all"), server="f"), line(call("read"), server="f"), line(message("x"), server="f"))
    text, policy, file = suggested(guardsvc, tmp_path, data, "-c", tmp_path / "config.yaml")

    assert "# Left out: 1 denied.\n" in text
    assert "delete_all" not in text
    assert policy["servers"] == {"files": {"ids": ["f"]}}
    assert "# Without protocol_compliance, which some of the requests have not passed." in text
    assert verdicts(guardsvc("check", "-c", file, "-o", "json", stdin=data)) == ["deny", "allow", "allow"]


def test_globs_stand_for_many_names_and_never_for_one_that_was_denied(guardsvc: Command, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "policy: {servers: {files: {}}, guards: [{type: access_list, settings: {default: allow, "
        "rules: [{action: deny, tools: [list_secrets]}]}}]}\n"
    )
    data = lines(
        *(line(call(f"git_{name}")) for name in "abcdefgh"),
        *(line(call(f"list_{name}")) for name in "abcdefgh"),
        *(line(call(f"get_{name}")) for name in "abcd"),
        *(line(message("resources/read", uri=f"file:///pub/{name}")) for name in "abcdefgh"),
        *(line(message("resources/read", uri=f"https://{name}.example/x")) for name in "abcdefgh"),
        line(call("list_secrets")),
    )
    _, policy, file = suggested(guardsvc, tmp_path, data, "-c", tmp_path / "config.yaml")
    _, exact, _ = suggested(guardsvc, tmp_path, data, "-c", tmp_path / "config.yaml", "--glob-from", 0)
    rules = guard(policy, "access_list")["rules"]
    (tools,) = [rule["tools"] for rule in rules if "tools" in rule]
    (resources,) = [rule["resources"] for rule in rules if "resources" in rule]

    assert tools == [*(f"get_{name}" for name in "abcd"), "git_*", *(f"list_{name}" for name in "abcdefgh")]
    assert resources == ["file:///pub/*", *(f"https://{name}.example/x" for name in "abcdefgh")]
    assert "*" not in json.dumps(exact)
    assert verdicts(guardsvc("check", "-c", file, "-o", "json", stdin=data)) == ["allow"] * 36 + ["deny"]


def test_many_principals_of_a_tenant_need_not_be_named(guardsvc: Command, tmp_path: Path) -> None:
    data = lines(*(line(call("read"), principal=f"p{index}") for index in range(20)))
    few = lines(*(line(call("read"), principal=f"p{index}") for index in range(19)))

    (rule,) = guard(suggested(guardsvc, tmp_path, data)[1], "access_list")["rules"]
    assert "principals" not in rule
    (rule,) = guard(suggested(guardsvc, tmp_path, few)[1], "access_list")["rules"]
    assert len(rule["principals"]) == 19


@pytest.mark.parametrize("more", [{"principal": "*"}, {"tenant": "a*"}, {"body": call("*")}, {"server": "*"}])
def test_a_star_in_a_name_is_no_pattern(guardsvc: Command, tmp_path: Path, more: dict[str, Any]) -> None:
    body = more.pop("body", call("read"))
    text, _, file = suggested(guardsvc, tmp_path, lines(line(call("read")), line(body, **more)))

    assert "# Left out: 1 with a name that has * in it" in text
    assert verdicts(guardsvc("check", "-c", file, "-o", "json", stdin=lines(line(call("x"))))) == ["deny"]


@pytest.mark.parametrize("name", ["no", "1e3", "2026-01-01", "a: b", "# x", "${env:HOME}", "\x1b[2J", "x" * 1500, "…"])
def test_odd_names(guardsvc: Command, tmp_path: Path, name: str) -> None:
    (tmp_path / "config.yaml").write_text(
        "policy: {guards: [{type: access_list, settings: {unknown_server: allow, default: allow}}]}\n"
    )
    data = lines(line(call(name), server=None), line(call("y"), principal=name, server=None))
    _, _, file = suggested(guardsvc, tmp_path, data, "-c", tmp_path / "config.yaml", "--preset", "none")

    assert verdicts(guardsvc("check", "-c", file, "-o", "json", stdin=data)) == ["allow", "allow"]


def test_limits_have_room_above_what_was_seen(guardsvc: Command, tmp_path: Path) -> None:
    data = lines(
        *(line(call("read"), NOON + index) for index in range(30)),
        *(line(call("read"), NOON + 40 * index, principal="bob") for index in range(100)),
        line(call("read"), NOON + 90_000, principal="bob"),
    )
    _, policy, _ = suggested(guardsvc, tmp_path, data)
    _, wide, _ = suggested(guardsvc, tmp_path, data, "--headroom", 10)
    requests, calls = guard(policy, "rate_limit")["limits"]

    assert requests == {
        "name": "requests",
        "key": ["tenant", "principal"],
        "windows": ["60/minute", "180/hour", "200/day"],
    }
    assert calls["key"] == ["tenant", "principal", "tool"]
    assert guard(wide, "rate_limit")["limits"][0]["windows"] == ["300/minute", "900/hour", "1000/day"]


def test_without_times_there_are_no_limits(guardsvc: Command, tmp_path: Path) -> None:
    text, policy, _ = suggested(guardsvc, tmp_path, lines(call("read"), call("read")), "--preset", "none")

    assert [entry["type"] for entry in policy["guards"]] == ["protocol_compliance", "access_list"]
    assert "# When they were sent is not known." in text


def test_har(guardsvc: Command, tmp_path: Path) -> None:
    fields = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
    fields |= {"mcp-protocol-version": "2025-11-25"}
    headers = [{"name": name, "value": value} for name, value in fields.items()]

    def entry(body: dict[str, Any] | None, host: str = "mcp.example:8443", **response: Any) -> dict[str, Any]:
        request: dict[str, Any] = {
            "method": "GET" if body is None else "POST",
            "url": f"https://{host}/mcp",
            "headers": headers,
        }
        if body is not None:
            request["postData"] = {"mimeType": "application/json", "text": json.dumps(body)}
        return {"startedDateTime": "2026-01-31T12:00:00Z", "request": request, "response": {"status": 200, **response}}

    logo = {"request": {"method": "GET", "url": "https://mcp.example/logo.png", "headers": []}}
    entries = [
        logo,
        entry(call("read")),
        entry(None),
        entry(call("drop"), status=403),
        entry(message("ping"), "b.example"),
    ]
    data = json.dumps({"log": {"entries": entries}}).encode()
    text, policy, file = suggested(guardsvc, tmp_path, data)

    assert "# Left out: 1 denied; 1 answers, or none of MCP.\n" in text
    assert policy["servers"] == {"b.example": {"hosts": ["b.example"]}, "mcp.example": {"hosts": ["mcp.example"]}}
    assert policy["transport"] == {"get_stream": "allow"}
    answer = guardsvc("check", "-c", file, "-o", "json", stdin=data)
    assert [(each["entry"], each["verdict"]) for each in answer.objects] == [
        (2, "allow"),
        (3, "allow"),
        (4, "deny"),
        (5, "allow"),
    ]


def operation(subject: str | None = "read_file", **more: Any) -> Operation:
    fields: dict[str, Any] = {
        "protocol": GatewayProtocol.EXT_AUTHZ,
        "direction": "request",
        "phase": Phase.TOOL_INVOKE,
        "kind": Kind.REQUEST,
        "method": "tools/call",
        "id": 1,
        "server": "files",
        "servers": ("files",),
        "subject": subject,
        "caller": Caller(tenant="acme", principal="ada", verified=True, address="192.0.2.1"),
        "revision": "2025-11-25",
    }
    return Operation(**{**fields, **more})


def audited(*decided: tuple[str, Operation], first: int = 0, **more: Any) -> bytes:
    encoder = Encoder("0", KEY, include_arguments=False)
    checked = outcome("protocol_compliance", type="protocol_compliance")
    return b"".join(
        encoder.encode(
            decision(verdict, checked, id=f"{first + index:032x}", operation=given, **more),
            NOON + index,
            policy_name="p",
            size=1,
        )
        + b"\n"
        for index, (verdict, given) in enumerate(decided)
    )


def check_operations(guardsvc: Command, tmp_path: Path, policy: Path, given: Sequence[tuple[str, Operation]]) -> None:
    """Have the operations judged by the suggested policy, as policy tests."""
    cases = [
        {
            "description": str(index),
            "reaches": list(each.servers),
            "caller": {key: getattr(each.caller, key) for key in ("tenant", "principal", "verified", "address")},
            "operation": {
                "method": each.method,
                "phase": str(each.phase),
                "kind": str(each.kind),
                "subject": each.subject,
                "payload": each.payload,
            },
            "expect": {"verdict": verdict},
        }
        for index, (verdict, each) in enumerate(given)
    ]
    # Operations of the audit have no parameters that protocol_compliance could judge.
    settings = yaml.safe_load(policy.read_text())
    settings["policy"]["guards"] = [g for g in settings["policy"]["guards"] if g["type"] != "protocol_compliance"]
    suite = tmp_path / "suites" / "suite.yaml"
    suite.parent.mkdir(exist_ok=True)
    suite.write_text(yaml.safe_dump({"policy": settings["policy"], "cases": cases}))
    answer = guardsvc("test", suite)
    assert answer.code == 0, answer.out + answer.err


RESOURCE: dict[str, Any] = {"phase": Phase.RESOURCE_READ, "method": "resources/read"}


def test_the_audit(guardsvc: Command, tmp_path: Path) -> None:
    given = [
        ("allow", operation()),
        ("allow", operation("search", caller=Caller(tenant="acme", principal="bob", verified=False))),
        ("allow", operation(None, method="tools/list", phase=Phase.TOOLS_LIST)),
        ("allow", operation("file:///a?token=x", **RESOURCE)),
        ("allow", operation("https://u:p@h.example/x", **RESOURCE)),
        ("allow", operation("t" * 400)),
        ("allow", operation(None, method="", phase=Phase.INPUT_RESPONSE, kind=Kind.RESULT)),
        ("allow", operation(None, method="ping", phase=Phase.CONNECTION, server=None, servers=("files", "web"))),
        (
            "allow",
            operation(
                "greet",
                method="completion/complete",
                phase=Phase.OTHER,
                payload={"ref": {"type": "ref/prompt", "name": "greet"}},
            ),
        ),
        ("deny", operation("delete_file")),
    ]
    data = b"not a record\n" + audited(*given) + audited(("allow", operation("later")), first=99, mode=Mode.SHADOW)
    text, policy, file = suggested(guardsvc, tmp_path, data, "--preset", "none")

    assert "# Left out: 1 denied; 1 that cannot be read.\n" in text
    assert "delete_file" not in text
    assert "# Some callers are not verified" in text
    assert policy["guards"][0]["type"] == "protocol_compliance"
    check_operations(guardsvc, tmp_path, file, given)


def test_decisions_that_were_not_applied_or_revoked_are_no_evidence(guardsvc: Command, tmp_path: Path) -> None:
    shadow = audited(("deny", operation("shadowed")), first=2, mode=Mode.SHADOW)
    twice = audited(("allow", operation("withdrawn"))) + audited(("deny", operation("withdrawn")))
    allowed = audited(
        (
            "allow",
            operation("fine"),
        )
    ).replace(b'"0000', b'"1111')
    text, _, _ = suggested(guardsvc, tmp_path, shadow.replace(b'"0000', b'"2222') + twice + allowed)

    assert "fine" in text
    assert "shadowed" not in text
    assert "withdrawn" not in text


def test_the_other_guards_stay(guardsvc: Command, tmp_path: Path) -> None:
    _, policy, file = suggested(guardsvc, tmp_path, TRAFFIC)
    _, strict, _ = suggested(guardsvc, tmp_path, TRAFFIC, "--preset", "strict")
    hostile = lines(line(call("read_file", path="../../../../etc/passwd")))

    assert (policy["preset"], strict["preset"]) == ("default", "strict")
    assert verdicts(guardsvc("check", "-c", file, "-o", "json", stdin=hostile)) == ["deny"]
    wrong = guardsvc("policy", "suggest", "-", "--preset", "lax", stdin=TRAFFIC)
    assert (wrong.code, wrong.err) == (
        ExitCode.USAGE,
        "guardsvc: 'lax' is no preset; there are default, strict, observe, and none for a policy of its own\n",
    )


def test_several_files(guardsvc: Command, tmp_path: Path) -> None:
    (tmp_path / "audit.jsonl").write_bytes(audited(("allow", operation())))
    (tmp_path / "traffic.jsonl").write_bytes(lines(line(call("search"))))
    answer = guardsvc("policy", "suggest", tmp_path / "audit.jsonl", tmp_path / "traffic.jsonl")

    assert answer.code == 0
    assert "(audit), " in answer.out.splitlines()[0]
    assert "read_file" in answer.out
    assert "search" in answer.out


@pytest.mark.parametrize("data", [b"", b"{}", lines(message("no/such"))])
def test_nothing_to_draw_from(guardsvc: Command, data: bytes) -> None:
    answer = guardsvc("policy", "suggest", "-", stdin=data)

    assert (answer.code, answer.out) == (ExitCode.USAGE, "")
    assert answer.err == "guardsvc: nothing that was allowed is in -\n"


def test_files_that_cannot_be_read(guardsvc: Command, tmp_path: Path) -> None:
    (tmp_path / "bad.jsonl").write_bytes(lines({"message": 1, "tenent": 2}))
    missing = guardsvc("policy", "suggest", tmp_path / "none")
    bad = guardsvc("policy", "suggest", tmp_path / "bad.jsonl")

    assert (missing.code, bad.code) == (ExitCode.USAGE, ExitCode.USAGE)
    assert "bad.jsonl: line 1" in bad.err
