"""``guardsvc capture`` and ``replay``: what was captured of decisions, judged again under another policy."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest

from guardsvc.cli.exit_codes import ExitCode
from guardsvc.gateways.exchange import Asker, judge
from guardsvc.gateways.server_message import Origin, ServerMessage, judge_server_message
from guardsvc.mcp.mirror import conforming_post
from guardsvc.model import Caller, GatewayProtocol
from guardsvc.observe import Metrics
from guardsvc.observe.capture import Capture, CaptureKey, CaptureOptions, new_key
from guardsvc.server.configuration import load_configuration
from guardsvc.state import Sources
from tests.server.process import call, gateway, serving, wait_until

if TYPE_CHECKING:
    from tests.cli.command import Command, Outcome

AWS = "AKIA" + "QYLPMN5HHHFPZAM2"
OLD = """\
policy:
  servers: {bank: {hosts: [localhost]}}
  guards:
    - {type: access_list, settings: {default: allow, rules: [{action: deny, tools: [drop]}]}}
    - {type: secrets, settings: {action: deny}}
"""


class Recorded:
    """Operations decided by a policy and captured, as a service does it."""

    def __init__(self, folder: Path, policy: str, *, full: bool) -> None:
        self.folder = folder
        self.key = new_key()
        (folder / "key").write_text(self.key)
        self.path = folder / "capture.jsonl"
        self._policy = self._write("old.yaml", policy)
        options = CaptureOptions(path=str(self.path), key=CaptureKey(self.key), full=full)
        self._capture = Capture(options, Metrics("0", process=False))

    def _write(self, name: str, text: str) -> Path:
        file = self.folder / name
        file.write_text(text)
        return file

    def ask(self, *calls: tuple[str, dict[str, Any]], protocol: GatewayProtocol = GatewayProtocol.EXT_PROC) -> None:
        policy = load_configuration(self._policy).policy
        caller = Caller(tenant="acme", principal="ann", verified=True)
        asker = Asker(protocol=protocol, caller=caller, can_modify=True)

        async def run() -> None:
            async with Sources() as sources:
                for number, (tool, arguments) in enumerate(calls):
                    params = {"name": tool, "arguments": arguments}
                    message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
                    body = json.dumps(message).encode()
                    exchange = await judge(
                        policy,
                        conforming_post(body, "localhost", []),
                        asker,
                        deadline=perf_counter() + 60,
                        sources=sources.facts,
                    )
                    self._capture.take(exchange.decisions, policy_name="old", size=len(body))

        asyncio.run(run())
        self._capture.start()
        self._capture.stop(20)

    def answer(self, *texts: str) -> None:
        """Results of a tool, with these texts."""
        policy = load_configuration(self._policy).policy
        origin = Origin(decision_id="d", method="tools/call", id=1, servers=("bank",), subject="read")
        asker = Asker(protocol=GatewayProtocol.EXT_PROC, can_modify=True)

        async def run() -> None:
            async with Sources() as sources:
                for text in texts:
                    result = {"content": [{"type": "text", "text": text}]}
                    body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()
                    message = ServerMessage(body=body, origin=origin)
                    exchange = await judge_server_message(
                        policy, message, asker, deadline=perf_counter() + 60, sources=sources.facts
                    )
                    self._capture.take(exchange.decisions, policy_name="old", size=len(body))

        asyncio.run(run())
        self._capture.start()
        self._capture.stop(20)

    def replay(self, guardsvc: Command, policy: str, *options: object) -> Outcome:
        new = self._write("new.yaml", policy)
        return guardsvc("replay", self.path, "-p", new, "--key", f"file:{self.folder / 'key'}", *options)


def flips(answer: Outcome) -> list[tuple[str, str]]:
    return [(flip["became"], flip["subject"]) for flip in answer.object["flips"]]


CALLS = (
    ("read", {"path": "a"}),
    ("drop", {"table": "a"}),
    ("send", {"text": f"key {AWS}"}),
    ("pay", {"amount": 1.0}),
)


def test_flips_come_dangerous_first(guardsvc: Command, tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, OLD, full=True)
    recorded.ask(*CALLS)
    new = OLD.replace("tools: [drop]", "tools: [pay]").replace("action: deny}}\n", "action: redact}}\n")
    answer = recorded.replay(guardsvc, new, "-o", "json")

    assert answer.code == ExitCode.REFUSED, answer.err
    assert flips(answer) == [
        ("deny_to_allow", "drop"),
        ("deny_to_allow", "send"),
        ("allow_to_deny", "pay"),
    ]
    assert (answer.object["judged"], answer.object["same"]) == (4, 1)
    dropped, sent, paid = answer.object["flips"]
    assert (dropped["was_guard"], dropped["was_rules"]) == ("access_list", ["rules[0]"])
    assert (sent["now"], sent["was_guard"]) == ("modify", "secrets")
    assert sent["was_rules"] == ["aws_access_key at /arguments/text"]
    assert (paid["now_reason"], paid["tenant"]) == ("access_denied", "acme")
    told = recorded.replay(guardsvc, new)
    assert told.out.index("DENY -> ALLOW: 2") < told.out.index("ALLOW -> DENY: 1")
    assert AWS not in told.out + answer.out


def test_the_same_policy_flips_nothing(guardsvc: Command, tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, OLD.replace("action: deny}}\n", "action: redact}}\n"), full=True)
    recorded.ask(*CALLS)
    answer = recorded.replay(guardsvc, (tmp_path / "old.yaml").read_text(), "-o", "json")

    assert (answer.code, flips(answer)) == (0, [])
    assert (answer.object["judged"], answer.object["same"]) == (4, 4)


def test_what_goes_on_changed_in_another_way_is_a_flip(guardsvc: Command, tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, OLD.replace("action: deny}}\n", "action: redact}}\n"), full=True)
    recorded.ask(("send", {"text": f"key {AWS}, canary-0815-xyz"}))
    new = OLD.replace("action: deny}}\n", "action: redact, canaries: {one: canary-0815-xyz}}}\n")
    answer = recorded.replay(guardsvc, new, "-o", "json")

    assert flips(answer) == [("modify", "send")]


def test_results_are_judged_again_too(guardsvc: Command, tmp_path: Path) -> None:
    leaky = OLD + "    - {type: data_leak, settings: {secrets: redact}}\n"
    recorded = Recorded(tmp_path, leaky, full=True)
    recorded.answer("harmless", f"the key is {AWS}")
    same = recorded.replay(guardsvc, leaky, "-o", "json")
    assert (same.code, same.object["same"]) == (0, 2)
    answer = recorded.replay(guardsvc, leaky.replace("secrets: redact", "secrets: deny"), "-o", "json")

    (flip,) = answer.object["flips"]
    assert (flip["became"], flip["direction"], flip["was"], flip["now"]) == (
        "allow_to_deny",
        "response",
        "modify",
        "deny",
    )
    assert flip["now_rules"] == ["aws_access_key at /content/0/text"]
    removed = recorded.replay(
        guardsvc, OLD.replace("policy:\n", "policy:\n  responses: {default: allow}\n"), "-o", "json"
    )
    assert flips(removed) == [("modify", "read")]


def test_shadow_mode_is_a_flip_unless_verdicts_are_compared(guardsvc: Command, tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, OLD, full=True)
    recorded.ask(("drop", {}))
    shadow = OLD.replace("policy:\n", "policy:\n  mode: shadow\n")

    assert flips(recorded.replay(guardsvc, shadow, "-o", "json")) == [("deny_to_allow", "drop")]
    assert recorded.replay(guardsvc, shadow, "--verdicts").code == 0


def test_digests_say_what_names_say_and_why_no_more(guardsvc: Command, tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, OLD, full=False)
    recorded.ask(*CALLS)
    new = OLD.replace("tools: [drop]", "tools: [pay]")
    answer = recorded.replay(guardsvc, new, "-o", "json")

    assert flips(answer) == [("maybe_deny_to_allow", "drop"), ("maybe_deny_to_allow", "send"), ("allow_to_deny", "pay")]
    assert answer.object["flips"][0]["notes"] == [
        "only the digest of the payload was captured; secrets might still refuse it"
    ]
    assert sum(answer.object["unjudged"].values()) == 1
    names_only = "policy: {guards: [{type: access_list, settings: {unknown_server: allow, default: allow}}]}"
    assert flips(recorded.replay(guardsvc, names_only, "-o", "json")) == [
        ("deny_to_allow", "drop"),
        ("deny_to_allow", "send"),
    ]
    payloads_only = "policy: {guards: [{type: secrets}]}"
    nothing = recorded.replay(guardsvc, payloads_only)
    assert nothing.code == ExitCode.FAILED
    assert (
        "4 not judged again: only the digest of the payload was captured, which secrets would look into" in nothing.out
    )


def test_rate_limits_are_neither_asked_nor_consumed(guardsvc: Command, tmp_path: Path) -> None:
    limited = OLD + (
        "    - {type: rate_limit, settings: {storage: memory, limits: [{key: [tenant], windows: [3/minute]}]}}\n"
    )
    recorded = Recorded(tmp_path, limited, full=True)
    recorded.ask(*[("read", {})] * 5)
    answer = recorded.replay(guardsvc, limited, "-o", "json")

    assert (answer.code, answer.object["judged"]) == (0, 3)
    assert answer.object["unjudged"] == {"it was refused by a rate limit, which depends on what else was sent then": 2}


def test_what_was_refused_unread_is_not_judged_again(guardsvc: Command, tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, OLD, full=True)
    recorded.ask(("drop", {"a" * 70000: 1}))
    limits = OLD.replace("policy:\n", "policy:\n  integrity: {max_bytes: 1024}\n")
    (tmp_path / "old.yaml").write_text(limits)
    again = Recorded(tmp_path, limits, full=True)
    again.path.unlink()
    again.ask(("read", {"text": "x" * 2000}))
    answer = again.replay(guardsvc, OLD, "-o", "json")

    assert answer.code == ExitCode.FAILED
    assert answer.object["unjudged"] == {"it was refused as too_large without asking guards": 1}


def test_without_the_key_nothing_is_judged(guardsvc: Command, tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, OLD, full=True)
    recorded.ask(*CALLS)
    (tmp_path / "key").write_text(new_key())
    answer = recorded.replay(guardsvc, OLD)

    assert answer.code == ExitCode.FAILED
    assert "4 not judged again: sealed with a key that is not at hand (--key)" in answer.out
    wrong = guardsvc("replay", recorded.path, "-p", tmp_path / "new.yaml", "--key", recorded.key)
    assert wrong.code == ExitCode.USAGE
    assert recorded.key not in wrong.err


def test_show_and_export(guardsvc: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = Recorded(tmp_path, OLD, full=True)
    recorded.ask(*CALLS)
    sealed = guardsvc("capture", "show", recorded.path)
    assert sealed.code == 0
    assert "drop" not in sealed.out
    assert "4 of 4 records are sealed" in sealed.err
    monkeypatch.setenv("CAPTURE_KEY", recorded.key)
    shown = guardsvc("capture", "show", recorded.path, "-k", "env:CAPTURE_KEY")
    assert "DENY  bank  acme/ann  request  tools/call drop  access_denied  payload" in shown.out
    decision = shown.out.splitlines()[2].split()[1]
    one = guardsvc("capture", "show", recorded.path, "-k", "env:CAPTURE_KEY", "--decision", decision)
    assert AWS in one.out
    plain = tmp_path / "plain.jsonl"
    assert guardsvc("capture", "export", recorded.path, "-k", "env:CAPTURE_KEY", "--to", plain).code == 0
    assert stat.S_IMODE(plain.stat().st_mode) == 0o600
    assert guardsvc("capture", "export", recorded.path, "--to", plain).code == ExitCode.USAGE
    replayed = guardsvc("replay", plain, "-p", tmp_path / "old.yaml", "-o", "json")
    assert (replayed.code, replayed.object["judged"]) == (0, 4)


def test_keygen_makes_keys_that_the_service_takes(guardsvc: Command, tmp_path: Path) -> None:
    key = guardsvc("capture", "keygen").out.strip()
    config = tmp_path / "config.yaml"
    config.write_text(
        f"service: {{capture: {{path: {tmp_path}/c.jsonl, payloads: full, key: {key}}}}}\npolicy: {{preset: default}}\n"
    )
    assert guardsvc("validate", config).code == 0
    config.write_text(config.read_text().replace(f", key: {key}", ""))
    answer = guardsvc("validate", config)
    assert answer.code == ExitCode.CONFIGURATION
    assert "service.capture.key: the key is missing; payloads: full needs it" in answer.err
    config.write_text("service: {workers: 2, capture: {path: /tmp/c.jsonl}}\npolicy: {preset: default}\n")
    assert "put {worker} in it" in guardsvc("validate", config).err


def test_a_running_service_captures_what_it_decides(guardsvc: Command, tmp_path: Path) -> None:
    config, path = tmp_path / "config.yaml", tmp_path / "c-0.jsonl"
    service = f"service:\n  capture: {{path: '{tmp_path}/c-{{worker}}.jsonl', payloads: full, key: {new_key()}}}\n"
    config.write_text(service + OLD)
    with serving(tmp_path, "--config", str(config)) as running, gateway(running.grpc_address) as asked:
        assert (asked.verdict(call("read")), asked.verdict(call("drop"))) == ("allow", "access_denied")
        wait_until(lambda: running.metric('guardsvc_capture_records_total{result="written"}') == 2, "two records")
        assert running.end() == 0
    new = tmp_path / "new.yaml"
    new.write_text(OLD.replace("[drop]", "[read]"))
    answer = guardsvc("replay", path, "-p", new, "-c", config, "-o", "json")

    assert flips(answer) == [("deny_to_allow", "drop"), ("allow_to_deny", "read")]
