"""Record: what the audit keeps of one decision, and how it is encoded."""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from guardsvc.model import Direction, Phase
from guardsvc.observe.audit.canonical import canonical
from guardsvc.observe.described import cut, described

if TYPE_CHECKING:
    from guardsvc.model import Decision, Finding, GuardOutcome, Operation
    from guardsvc.observe.audit.keys import AuditKey

__all__ = ["DecisionRecord", "Encoder", "FindingRecord", "GuardRecord", "timestamp"]

MAX_ARGUMENTS = 64 << 10
"""Bytes of arguments that a record holds at most."""
MAX_FINDINGS = 32
MAX_THREATS = 16
SESSION_HEADER = "mcp-session-id"
REQUEST_ID_HEADER = "x-request-id"
_LISTINGS = frozenset({Phase.TOOLS_LIST, Phase.PROMPTS_LIST, Phase.RESOURCES_LIST})

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")
"""W3C Trace Context, version 00 and whatever later versions put behind it."""


def _meaning(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


class FindingRecord(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One finding of a guard."""

    rule: Annotated[str | None, _meaning("id of the rule, unique in its guard")]
    severity: Annotated[str, _meaning("info, low, medium, high or critical")]
    where: Annotated[str | None, _meaning("JSON pointer into the payload; empty for the whole")] = ""
    tool: Annotated[str | None, _meaning("the tool it points into, by the name that a tools list shows")] = None
    threats: Annotated[tuple[str, ...], _meaning("threat ids")] = ()
    excerpt: Annotated[
        str | None,
        _meaning("what matched, masked: in what a server lists, elsewhere with `include_arguments: true` only"),
    ] = ""
    suppressed_by: Annotated[str | None, _meaning("id of the exception that sets the finding aside")] = ""


class GuardRecord(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One guard's part."""

    guard: Annotated[str, _meaning("id in the policy")]
    type: Annotated[str, _meaning("type of guard")]
    tier: Annotated[str, _meaning("native, wasm or http")]
    mode: Annotated[str, _meaning("enforce, or shadow: evaluated and not applied")]
    verdict: Annotated[str, _meaning("what it said, or what its failure mode made of a failure")]
    duration_us: Annotated[int, _meaning("microseconds it took")]
    reason: Annotated[str | None, _meaning("reason code of its denial")] = None
    error: Annotated[str | None, _meaning("kind of error where it could not answer; the log has its text")] = None
    findings: Annotated[list[FindingRecord], _meaning("what it noticed, at most 32")] = []


class DecisionRecord(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="type", tag="decision"):
    """One decision. Members without a value are left out."""

    time: Annotated[str, _meaning("when it was decided: RFC 3339, UTC, milliseconds")]
    decision_id: Annotated[str, _meaning("id that client, server and gateway see too")]
    worker: Annotated[str, _meaning("worker that decided")]
    verdict: Annotated[str, _meaning("allow, deny, modify or pending")]
    applied: Annotated[str, _meaning("what the gateway was told; allow whatever the verdict under `mode: shadow`")]
    mode: Annotated[str, _meaning("mode of the policy: enforce or shadow")]
    reason: Annotated[str | None, _meaning("reason code, where denied or pending")] = None
    guard: Annotated[str | None, _meaning("guard that denied or asked for approval, where it was one")] = None
    detail: Annotated[
        str | None, _meaning("where a message could not be read, or which limit a shed call is beyond")
    ] = None
    refused_with: Annotated[
        str | None, _meaning("id of another decision about the same request, which kept all of it from passing")
    ] = None
    tenant: Annotated[str | None, _meaning("tenant of the caller")] = None
    principal: Annotated[str | None, _meaning("principal of the caller")] = None
    verified: Annotated[bool, _meaning("whether the gateway proved the identity and is trusted itself")]
    source: Annotated[str | None, _meaning("kind of source that names the caller")] = None
    address: Annotated[str | None, _meaning("network address of the client as the gateway saw it")] = None
    session: Annotated[str | None, _meaning("digest of the `Mcp-Session-Id` header")] = None
    request_state: Annotated[str | None, _meaning("digest of the state handle of a retry, `params.requestState`")] = (
        None
    )
    protocol: Annotated[str, _meaning("gateway protocol")]
    direction: Annotated[str, _meaning("request or response")]
    phase: Annotated[str, _meaning("point of the exchange")]
    kind: Annotated[str, _meaning("request, notification, result, error, or transport")]
    method: Annotated[str | None, _meaning("JSON-RPC method, or `http/…`")]
    server: Annotated[str | None, _meaning("canonical name of the MCP server")] = None
    servers: Annotated[tuple[str, ...], _meaning("the servers it may reach, where it is not a single one")] = ()
    subject: Annotated[
        str | None, _meaning("tool, prompt or resource; of a URI neither user information nor query")
    ] = None
    subject_kind: Annotated[str | None, _meaning("tool, prompt or resource")] = None
    revision: Annotated[str, _meaning("MCP protocol revision")] = ""
    arguments_digest: Annotated[str | None, _meaning("digest of the arguments as canonical JSON")] = None
    arguments: Annotated[
        msgspec.Raw | None, _meaning("the arguments, with `include_arguments: true` and up to 64 KiB")
    ] = None
    result_digest: Annotated[str | None, _meaning("digest of a response's payload as canonical JSON")] = None
    size: Annotated[int, _meaning("bytes of the body that the gateway showed")] = 0
    rules: Annotated[list[str] | None, _meaning("rules of the findings of all guards, at most 16")] = None
    threats: Annotated[list[str], _meaning("threat ids of all findings, at most 16")] = []
    guards: Annotated[list[GuardRecord], _meaning("every guard that ran, in order")] = []
    earlier: Annotated[
        list[FindingRecord], _meaning("findings that a caller of GuardService brings with it, at most 32")
    ] = []
    policy: Annotated[str, _meaning("hash of the policy")]
    policy_name: Annotated[str, _meaning("name of the policy")] = ""
    duration_us: Annotated[int, _meaning("microseconds from the interpreted operation to the decision")]
    trace_id: Annotated[str | None, _meaning("of `traceparent`, the header or the member of `params._meta`")] = None
    span_id: Annotated[str | None, _meaning("of the same")] = None
    request_id: Annotated[str | None, _meaning("the `x-request-id` header")] = None


_encode = msgspec.json.Encoder(enc_hook=str).encode


class Encoder:
    """Encodes decisions.

    Args:
        worker: id of the worker.
        key: for digests.
        include_arguments: whether records hold arguments as they are.
    """

    def __init__(self, worker: str, key: AuditKey, *, include_arguments: bool) -> None:
        self._worker = worker
        self._key = key
        self._include_arguments = include_arguments

    def encode(
        self, decision: Decision, at: float, *, policy_name: str, size: int, refused_with: str | None = None
    ) -> bytes:
        """The record of a decision. Never raises: what cannot be encoded is left out.

        Args:
            decision: the decision.
            at: when it was made, seconds since the epoch.
            policy_name: name of the policy.
            size: bytes of the body.
            refused_with: id of another decision, which keeps the request of both from passing.
        """
        try:
            return _encode(self._record(decision, at, policy_name, size, refused_with))
        except Exception as error:
            # A guard may hand over text that is no Unicode, or a thing that is no text.
            return _encode(
                {
                    "type": "decision",
                    "time": timestamp(at),
                    "decision_id": _plain(decision.id),
                    "worker": self._worker,
                    "verdict": decision.verdict,
                    "applied": decision.applied,
                    "mode": decision.mode.value,
                    "reason": _plain(decision.code),
                    "policy": decision.policy_hash,
                    "incomplete": _plain(f"{type(error).__name__}: {error}"),
                }
            )

    def _record(
        self, decision: Decision, at: float, policy_name: str, size: int, refused_with: str | None
    ) -> DecisionRecord:
        operation = decision.operation
        headers = operation.headers
        payload = operation.payload if type(operation.payload) is dict else {}
        session = headers.get(SESSION_HEADER)
        state = payload.get("requestState")
        findings = decision.findings
        trace = _trace(headers.get("traceparent"), payload)
        quoted = self._include_arguments or _is_listing(operation)
        return DecisionRecord(
            **described(decision),
            **(self.digests(operation) if decision.digests is None else decision.digests),
            time=timestamp(at),
            worker=self._worker,
            mode=decision.mode,
            refused_with=refused_with,
            source=operation.caller.source,
            address=cut(operation.caller.address),
            session=self._key.session.hex(session.encode("utf-8", "surrogatepass")) if session else None,
            request_state=self._key.session.hex(state.encode("utf-8", "surrogatepass")) if type(state) is str else None,
            direction=operation.direction,
            kind=operation.kind,
            servers=() if operation.server is not None else operation.servers,
            subject_kind=operation.subject_kind,
            revision=operation.revision,
            size=size,
            threats=sorted({threat for finding in findings for threat in finding.threats})[:MAX_THREATS]
            if findings
            else [],
            guards=[_guard(outcome, operation, quoted=quoted) for outcome in decision.outcomes],
            earlier=[_finding(finding, operation, quoted=quoted) for finding in decision.earlier[:MAX_FINDINGS]]
            if decision.earlier
            else [],
            policy_name=policy_name,
            duration_us=round(decision.duration * 1e6),
            trace_id=trace[0],
            span_id=trace[1],
            request_id=cut(headers.get(REQUEST_ID_HEADER)),
        )

    def digests(self, operation: Operation) -> dict[str, Any]:
        """The members of a record that digest or hold the payload of an operation."""
        payload = operation.payload if type(operation.payload) is dict else {}
        if operation.direction is Direction.RESPONSE:
            if operation.payload is None:
                return {}
            return {"result_digest": self._key.argument.hex(canonical(operation.payload))}
        arguments = payload.get("arguments")
        if arguments is None:
            return {}
        encoded = canonical(arguments)
        digest = self._key.argument.hex(encoded)
        if not self._include_arguments or len(encoded) > MAX_ARGUMENTS:
            return {"arguments_digest": digest}
        return {"arguments_digest": digest, "arguments": msgspec.Raw(encoded)}


def timestamp(at: float) -> str:
    """RFC 3339 in UTC with milliseconds, for seconds since the epoch."""
    seconds, milliseconds = divmod(int(at * 1000), 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _is_listing(operation: Operation) -> bool:
    """Whether the payload is what a server says of itself, no call's arguments or results."""
    return operation.direction is Direction.RESPONSE and operation.phase in _LISTINGS


def _guard(outcome: GuardOutcome, operation: Operation, *, quoted: bool) -> GuardRecord:
    return GuardRecord(
        guard=outcome.guard,
        type=outcome.type,
        tier=outcome.tier,
        mode=outcome.mode,
        verdict=outcome.verdict,
        reason=outcome.code,
        error=outcome.error,
        findings=[_finding(finding, operation, quoted=quoted) for finding in outcome.findings[:MAX_FINDINGS]]
        if outcome.findings
        else [],
        duration_us=round(outcome.duration * 1e6),
    )


def _finding(finding: Finding, operation: Operation, *, quoted: bool) -> FindingRecord:
    return FindingRecord(
        rule=cut(finding.rule),
        severity=finding.severity,
        where=cut(finding.where),
        tool=cut(operation.listed_tool(finding.where)),
        threats=finding.threats[:MAX_THREATS],
        excerpt=cut(finding.excerpt) if quoted else "",
        suppressed_by=cut(finding.suppressed_by),
    )


def _trace(header: str | None, payload: dict[str, Any]) -> tuple[str | None, str | None]:
    if header is None:
        meta = payload.get("_meta")
        header = meta.get("traceparent") if type(meta) is dict else None
        if type(header) is not str:
            return None, None
    found = _TRACEPARENT.match(header)
    return (found[1], found[2]) if found else (None, None)


def _plain(text: str | None) -> str | None:
    return None if text is None else text.encode("ascii", "backslashreplace").decode()[:256]
