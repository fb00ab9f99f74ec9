"""The shipped filter that verifies tokens: what the documentation shows, and how it works together with guardsvc."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from deploy.demo.bootstrap import GUARDSVC, SHIPPED, SHIPPED_JWT, Bootstrap
from deploy.demo.sending import body, headers_of
from deploy.demo.services import ROOT, envoy_program
from deploy.demo.stack import TENANTS, Stack
from deploy.demo.tokens import TokenIssuer, with_claims, without_signature
from tests.e2e.ask import Answer, at_the_server, send
from tests.server.process import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

POLICY = Path(__file__).parent / "policies" / "tokens.yaml"
OPEN = "open"
LENIENT = "lenient"
CLAIMS = {"sub": "agent-7", "org": {"tenant": "acme"}}
ISSUER = TokenIssuer()


@pytest.fixture(scope="module")
def challenging() -> Iterator[Stack]:
    """Envoy lets requests pass without a token, and in one listener with a bad one; guardsvc refuses them."""
    with Stack({GUARDSVC: POLICY}, _let_pass) as running:
        yield running


def _let_pass(bootstrap: Bootstrap) -> None:
    missing = _add(bootstrap, OPEN)
    missing["rules"][1] |= _documented()[1]
    failed = _add(bootstrap, LENIENT)
    failed["providers"]["issuer"]["failed_status_in_metadata"] = "jwt_failure"
    failed["rules"][1]["requires"] = {
        "requires_any": {"requirements": [{"provider_name": "issuer"}, {"allow_missing_or_failed": {}}]}
    }


def _add(bootstrap: Bootstrap, listener: str) -> dict[str, Any]:
    """Add a listener that takes tokens, and give the settings of its filter for them."""
    bootstrap.add_token_listener(listener, ISSUER.jwks)
    manager = bootstrap.document["static_resources"]["listeners"][-1]["filter_chains"][0]["filters"][0]["typed_config"]
    settings: dict[str, Any] = manager["http_filters"][0]["typed_config"]
    return settings


def _documented() -> list[dict[str, Any]]:
    """The YAML in the documentation: the filter, and what it requires where tokens may be missing."""
    section = (ROOT / "docs" / "gateways.md").read_text().partition("### Tokens")[2].partition("\n## ")[0]
    return [yaml.safe_load(block.partition("\n```")[0]) for block in section.split("```yaml\n")[1:]]


def _logged(stack: Stack, answer: Answer) -> list[str]:
    """Tenant and principal in Envoy's access log."""
    return [
        event[name]
        for event in stack.envoy.events()
        if event["decision_id"] == answer.decision_id
        for name in ("tenant", "principal")
    ]


def _call(stack: Stack, listener: str, token: str | None, *more: tuple[str, str]) -> Answer:
    fields = [*headers_of("refund").items(), *more]
    if token is not None:
        fields.append(("authorization", f"Bearer {token}"))
    return send("POST", stack.url(listener), body(7, "refund", order="A-1"), fields)


def test_the_documentation_shows_what_is_shipped() -> None:
    assert _documented()[0] == yaml.safe_load(SHIPPED_JWT.read_text())


def test_it_is_valid_in_the_shipped_configuration(tmp_path: Path) -> None:
    keys = tmp_path / "jwks.json"
    keys.write_text(ISSUER.jwks)
    config = yaml.safe_load(SHIPPED.read_text())
    manager = config["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    manager["http_filters"].insert(
        0, yaml.safe_load(SHIPPED_JWT.read_text().replace("/etc/envoy/jwks.json", str(keys)))
    )
    changed = tmp_path / "envoy.yaml"
    changed.write_text(yaml.safe_dump(config))
    command = [envoy_program(), "--mode", "validate", "--config-path", str(changed), "--log-level", "warning"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_claims_reach_guardsvc_and_the_token_reaches_nobody(stack: Stack) -> None:
    answer = _call(stack, TENANTS, stack.issuer.token(**CLAIMS))
    assert answer.status == 200
    assert "error" not in json.loads(answer.body)
    (received,) = at_the_server(stack, answer.decision_id)
    assert received.all("authorization") == []
    wait_until(lambda: _logged(stack, answer) == ["acme", "agent-7"], "the access log names the caller")


@pytest.mark.parametrize("claims", [{"org": ["acme"]}, {"org": {"tenant": ["acme"]}}, {"org": "acme"}])
def test_a_signed_token_with_claims_of_another_shape_is_nobodys(stack: Stack, claims: dict[str, Any]) -> None:
    answer = _call(stack, TENANTS, stack.issuer.token(**CLAIMS | claims))
    assert json.loads(answer.body)["error"]["data"]["reason"] == "identity_invalid"


def test_without_a_token_what_is_well_known_is_not_envoys_to_refuse(stack: Stack) -> None:
    url = stack.url(TENANTS).replace("/mcp", "/.well-known/oauth-protected-resource")
    assert send("GET", url).status == 404
    assert send("GET", stack.url(TENANTS)).status == 401


@pytest.mark.parametrize("listener", [OPEN, LENIENT])
def test_a_good_token_is_verified(challenging: Stack, listener: str) -> None:
    answer = _call(challenging, listener, ISSUER.token(**CLAIMS))
    assert (answer.status, "error" in json.loads(answer.body)) == (200, False)


def test_who_has_no_token_is_told_where_to_get_one(challenging: Stack) -> None:
    answer = _call(challenging, OPEN, None, ("x-tenant", "acme"))
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer resource_metadata=")
    assert json.loads(answer.body)["error"]["data"]["reason"] == "unverified_caller"
    assert at_the_server(challenging, answer.decision_id) == []


def test_envoy_writes_of_a_missing_token_as_of_one_that_failed(challenging: Stack) -> None:
    answer = _call(challenging, LENIENT, None)
    assert json.loads(answer.body)["error"]["data"]["reason"] == "identity_invalid"


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (with_claims(ISSUER.token(sub="mallory"), **CLAIMS), 401),
        (without_signature(ISSUER.token(**CLAIMS)), 401),
        (TokenIssuer().token(**CLAIMS), 401),
        (ISSUER.token(**CLAIMS, exp=1), 401),
        (ISSUER.token(**CLAIMS, aud="https://other.example/mcp", exp=2**32), 403),
        (ISSUER.token(**CLAIMS, iss="https://other.example"), 401),
        ("a.b.c", 401),
    ],
    ids=["changed", "unsigned", "another key", "expired", "another audience", "another issuer", "no token"],
)
def test_a_bad_token_is_refused(challenging: Stack, token: str, status: int) -> None:
    by_envoy = _call(challenging, OPEN, token)
    assert (by_envoy.status, by_envoy.decision_id) == (status, None)
    by_guardsvc = _call(challenging, LENIENT, token)
    assert json.loads(by_guardsvc.body)["error"]["data"]["reason"] == "identity_invalid"
    assert at_the_server(challenging, by_guardsvc.decision_id) == []
