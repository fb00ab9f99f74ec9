"""What ``data_leak`` takes out, that nothing else changes, and how its settings move the border.

The cases are in ``tests/cases/guards/data_leak.yaml``: a hit and a near miss for every rule.
"""

from __future__ import annotations

import copy
import json
import os
import random
from base64 import b64decode, b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from guardsvc.guards.native.data_leak import DataLeak, DataLeakSettings
from guardsvc.guards.native.data_leak.leaks import Detector, Leak
from guardsvc.guards.native.data_leak.personal import PersonalData, is_card, is_iban, is_ssn
from guardsvc.guards.native.data_leak.rules import RULES, Personal
from guardsvc.guards.native.results import Shown, listed_values
from guardsvc.guards.native.secrets.plausible import Allowed
from guardsvc.model import (
    ALLOW,
    Allow,
    Decision,
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
    Severity,
    Verdict,
)
from tests.guards.catalogs import Gateway, policy_of, tool
from tests.guards.pointers import resolve

KEY = "AKIA" + "BZPUZDIKAB25II7T"
LABEL = "[REDACTED:aws_access_key]"


def guard(context: dict[str, Any] | None = None, **settings: Any) -> DataLeak:
    return DataLeak(DataLeakSettings.model_validate(settings), GuardContext(guard_id="data_leak", **(context or {})))


def result(payload: Any, *, kind: Kind = Kind.RESULT) -> Operation:
    return Operation(
        protocol=GatewayProtocol.EXT_PROC,
        direction=Direction.RESPONSE,
        phase=Phase.TOOL_RESULT,
        kind=kind,
        method="tools/call",
        server="crm",
        servers=("crm",),
        subject="find",
        payload=payload,
    )


def judge(payload: Any, by: DataLeak | None = None) -> Verdict:
    return (by or DEFAULT).evaluate(result(payload), {})


def text(content: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": content}]}


DEFAULT = guard()
EVERYTHING = guard(personal_data=dict.fromkeys(Personal, "redact"))


def test_what_is_found_is_gone_and_the_rest_is_as_it_was() -> None:
    payload = {
        "content": [{"type": "text", "text": f"a {KEY} b\u00e9"}, {"type": "image", "data": "iVBORw0KGgo="}],
        "structuredContent": {"n": [1, 2.5, None, True], "k": {"x": KEY}},
        "isError": False,
    }
    before = copy.deepcopy(payload)
    verdict = judge(payload)
    assert isinstance(verdict, Modify)
    assert payload == before
    before["content"][0]["text"] = f"a {LABEL} b\u00e9"  # type: ignore[index]
    before["structuredContent"]["k"]["x"] = LABEL  # type: ignore[index]
    assert verdict.payload == before
    assert list(verdict.payload) == list(before)
    assert judge(verdict.payload) is ALLOW


PLACES = st.sampled_from(("text", "structured", "blob", "message", "link", "meta"))


@given(st.lists(PLACES, min_size=1, max_size=4), st.text(max_size=20), st.text(max_size=20))
def test_nothing_is_left_wherever_it_stood(places: list[str], before: str, after: str) -> None:
    leaked = f"{before} {KEY} {after}"
    made: dict[str, Any] = {
        "text": {"type": "text", "text": leaked},
        "structured": {"type": "text", "text": "see below"},
        "blob": {"type": "resource", "resource": {"uri": "f:/b", "blob": b64encode(leaked.encode()).decode()}},
        "message": {"type": "resource", "resource": {"uri": "f:/t", "text": leaked}},
        "link": {"type": "resource_link", "uri": "f:/l", "name": leaked},
        "meta": {"type": "text", "text": "fine", "_meta": {"a": leaked}},
    }
    payload: dict[str, Any] = {"content": [copy.deepcopy(made[place]) for place in places]}
    if "structured" in places:
        payload["structuredContent"] = {"rows": [[{"cell": leaked}]]}
    verdict = judge(payload)
    assert not isinstance(verdict, Allow)
    if isinstance(verdict, Modify):
        assert KEY not in repr(verdict.payload)
        assert not judge(verdict.payload).findings
        blobs = [
            block["resource"]["blob"] for block in verdict.payload["content"] if "blob" in block.get("resource", {})
        ]
        assert all(KEY.encode() not in b64decode(blob) for blob in blobs)


def test_findings_lead_to_what_they_tell_and_repeat_nothing() -> None:
    payload = {"structuredContent": {"a/b": {"~": [KEY]}, KEY: {"inner": KEY}}}
    verdict = judge(payload)
    assert isinstance(verdict, Deny)
    for finding in verdict.findings:
        resolve(payload, finding.where)
        assert KEY not in finding.where + finding.excerpt + verdict.message


def test_reconsidered_findings_are_all_that_is_taken_out() -> None:
    by = guard(personal_data={"email_address": "redact"})
    operation = result(text(f"{KEY} ada@acme.example"))
    verdict = by.evaluate(operation, {})
    kept = tuple(finding for finding in verdict.findings if finding.rule == "email_address")
    again = by.reconsider(operation, kept)
    assert isinstance(again, Modify)
    assert again.payload == text(f"{KEY} [REDACTED:email_address]")
    assert by.reconsider(operation, ()) is ALLOW


def test_a_rule_has_the_action_and_severity_of_the_policy() -> None:
    by = guard({"actions": {"aws_access_key": RuleAction.DENY}}, severities={"aws_access_key": "critical"})
    verdict = judge(text(KEY), by)
    assert isinstance(verdict, Deny)
    assert verdict.findings[0].severity is Severity.CRITICAL


@pytest.mark.parametrize(
    ("schema", "kind"),
    [({"type": "string"}, Modify), ({"type": "string", "maxLength": 20}, Deny), ({"enum": [KEY]}, Deny)],
)
def test_a_structured_result_stays_valid_or_is_refused(schema: dict[str, Any], kind: type[Verdict]) -> None:
    whole = {"type": "object", "properties": {"key": schema}}
    by = guard({"output_schemas": {("crm", "find"): whole}})
    assert isinstance(judge({"content": [], "structuredContent": {"key": KEY}}, by), kind)


def test_text_that_is_no_text_is_refused_not_damaged() -> None:
    blob = b64encode(b"\xff\xfe" + f"key {KEY}".encode("utf-16-le")).decode()
    payload = {"content": [{"type": "resource", "resource": {"uri": "f:/b", "mimeType": "text/plain", "blob": blob}}]}
    assert isinstance(judge(payload), Modify | Deny)
    broken = b64encode(b"\xe9 " + KEY.encode()).decode()
    payload = {"content": [{"type": "resource", "resource": {"uri": "f:/b", "mimeType": "text/plain", "blob": broken}}]}
    assert isinstance(judge(payload), Deny)


def test_harmless_results_pass() -> None:
    assert judge(text("nothing here")) is ALLOW
    assert judge({"content": []}) is ALLOW
    assert judge(text("mail ada@acme.example, card 4539 5787 6362 1486")) is ALLOW


@given(st.integers(0, 2**32))
def test_one_wrong_digit_is_no_card_and_no_account(seed: int) -> None:
    dice = random.Random(seed)
    digits = [4, *(dice.randrange(10) for _ in range(14))]
    total = sum(sum(divmod(digit * 2, 10)) if at % 2 == 0 else digit for at, digit in enumerate(digits))
    card = "".join(map(str, [*digits, -total % 10]))
    assert is_card(card.encode())
    assert not is_card((card[:-1] + str((int(card[-1]) + 1) % 10)).encode())
    body = "".join(str(dice.randrange(10)) for _ in range(18))
    check = 98 - int(f"{body}131400") % 97
    assert is_iban(f"DE{check:02}{body}".encode())
    assert not is_iban(f"DE{check:02}{body[:-1]}{(int(body[-1]) + 1) % 10}".encode())


@pytest.mark.parametrize("number", [b"000-12-3456", b"666-12-3456", b"900-12-3456", b"123-00-4567", b"123-45-0000"])
def test_numbers_that_nobody_is_given(number: bytes) -> None:
    assert not is_ssn(number)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"disabled_rules": ["nothing"]}, ("disabled_rules", 0)),
        ({"severities": {"nothing": "low"}}, ("severities", "nothing")),
        ({"allowed_patterns": ["("]}, ("allowed_patterns", 0)),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], path: tuple[str | int, ...]) -> None:
    with pytest.raises(SettingsError) as caught:
        guard(**settings)
    assert caught.value.path == path


def test_every_kind_of_personal_data_is_a_rule() -> None:
    assert set(Personal) <= RULES.keys()


def test_numbers_cannot_be_masked() -> None:
    assert isinstance(judge({"structuredContent": {"card": 4539578763621486}}, EVERYTHING), Deny)
    assert judge({"structuredContent": {"id": 4539578763621487}}, EVERYTHING) is ALLOW


def listed(tools: list[Any], *servers: str) -> Operation:
    return Operation(
        protocol=GatewayProtocol.EXT_PROC,
        direction=Direction.RESPONSE,
        phase=Phase.TOOLS_LIST,
        kind=Kind.RESULT,
        method="tools/list",
        server=servers[0] if len(servers) == 1 else None,
        servers=servers,
        payload={"tools": tools},
    )


CLEAN = {"name": "find", "description": "Finds. Keys look like AKIAIOSFODNN7EXAMPLE."}


def test_a_clean_list_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = guard()
    assert judged.evaluate(listed([CLEAN], "crm"), {}) == ALLOW
    seen: list[int] = []
    leaks = Detector.leaks

    def look(detector: Detector, shown: Sequence[Shown]) -> list[Leak]:
        seen.append(len(shown))
        return leaks(detector, shown)

    monkeypatch.setattr(Detector, "leaks", look)
    assert judged.evaluate(listed([dict(CLEAN)], "crm"), {}) == ALLOW
    assert not seen
    assert judged.evaluate(listed([{**CLEAN, "title": KEY}], "crm"), {}) != ALLOW


def test_what_comes_with_a_known_list_is_looked_at() -> None:
    judged = guard()
    judged.evaluate(listed([CLEAN], "crm"), {})
    operation = msgspec.structs.replace(listed([CLEAN], "crm"), payload={"tools": [CLEAN], "_meta": {"note": KEY}})
    verdict = judged.evaluate(operation, {})
    assert isinstance(verdict, Modify)
    assert verdict.payload == {"tools": [CLEAN], "_meta": {"note": LABEL}}


@pytest.mark.parametrize("servers", [("crm",), ("crm", "notes")])
def test_a_definition_that_cannot_be_masked(servers: tuple[str, ...]) -> None:
    bad = {"name": "get", "inputSchema": {"properties": {"key": {"const": KEY}}}}
    verdict = guard().evaluate(listed([CLEAN, bad], *servers), {})
    if len(servers) == 1:
        assert isinstance(verdict, Deny)
    else:
        assert isinstance(verdict, Modify)
        assert verdict.payload["tools"] == [CLEAN]


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ({"title": KEY}, True),
        ({"_meta": {"x": [KEY]}}, True),
        ({"inputSchema": {"properties": {"title": {"description": KEY}}}}, True),
        ({"inputSchema": {"properties": {"title": {"enum": [KEY]}}}}, False),
        ({"inputSchema": {"properties": {"a": {"examples": [KEY]}}}}, True),
        ({"inputSchema": {"properties": {KEY: {"description": "x"}}}}, False),
        ({"outputSchema": {"$defs": {"description": {"default": KEY}}}}, False),
        ({"icons": [{"src": KEY}]}, False),
    ],
)
def test_only_texts_for_readers_are_masked(place: dict[str, Any], *, told: bool) -> None:
    verdict = guard().evaluate(listed([{"name": "get", **place}], "crm"), {})
    assert isinstance(verdict, Modify if told else Deny)
    if isinstance(verdict, Modify):
        assert KEY not in str(verdict.payload)


def test_a_tool_may_be_allowed_to_tell() -> None:
    judged = guard(allowed_fields=[{"tools": ["fi*"], "fields": ["description"]}])
    told = {"name": "find", "description": KEY}
    assert judged.evaluate(listed([told], "crm"), {}) == ALLOW
    assert judged.evaluate(listed([{**told, "name": "get"}], "crm"), {}) != ALLOW


@pytest.mark.skipif("GUARDSVC_CORPUS" not in os.environ, reason="no corpus")
def test_definitions_of_the_corpus_have_no_credentials() -> None:
    lines = (Path(os.environ["GUARDSVC_CORPUS"]) / "benign_tools.jsonl").read_text("utf-8").splitlines()
    assert guard().evaluate(listed([json.loads(line) for line in lines], "crm"), {}) == ALLOW


def test_the_quick_look_at_lists_misses_nothing() -> None:
    detector = Detector(Allowed(()), PersonalData(()))
    cases = yaml.safe_load((Path(__file__).parents[1] / "cases" / "guards" / "data_leak.yaml").read_text("utf-8"))
    payloads = [payload for case in cases["cases"] if (payload := case.get("operation", {}).get("payload"))]
    found = 0
    for payload in payloads:
        operation = listed([payload], "crm")
        if detector.leaks(listed_values(operation)):
            found += 1
            assert detector.may_leak(operation.payload), payload
    assert found > 50


async def test_beside_rug_pull_what_has_a_credential_is_shown_masked_and_not_learned() -> None:
    async with Gateway(policy_of(after="- type: data_leak")) as gateway:
        listing = [tool("read"), tool("write", f"Writes with {KEY}.")]
        for _ in range(2):
            shown = await gateway.list(*listing)
            assert [entry["description"] for entry in shown.payload["tools"]] == [
                "Reads a file.",
                f"Writes with {LABEL}.",
            ]
        rules = {name: _rules_of(await gateway.call(name)) for name in ("read", "write")}
    assert rules == {"read": [], "write": ["unknown"]}


def _rules_of(decision: Decision) -> list[str]:
    return [finding.rule for outcome in decision.outcomes for finding in outcome.findings]
