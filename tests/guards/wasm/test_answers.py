"""Codes of denials: those of older interfaces are brought into form, and none passes for guardsvc's own."""

from __future__ import annotations

from typing import cast

import pytest

from guardsvc.guards.wasm.calls.answers import verdict_of
from guardsvc.guards.wasm.contract.shape import Function
from guardsvc.guards.wasm.failures import WasmFailure
from guardsvc.model import REASONS, Deny
from tests.guards.wasm.components import CALL


class Answering:
    """As much of a function as its answer is read by."""

    kind = "tool-invoke"

    def __init__(self, *, exact: bool) -> None:
        self.exact = exact


def denied(code: str, *, exact: bool) -> str:
    answer = ("ok", ("deny", {"code": code, "message": "No.", "details": None}))
    verdict = verdict_of(cast("Function", Answering(exact=exact)), CALL, answer)
    assert isinstance(verdict, Deny)
    return verdict.code


@pytest.mark.parametrize("code", ["forbidden_text", "tool_poisoning_detected", "rate_limited", "access_denied"])
@pytest.mark.parametrize("exact", [True, False])
def test_codes_that_a_component_may_give(code: str, *, exact: bool) -> None:
    assert denied(code, exact=exact) == code


@pytest.mark.parametrize("code", sorted(code for code, reason in REASONS.items() if reason.reserved))
def test_codes_that_only_guardsvc_gives(code: str) -> None:
    assert denied(code, exact=False) == "access_denied"
    with pytest.raises(WasmFailure, match="only guardsvc gives"):
        denied(code, exact=True)


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ("Forbidden-Text", "forbidden_text"),
        ("Guard Timeout", "access_denied"),
        ("42", "access_denied"),
        ("", "access_denied"),
    ],
)
def test_codes_of_older_interfaces_are_brought_into_form(given: str, code: str) -> None:
    assert denied(given, exact=False) == code
