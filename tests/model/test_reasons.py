from __future__ import annotations

import re
from pathlib import Path

import pytest

import guardsvc.model.reasons
from guardsvc.engine import FAILURE_CODES
from guardsvc.model import REASONS, ErrorKind, Reason, reason_for

ROWS = list(REASONS.values())


def test_codes_are_unique_names_in_snake_case() -> None:
    source = Path(guardsvc.model.reasons.__file__).read_text()
    codes = re.findall(r'^    Reason\(\s*"([^"]*)"', source, re.MULTILINE)
    assert len(codes) == len(set(codes)) == len(REASONS)
    assert [code for code in codes if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", code)] == []


@pytest.mark.parametrize("reason", ROWS, ids=REASONS)
def test_a_row_keeps_to_the_documented_codes_and_statuses(reason: Reason) -> None:
    assert reason.code in REASONS
    assert reason.jsonrpc in {-32700, -32600, -32601, -32602, -32603, -32001, -32003, -32020, -32022}
    assert reason.status in {None, 400, 401, 403, 404, 405, 503}
    assert reason.status_without_id in {400, 401, 403, 404, 405, 429, 503}
    assert reason.text


@pytest.mark.parametrize("reason", ROWS, ids=REASONS)
def test_statuses_that_the_specification_fixes(reason: Reason) -> None:
    """MCP 2026-07-28: a header mismatch and an unsupported version are answered with 400."""
    fixed = reason.jsonrpc in (-32020, -32022)
    assert (reason.status == 400) is fixed
    if fixed:
        assert reason.status_without_id == 400


@pytest.mark.parametrize("reason", ROWS, ids=REASONS)
def test_what_cannot_be_read_is_a_bad_request_and_a_fault_of_ours_is_unavailable(reason: Reason) -> None:
    expected = {-32700: 400, -32600: 400, -32601: 400, -32602: 400, -32603: 503}
    assert reason.status_without_id == expected.get(reason.jsonrpc, reason.status_without_id)
    if reason.status is not None:
        assert reason.status_without_id == reason.status


def test_every_failure_of_a_guard_has_a_row_that_is_no_denial_by_policy() -> None:
    assert set(FAILURE_CODES) == set(ErrorKind)
    for code in (*FAILURE_CODES.values(), "deadline_exceeded", "internal_error"):
        assert REASONS[code].jsonrpc == -32603


@pytest.mark.parametrize("code", ["secret_found", "", "Access_Denied"])
def test_a_code_that_is_not_in_the_table_is_a_denial_by_policy(code: str) -> None:
    reason = reason_for(code)
    assert (reason.code, reason.jsonrpc, reason.text) == (code, -32001, "Denied by policy.")
    assert (reason.status, reason.status_without_id) == (None, 403)


def test_a_code_of_the_table_is_its_row() -> None:
    assert all(reason_for(code) is row for code, row in REASONS.items())
