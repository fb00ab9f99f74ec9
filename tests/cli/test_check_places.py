"""``guardsvc check``: where findings lie in a file, its lines, batches and HAR."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.command import Command
from tests.cli.test_check import call, message, result

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def looking(tmp_path: Path) -> Path:
    """A policy that looks for the words ``evil`` in tools and traversal in arguments."""
    file = tmp_path / "looking.yaml"
    file.write_text(
        """\
policy:
  integrity: {batches: true}
  guards:
    - type: access_list
      settings: {unknown_server: allow, default: allow}
    - type: sandbox_escape
    - type: tool_poisoning
      settings: {builtin_rules: false, custom_patterns: [{id: evil, pattern: evil}]}
"""
    )
    return file


ESCAPE = '{"jsonrpc":"2.0","id":1,"method":"tools/call",\n "params":{"name":"t","arguments":{\n  "path":"../../x"}}}'


def test_a_finding_shows_where_it_lies(guardsvc: Command, looking: Path) -> None:
    human = guardsvc("check", "-c", looking, stdin=ESCAPE.encode())
    answer = guardsvc("check", "-c", looking, "-o", "json", stdin=ESCAPE.encode())

    place = human.out.splitlines().index("          path_traversal (high) at line 3, column 10")
    _, member, caret = human.out.splitlines()[place : place + 3]
    assert member.startswith('            "path": ')
    assert caret.index("^") == len('            "path": ')
    (finding,) = answer.object["decisions"][0]["guards"][1]["findings"]
    assert (finding["where"], finding["pointer"]) == ("/arguments/path", "/params/arguments/path")
    assert (finding["line"], finding["column"]) == (3, 10)


def test_places_in_a_line_are_those_of_the_file(guardsvc: Command, looking: Path) -> None:
    line = ESCAPE.replace("\n", "").encode()
    enveloped = b'{"tenant": "acme", "message": ' + line + b"}"
    answer = guardsvc("check", "-c", looking, "-o", "json", stdin=message() + b"\n" + line + b"\n" + enveloped)

    assert [each["line"] for each in answer.objects] == [1, 2, 3]
    for each, text in zip(answer.objects[1:], (line, enveloped), strict=True):
        (finding,) = each["decisions"][0]["guards"][1]["findings"]
        assert finding["line"] == each["line"]
        assert text[finding["column"] - 1 :].startswith(b'"../../x"')


def test_places_in_a_batch(guardsvc: Command, looking: Path) -> None:
    batch = b"[" + message() + b"," + ESCAPE.replace('"id":1', '"id":2').encode() + b"]"
    version = ("-H", "MCP-Protocol-Version: 2025-03-26")
    answer = guardsvc("check", "-c", looking, "-o", "json", *version, stdin=batch)

    (finding,) = answer.object["decisions"][1]["guards"][1]["findings"]
    assert finding["pointer"] == "/1/params/arguments/path"
    assert (finding["line"], finding["column"]) == (3, 10)


def test_places_in_an_answer(guardsvc: Command, looking: Path) -> None:
    body = result(tools=[{"name": "t", "description": "evil", "inputSchema": {}}])
    answer = guardsvc("check", "-c", looking, "-o", "json", "--response-to", "tools/list", stdin=body)

    (finding,) = [f for g in answer.object["decisions"][0]["guards"] for f in g["findings"] if f["rule"] == "evil"]
    assert finding["pointer"] == "/result/tools/0/description"
    assert finding["column"] == body.index(b'"evil"') + 1


def test_lines_are_known_by_their_content(guardsvc: Command, config: Path) -> None:
    two = call("search") + b"\n" + call("delete", 2)
    answer = guardsvc("check", "-c", config, "--server", "lib", "-o", "json", stdin=two)
    one = guardsvc("check", "-c", config, "--server", "lib", "-o", "json", "--one", stdin=two)

    assert [(each["line"], each["verdict"]) for each in answer.objects] == [(1, "allow"), (2, "deny")]
    assert one.object["decisions"][0]["reason"] == "trailing_data"


def test_a_line_may_say_who_asks_whom(guardsvc: Command, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    rule = {"action": "allow", "tenants": ["acme"], "principals": ["ann"], "verified": True, "servers": ["lib"]}
    guard = {"type": "access_list", "settings": {"default": "deny", "rules": [rule]}}
    file.write_text(json.dumps({"policy": {"servers": {"lib": {}}, "guards": [guard]}}))
    line = {"message": json.loads(message()), "tenant": "acme", "principal": "ann", "verified": True, "server": "lib"}

    assert guardsvc("check", "-c", file, stdin=json.dumps(line).encode()).code == 0
    assert guardsvc("check", "-c", file, "--principal", "bob", stdin=json.dumps(line).encode()).code == 1
    wrong = guardsvc("check", "-c", file, stdin=json.dumps({**line, "tenent": "x"}).encode())
    assert (wrong.code, wrong.out) == (2, "")
    assert "line 1: " in wrong.err


def har(*bodies: bytes) -> bytes:
    entries: list[dict[str, Any]] = [{"request": {"method": "GET", "url": "https://x.example/a.png", "headers": []}}]
    for body in bodies:
        fields = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        headers = [{"name": name, "value": value} for name, value in fields.items()]
        post = {"mimeType": "application/json", "text": body.decode()}
        request = {"method": "POST", "url": "https://x.example/mcp", "headers": headers, "postData": post}
        entries.append({"request": request})
    return json.dumps({"log": {"entries": entries}}).encode()


@pytest.mark.parametrize("args", [(), ("--har",)])
def test_har(guardsvc: Command, looking: Path, args: tuple[str, ...]) -> None:
    archive = har(message(), ESCAPE.encode())
    answer = guardsvc("check", "-c", looking, "-o", "json", *args, stdin=archive)
    human = guardsvc("check", "-c", looking, *args, stdin=archive)

    assert (answer.code, answer.err) == (1, "-: 1 other requests passed over\n")
    assert [(each["entry"], each["verdict"]) for each in answer.objects] == [(2, "allow"), (3, "deny")]
    (finding,) = answer.objects[1]["decisions"][0]["guards"][1]["findings"]
    assert (finding["line"], finding["column"]) == (3, 10)
    assert human.out.startswith("2: ALLOW   ping\n")
    assert "at line 3, column 10" in human.out


def test_headers_of_har_can_be_replaced(guardsvc: Command) -> None:
    answer = guardsvc("check", "-H", "Content-Type: text/plain", "-o", "json", stdin=har(message()))

    assert answer.object["decisions"][0]["reason"] == "content_type"


@pytest.mark.parametrize("args", [("--har", "--lines"), ("--one", "--har"), ("--har", "--response-to", "tools/list")])
def test_forms_exclude_each_other(guardsvc: Command, args: tuple[str, ...]) -> None:
    assert guardsvc("check", *args, stdin=har()).code == 2


def test_what_is_no_har(guardsvc: Command) -> None:
    answer = guardsvc("check", "--har", stdin=b"{}")

    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("guardsvc: -: not HAR")
