"""What ``secrets`` finds among keys made at run time; what else it refuses is in its cases."""

from __future__ import annotations

import base64
import json
import os
import random
import string
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.guards.native.secrets import SECRETS, Secrets, SecretsSettings
from guardsvc.guards.native.secrets.checksums import has_age_checksum, has_aws_account, has_crc32_base62, is_macaroon
from guardsvc.guards.native.secrets.formats import FORMATS
from guardsvc.guards.native.secrets.rules import RULES
from guardsvc.guards.native.secrets.scanner import TOO_MANY
from guardsvc.model import (
    ALLOW,
    REASONS,
    Allow,
    Deny,
    Direction,
    GatewayProtocol,
    GuardContext,
    Kind,
    Modify,
    Operation,
    Phase,
    RuleAction,
    SettingsError,
)
from tests.guards.cases import load_cases
from tests.guards.pointers import resolve
from tests.timing import assert_linear

if TYPE_CHECKING:
    from collections.abc import Callable

CORPUS = os.environ.get("GUARDSVC_CORPUS")
LETTERS = string.ascii_letters + string.digits
CANARY = "Kestrel-4417-lagoon"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=20,
)
BEGINNINGS = st.sampled_from([prefix.decode() for form in FORMATS for prefix in form.prefixes]) | st.sampled_from(
    [
        "-----BEGIN PRIVATE KEY-----\n",
        "postgres://a:",
        "password=",
        "token: ",
        "%67",
        "\u200b",
        CANARY,
        "1Q~",
        "curl -u a:",
        "sshpass -p ",
        "machine a login b password ",
    ]
)
PIECES = st.lists(BEGINNINGS | st.text(LETTERS + "._-/+=@;%", max_size=60) | st.text(max_size=5), max_size=8).map(
    "".join
)


def build(actions: dict[str, RuleAction] | None = None, **settings: Any) -> Secrets:
    return Secrets(SecretsSettings.model_validate(settings), GuardContext(guard_id="secrets", actions=actions or {}))


GUARD = build()
TRAPPED = build(canaries={"crm": CANARY, "mail": "ada.lovelace@trap.example"}, action="redact")


def call(arguments: Any, **fields: Any) -> Operation:
    return Operation(
        protocol=GatewayProtocol.EXT_AUTHZ,
        direction=Direction.REQUEST,
        phase=Phase.TOOL_INVOKE,
        kind=Kind.REQUEST,
        **{"method": "tools/call", "subject": "send", "payload": {"name": "send", "arguments": arguments}, **fields},
    )


def drawn(source: random.Random, size: int, letters: str = LETTERS) -> str:
    return "".join(source.choice(letters) for _ in range(size))


def github(source: random.Random) -> str:
    body = drawn(source, 30)
    number, digits = zlib.crc32(body.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = (string.digits + string.ascii_uppercase + string.ascii_lowercase)[digit] + digits
    return f"gh{source.choice('pousr')}_{body}{digits}"


def aws(source: random.Random) -> str:
    account = source.randrange(10**12)
    return "AK" + "IA" + base64.b32encode((account << 7).to_bytes(6) + source.randbytes(4)).decode()


def jwt(source: random.Random) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": "RS256"}, {"sub": drawn(source, 8)})]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts) + "." + drawn(source, 43)


def pem(source: random.Random) -> str:
    body = base64.encodebytes(source.randbytes(400)).decode()
    return f"-----BEGIN RSA PRIV{'ATE KEY'}-----\n{body}-----END RSA PRIV{'ATE KEY'}-----"


KEYS: dict[str, Callable[[random.Random], str]] = {
    "github_token": github,
    "aws_access_key": aws,
    "jwt": jwt,
    "private_key": pem,
    "google_api_key": lambda source: "AI" + "za" + drawn(source, 35),
    "stripe_key": lambda source: "sk_" + "live_" + drawn(source, 24),
    "anthropic_key": lambda source: "sk-" + "ant-api03-" + drawn(source, 95),
    "pypi_token": lambda source: (
        "pypi-" + base64.urlsafe_b64encode(b"\x02\x01\x08pypi.org\x02" + source.randbytes(90)).rstrip(b"=").decode()
    ),
    "url_password": lambda source: f"https://app:{drawn(source, 12)}@db.acme.example/x",
}


def rules(text: str, guard: Secrets = GUARD) -> set[str]:
    return {finding.rule for finding in guard.evaluate(call({"text": text}), {}).findings}


@pytest.mark.parametrize("rule", KEYS)
def test_keys_are_found_wherever_they_stand(rule: str) -> None:
    source = random.Random(rule)
    for _ in range(50):
        key = KEYS[rule](source)
        assert rule in rules(key)
        assert rule in rules(f"It is {key}, they say; é.")
        assert rule in rules("".join(f"%{byte:02x}" for byte in key.encode()))
        if rule not in ("jwt", "url_password"):
            assert rule in rules(base64.b64encode(b"x" * source.randrange(3) + b" " + key.encode()).decode())
            assert rule in rules(key.encode().hex())


@pytest.mark.parametrize("rule", KEYS)
def test_masks_leave_nothing_and_nothing_else_changes(rule: str) -> None:
    source = random.Random(rule)
    guard = build(action="redact")
    for _ in range(20):
        key = KEYS[rule](source)
        arguments = {"a/b~": [1, {"text": f"äé {key} ü"}], "other": None}
        verdict = guard.evaluate(call(arguments), {})
        assert isinstance(verdict, Modify)
        secret = key.split(":")[2].split("@")[0] if rule == "url_password" else key
        assert secret not in json.dumps(verdict.payload, ensure_ascii=False)
        assert verdict.payload["arguments"]["a/b~"][1]["text"].startswith("äé ")
        assert verdict.payload["arguments"]["other"] is None
        assert arguments["a/b~"][1]["text"] == f"äé {key} ü"  # type: ignore[index]
        assert guard.evaluate(call(verdict.payload["arguments"]), {}) == ALLOW


@pytest.mark.parametrize(
    "text",
    [
        "curl -s -u ada:PASSWORD https://db.example",
        'curl https://db.example \\\n  --user "ada:PASSWORD"',
        "curl --proxy-user=ada:PASSWORD https://db.example",
        "sshpass -pPASSWORD ssh db",
        "machine db.example\n\tlogin ada\n\tpassword PASSWORD\n",
        "default login ada password PASSWORD",
    ],
)
def test_of_logins_the_password_alone_is_masked(text: str) -> None:
    verdict = build(action="redact").evaluate(call({"text": text.replace("PASSWORD", "tr4wler9+2")}), {})
    assert isinstance(verdict, Modify)
    (finding,) = verdict.findings
    assert verdict.payload["arguments"]["text"] == text.replace("PASSWORD", f"[redacted: {finding.rule}]")


@pytest.mark.parametrize(
    "text",
    [
        "curl -u ada:$TOKEN x",
        "curl -u ada:<your-password> x",
        "curl -u admin:changeme x",
        "curl -u name:secretword.",
        "curl x; docker run -u ada:users4all y",
        "curl x\ndocker run -u ada:users4all y",
        "tar -u ada:users4all",
        "sshpass -p ${SSH_PASS1} ssh db",
        "machine learning login rules password policies",
    ],
)
def test_logins_without_a_password_pass(text: str) -> None:
    assert GUARD.evaluate(call({"text": text}), {}) == ALLOW


def test_every_rule_has_a_case_and_the_code_a_row() -> None:
    cases = [case for case in load_cases() if case.guard == "secrets"]
    assert {rule for case in cases for rule in case.rules} == set(RULES)
    assert "secret_detected" in REASONS
    assert {form.rule for form in FORMATS} <= set(RULES)


def test_checksums() -> None:
    source = random.Random(7)
    for _ in range(100):
        assert has_crc32_base62(github(source).encode())
        assert has_aws_account(aws(source).encode())
    assert not has_aws_account(b"AKIA" + b"7" * 16)
    assert not has_crc32_base62(b"ghp_" + b"a" * 36)
    assert not is_macaroon(b"pypi-AgEIcHlwaS5")
    assert not has_age_checksum(b"AGE-SECRET-KEY-1" + b"Q" * 58)


def test_a_finding_never_repeats_a_credential() -> None:
    source = random.Random(3)
    for make in KEYS.values():
        key = make(source)
        arguments = {key: {"token": key, "list": [key]}, "text": key}
        verdict = TRAPPED.evaluate(call(arguments), {})
        told = msgspec.json.encode(verdict.findings).decode()
        assert key[8:] not in told
        assert CANARY not in told


def test_exceptions_leave_what_they_do_not_name() -> None:
    source = random.Random(5)
    operation = call({"one": github(source), "two": jwt(source)})
    findings = GUARD.evaluate(operation, {}).findings
    assert [finding.where for finding in findings] == ["/arguments/one", "/arguments/two"]
    left = GUARD.reconsider(operation, findings[1:])
    assert isinstance(left, Deny)
    assert left.findings == findings[1:]
    masked = build(action="redact").reconsider(operation, findings[1:])
    assert isinstance(masked, Modify)
    assert masked.payload["arguments"]["one"] == operation.payload["arguments"]["one"]


def test_actions_of_rules_come_before_that_of_the_guard() -> None:
    source = random.Random(6)
    operation = call({"one": github(source), "two": jwt(source)})
    assert isinstance(build({"jwt": RuleAction.REDACT}).evaluate(operation, {}), Deny)
    both = build({"jwt": RuleAction.REDACT, "github_token": RuleAction.LOG}).evaluate(operation, {})
    assert isinstance(both, Modify)
    assert "github" not in json.dumps(both.payload)
    assert both.payload["arguments"]["one"] == operation.payload["arguments"]["one"]
    assert isinstance(build(action="log").evaluate(operation, {}), Allow)


def test_findings_beyond_the_bound_stand_for_the_whole() -> None:
    source = random.Random(9)
    operation = call([jwt(source) for _ in range(90)])
    findings = GUARD.evaluate(operation, {}).findings
    assert len(findings) == 65
    assert findings[-1].where == ""
    assert isinstance(GUARD.reconsider(operation, findings[-1:]), Deny)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"canaries": {"a": "short-1"}}, ("canaries", "a")),
        ({"disabled_rules": ["jwt", "moon"]}, ("disabled_rules", 1)),
    ],
)
def test_settings_that_only_the_guard_can_judge(settings: dict[str, Any], path: tuple[str | int, ...]) -> None:
    with pytest.raises(SettingsError) as error:
        build(**settings)
    assert error.value.path == path
    assert "short-1" not in str(error.value)


@given(arguments=JSON | st.lists(PIECES, max_size=4) | st.dictionaries(PIECES, PIECES, max_size=3))
def test_anything_is_judged(arguments: Any) -> None:
    operation = call(arguments)
    for guard in (GUARD, TRAPPED):
        verdict = guard.evaluate(operation, {})
        for finding in verdict.findings:
            assert finding.rule in RULES
            resolve(operation.payload, finding.where)
        if isinstance(verdict, Modify):
            assert guard.evaluate(call(None, payload=verdict.payload), {}) == ALLOW


@given(text=st.text(LETTERS, min_size=1, max_size=300), start=st.integers(0, 20))
def test_canaries_are_found_in_base64_at_any_place(text: str, start: int) -> None:
    encoded = base64.b64encode(f"{text[:start]}{CANARY}{text[start:]}".encode()).decode()
    assert "canary" in rules(encoded, TRAPPED)
    assert "canary" in rules("\n".join(encoded[i : i + 7] for i in range(0, len(encoded), 7)), TRAPPED)


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "sk-a ",
            "gh" + "p_" + "a" * 36 + " ",
            "-----BEGIN PRIV" + "ATE KEY-----",
            "eyJaaaaaaaaaaaaaaaaaa.",
            "a://b:cdef@g ",
            " -u a:bcdefg",
            "machine a login ",
        ),
        *("password=aaaaaa ", "password=", "Z2hwX", "6768705f", "%41", "g\u200bh", "token: 'a1B2c3D4e5F6g7H8' "),
    ],
    ids=repr,
)
def test_time_is_linear(piece: str) -> None:
    def asked(size: int) -> Callable[[], object]:
        operation = call({"text": piece * (size // len(piece)), "token": [piece * 2] * (size // len(piece) // 20)})
        return lambda: TRAPPED.evaluate(operation, {})

    assert_linear(asked, 400_000)


@pytest.mark.skipif(CORPUS is None, reason="GUARDSVC_CORPUS is not set")
def test_what_real_agents_send_and_read_passes() -> None:
    folder = Path(CORPUS or "")
    for line in (folder / "benign_args.jsonl").read_text().splitlines():
        row = json.loads(line)
        assert GUARD.evaluate(call(row["arguments"], subject=row["tool"]), {}) == ALLOW, row["tool"]
    texts = [json.loads(line)["text"] for line in (folder / "benign_results.jsonl").read_text().splitlines()]
    flagged = sum(GUARD.evaluate(call({"content": text}), {}) != ALLOW for text in texts)
    assert flagged <= 0.002 * len(texts)


LOOK_ALIKES = "://:a@ " * 400


@pytest.mark.parametrize(
    ("settings", "actions", "denied"),
    [
        ({}, {}, True),
        ({"action": "log"}, {}, False),
        ({"action": "log"}, {"private_key": RuleAction.DENY}, True),
        ({"action": "log"}, {"private_key": RuleAction.REDACT}, True),
        ({"action": "log", "disabled_rules": ["private_key"]}, {"private_key": RuleAction.DENY}, False),
        ({"action": "redact"}, {}, True),
        ({}, {"github_token": RuleAction.LOG}, True),
        ({"allowed_fields": [{"fields": ["text"]}]}, {}, True),
    ],
)
def test_what_is_not_looked_at_denies_where_anything_would(
    settings: dict[str, Any], actions: dict[str, RuleAction], denied: bool
) -> None:
    verdict = build(actions, **settings).evaluate(call({"text": LOOK_ALIKES}), {})
    assert isinstance(verdict, Deny if denied else Allow)
    assert [(finding.rule, finding.where) for finding in verdict.findings] == [(TOO_MANY, "")]


def test_what_is_not_looked_at_in_fields_named_for_credentials_is_told_beside_what_is_found_there() -> None:
    key = github(random.Random("beside"))
    verdict = GUARD.evaluate(call({"items": [{"token": "a" * 20}] * 300, "token": key}), {})
    assert TOO_MANY in {finding.rule for finding in verdict.findings}


def test_what_is_not_looked_at_cannot_be_set_aside() -> None:
    assert SECRETS.unexceptable == {TOO_MANY}
    with pytest.raises(SettingsError) as error:
        build(disabled_rules=(TOO_MANY,))
    assert error.value.path == ("disabled_rules", 0)
    assert TOO_MANY not in str(error.value).partition("is not one of")[2]


@pytest.mark.parametrize(
    ("method", "payload", "where"),
    [
        ("tools/call", {"name": "send", "_meta": {"note": "KEY"}}, "/_meta/note"),
        ("tools/call", {"name": "send", "extra": [{"a": "KEY"}]}, "/extra/0/a"),
        ("tools/call", {"name": "send", "KEY": 1}, ""),
        ("initialize", {"clientInfo": {"name": "KEY"}}, "/clientInfo/name"),
        ("initialize", {"capabilities": {"experimental": {"x": "KEY"}}}, "/capabilities/experimental/x"),
        ("notifications/cancelled", {"requestId": 1, "reason": "KEY"}, "/reason"),
        ("notifications/progress", {"progressToken": 1, "message": "KEY"}, "/message"),
        ("tools/list", {"cursor": "KEY"}, "/cursor"),
        ("tasks/get", {"taskId": "KEY"}, "/taskId"),
        ("completion/complete", {"ref": {"uri": "file:///KEY"}, "argument": {"name": "a"}}, "/ref/uri"),
        ("completion/complete", {"ref": {}, "argument": {"name": "KEY", "value": ""}}, "/argument/name"),
    ],
)
def test_the_rest_of_the_params_is_looked_at(method: str, payload: Any, where: str) -> None:
    key = github(random.Random("rest"))
    payload = json.loads(json.dumps(payload).replace("KEY", key))
    for guard in (GUARD, build(canaries={"crm": CANARY})):
        verdict = guard.evaluate(call(None, method=method, payload=payload), {})
        assert [(finding.rule, finding.where) for finding in verdict.findings] == [("github_token", where)]


@pytest.mark.parametrize(
    "payload",
    [
        {"name": "KEY"},
        {"name": "send", "requestState": "KEY"},
        {"name": "send", "_meta": {"progressToken": "KEY", "io.modelcontextprotocol/clientInfo": {"name": "KEY"}}},
    ],
)
def test_what_belongs_to_the_protocol_or_the_server_is_not(payload: Any) -> None:
    key = github(random.Random("rest"))
    payload = json.loads(json.dumps(payload).replace("KEY", key))
    assert GUARD.evaluate(call(None, payload=payload), {}) == ALLOW
