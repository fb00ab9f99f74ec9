"""Responses that belong to no request, where the policy has them judged all the same: by shape, by every guard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.e2e.directions import BENIGN, FORMS, INJECTED, KEY, MASKED, POISONED, Form, asking, plain, result
from tests.e2e.responding import EXT_AUTHZ, EXT_PROC, SHIPPED_EXT_PROC, Responding, call, filters, per_route
from tests.e2e.test_both_directions import message_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deploy.demo.bootstrap import Bootstrap

POLICY = Path(__file__).parent / "policies" / "both_default.yaml"
LOST = ("no_namespace", pytest.param("no_ext_authz", marks=pytest.mark.long))

in_both_forms = pytest.mark.parametrize(
    "form", [form for form in FORMS if form[0] in ("json", "events_bytes")], ids=lambda form: form[0]
)


@pytest.fixture(scope="module", params=LOST)
def lost(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Responding]:
    """Envoy that does not hand on what ext_authz decided, or does not ask it."""
    folder = tmp_path_factory.mktemp(request.param)
    policy = folder / "policy.yaml"
    policy.write_text(POLICY.read_text().replace("responses: {", "responses: {require_context: false, "))

    def alter(bootstrap: Bootstrap) -> None:
        if request.param == "no_namespace":
            del filters(bootstrap)[EXT_PROC]["typed_config"]["metadata_options"]
            return
        assert filters(bootstrap)[EXT_AUTHZ]["name"] == "envoy.filters.http.ext_authz"
        settings = per_route(bootstrap)["envoy.filters.http.ext_authz"]
        del settings["check_settings"]
        settings["disabled"] = True

    with Responding(folder, policy, alter, shipped=SHIPPED_EXT_PROC) as running:
        yield running


@in_both_forms
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (POISONED, "tool_poisoning_detected"),
        (INJECTED, "result_injection_detected"),
        (asking("Summarize."), "input_request_refused"),
    ],
    ids=["poisoned", "injected", "sampling"],
)
def test_what_is_bad_is_refused(lost: Responding, form: Form, body: bytes, code: str) -> None:
    before = lost.metric('guardsvc_uncorrelated_responses_total{cause="missing"}')
    answer = lost.ask(form[1](body), call())
    assert message_of(answer.body)["error"]["data"]["reason"] == code
    assert all(mark not in answer.body for mark in (b"id_rsa", b"eve@", b"requestState"))
    assert lost.metric('guardsvc_uncorrelated_responses_total{cause="missing"}') == before + 1


@in_both_forms
def test_a_key_is_masked(lost: Responding, form: Form) -> None:
    answer = lost.ask(form[1](result(f"the key is {KEY}")), call("tools/call", name="find", arguments={}))
    assert message_of(answer.body) == json.loads(result(f"the key is {MASKED}"))


@in_both_forms
@pytest.mark.parametrize("kind", BENIGN)
def test_what_is_harmless_leaves_byte_for_byte(lost: Responding, form: Form, kind: str) -> None:
    script = form[1](BENIGN[kind])
    sent = b"".join(piece for piece in script.pieces if isinstance(piece, bytes))
    assert plain(script, lost.ask(script, call()).body) == sent
