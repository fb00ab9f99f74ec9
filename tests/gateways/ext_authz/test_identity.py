"""Who is calling, from a CheckRequest to the answer: the table of sources, refusals, and metadata of any form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct, Value
from hypothesis import given
from hypothesis import strategies as st

from guardsvc._proto.envoy.service.auth.v3.attribute_context_pb2 import AttributeContext
from guardsvc._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
from guardsvc.gateways.ext_authz import ExtAuthz
from guardsvc.gateways.ext_authz.request import asker_of
from guardsvc.gateways.identity import WireEvidence, peer_address
from guardsvc.gateways.seal import Seal
from guardsvc.model import Caller, Headers
from guardsvc.observe import Metrics, Recorder
from guardsvc.policy import Identity, IdentityError, Policy
from guardsvc.policy.identity_settings import IdentitySettings
from tests.engine.scripted import asked, guard, policy
from tests.gateways.ext_authz.checks import attributes, check_request
from tests.gateways.posted import notification

CASES = yaml.safe_load((Path(__file__).parents[2] / "cases" / "identity.yaml").read_text())
JWT = "envoy.filters.http.jwt_authn"


class Context:
    """The part of a servicer context that Check uses, of a peer on this host."""

    def peer(self) -> str:
        return "unix:"

    def time_remaining(self) -> None:
        return None


async def checked(chain: Policy, context: AttributeContext) -> CheckResponse:
    service = ExtAuthz(lambda: chain, Seal((b"k" * 32,)), Recorder(Metrics("0"), []), {})
    servicer: Any = Context()
    return CheckResponse.FromString(await service.check(check_request(context), servicer))


def identity(sources: Any = None, **more: Any) -> IdentitySettings:
    """Settings as a configuration file gives them."""
    given = more if sources is None else {"sources": sources, **more}
    return IdentitySettings.model_validate_json(json.dumps(given), strict=True)


def said_by_the_gateway(
    message: Any = None,
    *,
    principal: str = "",
    extensions: dict[str, str] | None = None,
    metadata: dict[str, Any] | None = None,
    headers: list[list[str]] | None = None,
    **more: Any,
) -> AttributeContext:
    context = attributes(message, principal=principal, extensions=extensions)
    if "claims" in more:
        metadata = {JWT: {"jwt_payload": more["claims"]}}
    for namespace, struct in (metadata or {}).items():
        context.metadata_context.filter_metadata[namespace].update(struct)
    if headers is not None:
        fields = [*context.request.http.headers.items(), *headers]
        for name, value in fields:
            context.request.http.header_map.headers.add(key=name, raw_value=value.encode("latin-1"))
    return context


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
async def test_case(case: dict[str, Any]) -> None:
    seeing = guard("g")
    chain = policy(seeing, identity=identity(case.get("sources")))
    answer = await checked(chain, said_by_the_gateway(**case["given"]))
    told = dict(answer.dynamic_metadata)
    if "refused" in case:
        assert asked(seeing) == []
        assert answer.status.code == 7
        assert (told["reason"], answer.denied_response.status.code) == (case["refused"], 200)
        error = json.loads(answer.denied_response.body)["error"]
        assert error["code"] == -32001
        assert case.get("said", "") in error["data"]["detail"]
        assert not {"tenant", "principal"} & told.keys()
        return
    tenant, principal, verified, source = case["caller"]
    (operation,) = asked(seeing)
    assert operation.caller == Caller(
        tenant=tenant, principal=principal, verified=verified, source=source, address="203.0.113.9"
    )
    assert (told.get("tenant"), told.get("principal")) == (tenant, principal)


@pytest.mark.parametrize(("length", "reason"), [(256, ""), (257, "identity_invalid")])
async def test_a_name_has_at_most_256_characters(length: int, reason: str) -> None:
    chain = policy(guard("g"))
    for context in (said_by_the_gateway(principal="é" * length), said_by_the_gateway(claims={"tenant": "é" * length})):
        assert dict((await checked(chain, context)).dynamic_metadata).get("reason", "") == reason


UNPROVEN = [
    {},
    {"extensions": {"tenant": "acme"}},
    {"claims": {"tenant": "acme"}},
    {"claims": {"sub": "ann"}, "extensions": {"tenant": "acme"}},
]


@pytest.mark.parametrize("given", UNPROVEN)
async def test_a_caller_that_is_not_verified_is_challenged_where_that_is_required(given: dict[str, Any]) -> None:
    challenge = 'Bearer resource_metadata="https://acme.example/.well-known/oauth-protected-resource"'
    seeing = guard("g")
    chain = policy(seeing, identity=identity(require_verified=True, challenge=challenge))
    denied = (await checked(chain, said_by_the_gateway(**given))).denied_response
    fields = {option.header.key: option.header.value for option in denied.headers}
    assert asked(seeing) == []
    assert (denied.status.code, fields["www-authenticate"]) == (401, challenge)
    error = json.loads(denied.body)
    assert (error["id"], error["error"]["code"], error["error"]["data"]["reason"]) == (1, -32001, "unverified_caller")


@pytest.mark.parametrize("given", [{"principal": "spiffe://acme/a"}, {"claims": {"sub": "ann", "tenant": "acme"}}])
async def test_a_verified_caller_passes_where_that_is_required(given: dict[str, Any]) -> None:
    chain = policy(guard("g"), identity=identity(require_verified=True))
    assert (await checked(chain, said_by_the_gateway(**given))).status.code == 0


async def test_a_notification_is_challenged_too() -> None:
    chain = policy(guard("g"), identity=identity(require_verified=True))
    denied = (await checked(chain, said_by_the_gateway(notification()))).denied_response
    assert denied.status.code == 401
    assert "id" not in json.loads(denied.body)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/mcp", {"accept": "text/event-stream"}, 401),
        ("DELETE", "/mcp", {}, 401),
        ("GET", "/.well-known/oauth-protected-resource", {}, 0),
        ("OPTIONS", "/mcp", {"origin": "https://a", "access-control-request-method": "POST"}, 0),
    ],
)
async def test_how_to_become_verified_may_be_asked_by_anyone(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    chain = policy(guard("g"), identity=identity(require_verified=True))
    answer = await checked(chain, attributes(b"", method=method, path=path, headers=headers, raw_body=b""))
    assert answer.denied_response.status.code == status
    assert (answer.status.code == 0) is (status == 0)


async def test_a_message_that_cannot_be_read_is_told_as_such_first() -> None:
    chain = policy(guard("g"), identity=identity(require_verified=True))
    answer = await checked(chain, said_by_the_gateway(b"{", claims={"sub": []}))
    assert dict(answer.dynamic_metadata)["reason"] == "invalid_json"


async def test_in_a_policy_of_mode_shadow_nothing_is_refused_for_a_name() -> None:
    chain = policy(guard("g"), mode="shadow", identity=identity(require_verified=True))
    for context, reason in (
        (said_by_the_gateway(), "unverified_caller"),
        (said_by_the_gateway(claims={"sub": []}), "identity_invalid"),
    ):
        answer = await checked(chain, context)
        assert answer.status.code == 0
        assert dict(answer.dynamic_metadata)["reason"] == reason


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sources": [{"type": "header", "tenant": "x-tenant"}]}, "set_by_gateway"),
        ({"sources": [{"type": "header", "set_by_gateway": False, "tenant": "x-tenant"}]}, "set_by_gateway"),
        ({"sources": [{"type": "header", "set_by_gateway": True}]}, "names no header"),
        ({"sources": [{"type": "jwt", "tenant": None, "principal": None}]}, "names no claim"),
        ({"sources": [{"type": "context_extensions", "tenant": None}]}, "names no key"),
        ({"sources": [{"type": "header", "set_by_gateway": True, "tenant": "X-Tenant"}]}, "pattern"),
        ({"sources": [{"type": "header", "set_by_gateway": True, "tenant": ":authority"}]}, "pattern"),
        ({"sources": [{"type": "header", "set_by_gateway": True, "principal": "authorization"}]}, "of the client"),
        ({"sources": [{"type": "jwt", "tenant": "a..b"}]}, "empty step"),
        ({"sources": [{"type": "jwt", "tenant": "/a~2b"}]}, "JSON pointer"),
        ({"sources": [{"type": "jwt", "tenant": "/a~"}]}, "JSON pointer"),
        ({"sources": [{"type": "cookie"}]}, "type"),
        ({"challenge": "Bearer\r\nx-evil: 1"}, "printable ASCII"),
        ({"challenge": ""}, "at least 1"),
    ],
)
def test_settings_that_are_wrong(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        identity(**settings)


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:10.0.0.7:41322", "10.0.0.7"),
        ("ipv6:[fe80::1]:1", "fe80::1"),
        ("ipv6:%5Bfe80::1%5D:1", "fe80::1"),
        ("unix:", None),
        ("unix:/run/x", None),
        ("", None),
        ("ipv4:", None),
    ],
)
def test_the_address_of_a_peer(peer: str, address: str | None) -> None:
    assert peer_address(peer) == address


values: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        st.none()
        | st.booleans()
        | st.floats()
        | st.text(max_size=8)
        | st.sampled_from(["acme", "x" * 300, "a\x00b", " ", "1e400"])
        | st.lists(values, max_size=3)
        | st.dictionaries(keys, values, max_size=3)
    )
)
keys: st.SearchStrategy[str] = st.sampled_from(["sub", "tenant", "0", "realm", "jwt_payload", "failed", ""]) | st.text(
    max_size=4
)
PATHS = ("sub", "tenant", "realm.tenant", "realm.0.sub", "0", "/realm/", "/", "tenant.0.0.99999999999999999999")


def called(names: Identity, evidence: WireEvidence) -> Caller | IdentityError:
    try:
        return names.caller(evidence, None)
    except IdentityError as error:
        return error


def structs(content: dict[str, Any]) -> Struct:
    made = Struct()
    made.update(content)
    return made


@given(
    st.dictionaries(st.sampled_from([JWT, "other"]), st.dictionaries(keys, values, max_size=3), max_size=2),
    st.dictionaries(st.sampled_from(["tenant", "who", ""]), st.text(max_size=6), max_size=2),
    st.text(max_size=6),
    st.lists(st.tuples(st.sampled_from(["x-tenant", "a"]), st.text(max_size=6)), max_size=3),
    st.sampled_from(PATHS),
    st.sampled_from(PATHS),
)
def test_no_metadata_breaks_the_reading(
    metadata: dict[str, Any],
    extensions: dict[str, str],
    principal: str,
    headers: list[tuple[str, str]],
    tenant: str,
    sub: str,
) -> None:
    sources = [
        {"type": "certificate"},
        {"type": "jwt", "tenant": tenant, "principal": sub, "failure": "failed"},
        {"type": "context_extensions", "principal": "who", "verified": True},
        {"type": "header", "set_by_gateway": True, "tenant": "x-tenant"},
    ]
    wire = {namespace: structs(content) for namespace, content in metadata.items()}
    evidence = WireEvidence(principal, extensions, wire, Headers(headers))
    before = {namespace: struct.SerializeToString(deterministic=True) for namespace, struct in wire.items()}
    found = called(Identity(identity(sources)), evidence)
    if isinstance(found, IdentityError):
        assert found.code in {"identity_invalid", "identity_conflict"}
        assert str(found).isprintable()
    else:
        for name in (found.tenant, found.principal):
            assert name is None or (0 < len(name) <= 256 and name.isprintable())
        assert not found.verified or found.principal is not None
    assert {namespace: struct.SerializeToString(deterministic=True) for namespace, struct in wire.items()} == before


@given(st.binary(max_size=120))
def test_no_bytes_that_parse_break_the_reading(data: bytes) -> None:
    context = AttributeContext()
    try:
        context.metadata_context.filter_metadata[JWT].fields["jwt_payload"].MergeFromString(data)
    except DecodeError:
        return
    settings = identity([{"type": "jwt", "tenant": "tenant.0.x", "failure": "f"}])
    asker = asker_of(context, Headers(), Identity(settings), peer="unix:", believed=True)
    assert asker.refusal is None or asker.refusal.code == "identity_invalid"


def test_a_value_without_a_kind_names_nobody() -> None:
    struct = Struct(fields={"jwt_payload": Value(struct_value=Struct(fields={"sub": Value()}))})
    evidence = WireEvidence("", {}, {JWT: struct}, Headers())
    assert Identity(identity()).caller(evidence, None) == Caller()
