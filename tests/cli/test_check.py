"""``guardsvc check``: the same judgement a gateway gets, for messages at hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.command import Command, run_process
from tests.packages.installed import environment, install_handmade

if TYPE_CHECKING:
    from pathlib import Path


def message(method: str = "ping", number: int | str = 1, **params: Any) -> bytes:
    body = {"jsonrpc": "2.0", "id": number, "method": method}
    return json.dumps({**body, "params": params} if params else body).encode()


def call(tool: str, number: int = 1) -> bytes:
    return message("tools/call", number, name=tool, arguments={})


def test_an_allowed_message(guardsvc: Command) -> None:
    answer = guardsvc("check", stdin=message())

    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("ALLOW   ping\n")
    assert "access_list allow" in answer.out


def test_a_denied_message_shows_what_the_client_sees(guardsvc: Command, config: Path) -> None:
    answer = guardsvc("check", "--config", config, "--server", "bank", stdin=call("search", 7))

    assert (answer.code, answer.err) == (1, "")
    assert answer.out.startswith("DENY    tools/call search  access_denied\n")
    body = json.loads(answer.out.rpartition("client sees HTTP 200 ")[2])
    assert body["id"] == 7
    assert body["error"]["data"]["reason"] == "access_denied"


def test_json_output(guardsvc: Command, config: Path) -> None:
    answer = guardsvc("check", "-c", config, "-o", "json", "--server", "lib", stdin=call("delete", 7))

    assert answer.code == 1
    (decision,) = answer.object["decisions"]
    assert answer.object["line"] == 1
    assert (answer.object["verdict"], answer.object["applied"]) == ("deny", "deny")
    assert answer.object["client"]["status"] == 200
    assert answer.object["client"]["body"]["error"]["data"]["decision_id"] == decision["decision_id"]
    assert (decision["phase"], decision["method"], decision["subject"]) == ("tool_invoke", "tools/call", "delete")
    assert (decision["server"], decision["guard"], decision["reason"]) == ("library", "who may what", "access_denied")
    assert [outcome["guard"] for outcome in decision["guards"]] == ["protocol_compliance", "who may what"]


def test_an_allow_has_no_client_answer(guardsvc: Command, config: Path) -> None:
    answer = guardsvc("check", "-c", config, "-o", "json", "--server", "lib", stdin=call("search"))

    assert (answer.code, answer.object["verdict"]) == (0, "allow")
    assert "client" not in answer.object


def test_names_are_the_servers_own(guardsvc: Command, config: Path) -> None:
    answer = guardsvc("check", "-c", config, "-o", "json", stdin=call("lib_search"))

    (decision,) = answer.object["decisions"]
    assert (answer.code, decision["server"], decision["subject"]) == (0, "library", "search")


def test_the_caller_is_believed_as_told(guardsvc: Command, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    rule = {"action": "allow", "tenants": ["acme"], "principals": ["ann"], "verified": True}
    guard = {"type": "access_list", "settings": {"unknown_server": "allow", "default": "deny", "rules": [rule]}}
    file.write_text(json.dumps({"policy": {"guards": [guard]}}))
    ann = ("check", "-c", file, "--tenant", "acme", "--principal", "ann")

    assert guardsvc(*ann, "--verified", stdin=message()).code == 0
    assert guardsvc(*ann, stdin=message()).code == 1
    assert guardsvc("check", "-c", file, stdin=message()).code == 1


LINES = b"\n".join([message(number=1), b"", b"{nonsense", message("no/such/method", 3), b"\xc3(", message(number=5)])


def test_lines_are_judged_each_on_its_own(guardsvc: Command) -> None:
    answer = guardsvc("check", "--lines", "-o", "json", stdin=LINES)

    assert answer.code == 1
    assert [(each["line"], each["verdict"], each["decisions"][0]["reason"]) for each in answer.objects] == [
        (1, "allow", None),
        (3, "deny", "invalid_json"),
        (4, "deny", "unknown_method"),
        (5, "deny", "invalid_utf8"),
        (6, "allow", None),
    ]


def test_lines_are_told_by_number(guardsvc: Command) -> None:
    answer = guardsvc("check", "-l", stdin=LINES)

    assert answer.code == 1
    assert [line.partition(" ")[0] for line in answer.out.splitlines() if not line.startswith(" ")] == [
        "1:",
        "3:",
        "4:",
        "5:",
        "6:",
    ]


def test_lines_that_all_pass(guardsvc: Command) -> None:
    assert guardsvc("check", "-l", stdin=message() + b"\r\n" + message() + b"\n").code == 0
    assert guardsvc("check", "-l", stdin=b"").code == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "missing_body"),
        (b"\xff\xfe\x00", "byte_order_mark"),
        (b"\xc3\x28\x00", "invalid_utf8"),
        (b"\xef\xbb\xbf{}", "byte_order_mark"),
        (b'{"a":1,"a":2}', "duplicate_key"),
        (b"[" * 100_000, "too_deep"),
        (b"{}", "invalid_message"),
        (b"null", "invalid_message"),
        (b"\x00", "invalid_json"),
        (b"1" * 5_000, "number_range"),
        (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"\\ud800"}}', "lone_surrogate"),
    ],
)
def test_bytes_that_are_no_message(guardsvc: Command, body: bytes, reason: str) -> None:
    answer = guardsvc("check", "-o", "json", stdin=body)

    assert answer.code == 1
    assert answer.object["decisions"][0]["reason"] == reason


@pytest.mark.parametrize("output", ["human", "json"])
def test_a_batch(guardsvc: Command, output: str, tmp_path: Path) -> None:
    batch = b"[" + message(number=1) + b"," + message("no/such/method", 2) + b"]"
    refused = guardsvc("check", "-o", output, "-H", "MCP-Protocol-Version: 2025-03-26", stdin=batch)
    file = tmp_path / "config.yaml"
    file.write_text(
        "policy:\n  integrity: {batches: true}\n  guards:\n  - {type: protocol_compliance}\n"
        "  - {type: access_list, settings: {unknown_server: allow, default: allow}}\n"
    )
    judged = guardsvc("check", "-o", output, "-c", file, "-H", "MCP-Protocol-Version: 2025-03-26", stdin=batch)

    assert (refused.code, judged.code) == (1, 1)
    assert "batch_not_allowed" in refused.out
    if output == "json":
        assert [each["verdict"] for each in judged.object["decisions"]] == ["allow", "deny"]
        assert {error["id"] for error in judged.object["client"]["body"]} == {1, 2}
    else:
        assert judged.out.startswith("ALLOW   ping\n")
        assert "DENY    no/such/method  unknown_method\n" in judged.out


def test_headers_take_the_place_of_the_clients_own(guardsvc: Command) -> None:
    plain = guardsvc("check", "-H", "content-TYPE: text/plain", "-o", "json", stdin=message())
    version = guardsvc("check", "-H", "MCP-Protocol-Version: 1999-01-01", "-o", "json", stdin=message())

    assert (plain.code, plain.object["decisions"][0]["reason"]) == (1, "content_type")
    assert (version.code, version.object["decisions"][0]["reason"]) == (1, "unsupported_version")


@pytest.mark.parametrize("header", ["nonsense", ": value", "   : value", ""])
def test_a_bad_header_option(guardsvc: Command, header: str) -> None:
    answer = guardsvc("check", "-H", header, stdin=message())

    assert (answer.code, answer.out) == (2, "")
    assert answer.err == f'guardsvc: --header "{header}" is not of the form "Name: value"\n'


def test_a_file_of_messages(guardsvc: Command, tmp_path: Path) -> None:
    file = tmp_path / "message.json"
    file.write_bytes(message())

    assert guardsvc("check", file).code == 0
    missing = guardsvc("check", tmp_path / "none.json")
    folder = guardsvc("check", tmp_path)
    assert (missing.code, folder.code) == (2, 2)
    assert missing.err == f"guardsvc: {tmp_path}/none.json cannot be read: No such file or directory\n"
    assert folder.err == f"guardsvc: {tmp_path} cannot be read: Is a directory\n"


def test_a_bad_configuration_is_not_a_refusal(guardsvc: Command, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("policy: {defualt: deny}\n")
    answer = guardsvc("check", "-c", file, stdin=message())

    assert (answer.code, answer.out) == (3, "")
    assert answer.err.startswith(f"guardsvc: {file}:1: policy.defualt: unknown key")
    assert "did you mean default?" in answer.err
    assert guardsvc("check", "-c", tmp_path / "none.yaml", stdin=message()).code == 3


def test_a_name_cannot_forge_lines_or_steer_a_terminal(guardsvc: Command, config: Path) -> None:
    name = "x\nALLOW   ping\x1b[2J\u202e"
    answer = guardsvc("check", "-c", config, stdin=call(name))

    assert answer.code == 1
    assert answer.out.startswith("DENY    tools/call x\\nALLOW   ping\\x1b[2J\\u202e  ")
    assert all(character.isprintable() or character == "\n" for character in answer.out)
    assert not [line for line in answer.out.splitlines() if line.startswith("ALLOW")]


def test_shadow_mode_refuses_nothing(guardsvc: Command, config: Path) -> None:
    config.write_text(config.read_text().replace("name: search only", "mode: shadow"))
    human = guardsvc("check", "-c", config, "--server", "lib", stdin=call("delete"))
    answer = guardsvc("check", "-c", config, "--server", "lib", "-o", "json", stdin=call("delete"))

    assert (human.code, answer.code) == (0, 0)
    assert "(shadow: not applied)" in human.out
    assert (answer.object["verdict"], answer.object["applied"]) == ("deny", "allow")


@pytest.fixture(scope="module")
def handmade(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    install_handmade(folder)
    (folder / "marker.yaml").write_text("policy: {guards: [{type: marker}]}\n")
    (folder / "broken.yaml").write_text(
        "policy: {guards: [{type: broken, id: closed}, {type: broken, id: open, failure_mode: fail_open}]}\n"
    )
    return folder


def test_a_modification_is_shown(handmade: Path) -> None:
    env = environment(handmade)
    answer = run_process("check", "-c", handmade / "marker.yaml", "-o", "json", stdin=call("echo"), env=env)
    human = run_process("check", "-c", handmade / "marker.yaml", stdin=call("echo"), env=env)

    assert (answer.code, answer.err, answer.object["verdict"]) == (0, "", "modify")
    assert answer.object["decisions"][0]["payload"] == {"name": "echo", "arguments": {"marked": "yes"}}
    assert (human.code, human.err) == (0, "")
    assert human.out.startswith("MODIFY  tools/call echo\n")
    assert 'goes on as {"name": "echo", "arguments": {"marked": "yes"}}' in human.out


def test_a_guard_that_fails_is_a_refusal_not_a_fault(handmade: Path) -> None:
    env = environment(handmade)
    answer = run_process("check", "-c", handmade / "broken.yaml", "-o", "json", stdin=call("a\x1bb"), env=env)
    human = run_process("check", "-c", handmade / "broken.yaml", stdin=call("a\x1bb"), env=env)

    (decision,) = answer.object["decisions"]
    assert (answer.code, decision["reason"], decision["guard"]) == (1, "guard_error", "closed")
    assert "cannot judge" not in json.dumps(answer.object["client"])
    assert human.code == 1
    assert "closed exception" in human.out
    assert "\x1b" not in human.out
    assert "Traceback" not in answer.err + human.err


def result(number: int = 1, **members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "result": members}).encode()


@pytest.fixture
def judging_results(tmp_path: Path) -> Path:
    """A policy that denies the results of the tool ``delete`` and the lists of the bank."""
    file = tmp_path / "config.yaml"
    rules = [
        {"action": "deny", "tools": ["delete"]},
        {"action": "deny", "methods": ["tools/list"], "servers": ["bank"]},
    ]
    guard = {"type": "access_list", "runs_on": ["response"], "settings": {"default": "allow", "rules": rules}}
    servers = {"library": {"ids": ["lib"], "tool_prefixes": ["lib_"]}, "bank": {}}
    file.write_text(json.dumps({"policy": {"servers": servers, "guards": [guard]}}))
    return file


@pytest.mark.parametrize(
    ("method", "more", "phase", "code"),
    [
        ("tools/call", ("--server", "lib", "--tool", "search"), "tool_result", 0),
        ("tools/call", ("--server", "lib", "--tool", "delete"), "tool_result", 1),
        ("tools/call", ("--server", "library", "--tool", "lib_delete"), "tool_result", 1),
        ("tools/list", ("--server", "lib"), "tools_list", 0),
        ("tools/list", ("--server", "bank"), "tools_list", 1),
        ("prompts/get", ("--server", "bank", "--subject", "delete"), "prompt_result", 0),
    ],
)
def test_a_servers_answer_is_judged_by_what_it_answers(
    guardsvc: Command, judging_results: Path, method: str, more: tuple[str, ...], phase: str, code: int
) -> None:
    check = ("check", "-c", judging_results, "-o", "json", "--response-to", method, *more)
    answer = guardsvc(*check, stdin=result(content=[]))

    (decision,) = answer.object["decisions"]
    assert (answer.code, decision["phase"], decision["method"]) == (code, phase, method)
    assert decision["reason"] == ("access_denied" if code else None)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "invalid_json"),
        (message(), "invalid_message"),
        (b'{"jsonrpc":"2.0","id":1,"result":{"tools":[],"Tools":[]}}', "case_variant_key"),
    ],
)
def test_a_servers_answer_is_read_strictly(guardsvc: Command, judging_results: Path, body: bytes, reason: str) -> None:
    answer = guardsvc("check", "-c", judging_results, "-o", "json", "--response-to", "tools/list", stdin=body)

    assert (answer.code, answer.object["decisions"][0]["reason"]) == (1, reason)


def test_a_subject_goes_with_an_answer_only(guardsvc: Command) -> None:
    assert guardsvc("check", "--tool", "search", stdin=message()).code == 2
