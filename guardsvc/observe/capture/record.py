"""Record: one operation and what was decided about it, with its payload or the digest of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from guardsvc.model import Caller, Direction, GatewayProtocol, Headers, Kind, Mode, Operation, Phase, RequestId
from guardsvc.observe.audit.canonical import canonical
from guardsvc.observe.audit.record import timestamp
from guardsvc.observe.described import cut, described

if TYPE_CHECKING:
    from guardsvc.model import Decision, GuardOutcome
    from guardsvc.observe.capture.key import CaptureKey

__all__ = [
    "Captor",
    "CapturedGap",
    "CapturedOperation",
    "Line",
    "OutcomeRecord",
    "RuleRecord",
    "SealedOperation",
    "Withheld",
    "modified_digest",
    "restored",
]

MAX_RULES = 32

Withheld = Literal["", "digests", "too_large", "elsewhere", "unreadable"]
"""Why a payload is not there: only digests are kept, it is too large, another process read it, or nobody could."""


NULL = msgspec.Raw(b"null")


class RuleRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A finding without its excerpt."""

    rule: str
    severity: str
    where: str = ""
    suppressed_by: str = ""


class OutcomeRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A guard's part."""

    guard: str
    type: str
    mode: str
    verdict: str
    reason: str | None = None
    error: str | None = None
    rules: tuple[RuleRecord, ...] = ()


class CallerRecord(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Who asked."""

    tenant: str | None = None
    principal: str | None = None
    verified: bool = False
    address: str | None = None
    source: str | None = None


class CapturedOperation(
    msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, tag_field="type", tag="operation"
):
    """An operation and its decision.

    Attributes:
        time: RFC 3339.
        reason: reason code of a denial.
        withheld: why the payload is not there.
        subject_cut: whether the subject is not the whole one.
        payload_digest: of the payload as canonical JSON, under the key of the capture.
        modified_digest: of the payload that went on in its place.
        size: bytes of the body.
        headers, payload, id, path, host, http_method: kept with full payloads only.
    """

    time: str
    decision_id: str
    worker: str = "0"
    policy: str
    policy_name: str = ""
    verdict: str
    applied: str
    mode: str
    reason: str | None = None
    guard: str | None = None
    outcomes: tuple[OutcomeRecord, ...] = ()
    protocol: str
    direction: str
    phase: str
    kind: str
    method: str
    server: str | None = None
    servers: tuple[str, ...] = ()
    subject: str | None = None
    subject_cut: bool = False
    caller: CallerRecord = CallerRecord()
    revision: str = ""
    size: int = 0
    payload_digest: str | None = None
    modified_digest: str | None = None
    withheld: Withheld = "digests"
    id: RequestId | None = None
    http_method: str = ""
    path: str = ""
    host: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    payload: msgspec.Raw = NULL


class SealedOperation(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="sealed"):
    """A ``CapturedOperation`` that only who has the key can read; ``key`` is the id of it."""

    time: str
    decision_id: str
    key: str
    sealed: str

    @property
    def bound_to(self) -> str:
        """What the sealed part belongs to."""
        return f"{self.time} {self.decision_id}"


class CapturedGap(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="gap"):
    """So many operations were lost before this line."""

    time: str
    lost: int


Line = CapturedOperation | SealedOperation | CapturedGap

_encode = msgspec.json.Encoder(enc_hook=str).encode
_encode_payload = msgspec.json.Encoder().encode


class Captor:
    """Makes lines of decisions.

    Args:
        key: seals payloads, and makes digests.
        worker: id of the worker.
        full: whether payloads and header fields are kept, sealed.
        max_bytes: of a payload that is kept.
    """

    def __init__(self, key: CaptureKey, *, worker: str, full: bool, max_bytes: int) -> None:
        self._key = key
        self._worker = worker
        self._full = full
        self._max_bytes = max_bytes

    def line(self, decision: Decision, at: float, *, policy_name: str, size: int) -> bytes:
        """The line of a decision, without its end.

        Args:
            decision: the decision.
            at: when it was made, seconds since the epoch.
            policy_name: name of the policy.
            size: bytes of the body.

        Raises:
            Exception: it cannot be written as JSON.
        """
        operation = decision.operation
        digested, payload, withheld = self._payload(decision)
        whole: dict[str, Any] = {}
        if self._full:
            names = operation.headers
            whole = {
                "id": operation.id,
                "http_method": operation.http_method,
                "path": operation.path,
                "host": operation.host,
                "headers": tuple((name, value) for name in names for value in names.all(name)),
                "payload": NULL if payload is None else msgspec.Raw(payload),
                "subject": operation.subject,
                "subject_cut": False,
            }
        captured = CapturedOperation(
            time=timestamp(at),
            worker=self._worker,
            policy_name=policy_name,
            size=size,
            payload_digest=None if digested is None else self._key.digest(digested),
            modified_digest=modified_digest(self._key, decision),
            withheld=withheld,
            **(_known(decision) | whole),
        )
        data = _encode(captured)
        if not self._full:
            return data
        sealed = SealedOperation(time=captured.time, decision_id=decision.id, key=self._key.id, sealed="")
        return _encode(msgspec.structs.replace(sealed, sealed=self._key.seal(data, sealed.bound_to)))

    def gap(self, at: float, lost: int) -> bytes:
        """The line that says how many operations were lost."""
        return _encode(CapturedGap(time=timestamp(at), lost=lost))

    def _payload(self, decision: Decision) -> tuple[bytes | None, bytes | None, Withheld]:
        """What is digested of the payload, what is kept of it, and why not all of it is."""
        if decision.digests is not None:
            return None, None, "elsewhere"
        try:
            digested = canonical(decision.operation.payload)
            if not self._full:
                return digested, None, "digests"
            # Not the digested form, in which 1.0 is 1.
            payload = _encode_payload(decision.operation.payload)
        except (TypeError, ValueError, RecursionError):
            return None, None, "unreadable"
        return (digested, None, "too_large") if len(payload) > self._max_bytes else (digested, payload, "")


def modified_digest(key: CaptureKey, decision: Decision) -> str | None:
    """The digest of the payload that goes on in place of the one that came; None where none does."""
    if decision.applied != "modify":
        return None
    return key.digest(canonical(decision.payload))


def restored(captured: CapturedOperation, protocol: GatewayProtocol) -> Operation:
    """The operation as it was asked about, by another protocol; its payload is None where it was not kept.

    Raises:
        ValueError: the record has a word that this version does not know.
    """
    caller = captured.caller
    return Operation(
        protocol=protocol,
        direction=Direction(captured.direction),
        phase=Phase(captured.phase),
        kind=Kind(captured.kind),
        method=captured.method,
        id=captured.id,
        server=captured.server,
        servers=captured.servers,
        subject=captured.subject,
        payload=msgspec.json.decode(captured.payload),
        caller=Caller(
            tenant=caller.tenant,
            principal=caller.principal,
            verified=caller.verified,
            address=caller.address,
            source=caller.source,
        ),
        headers=Headers(captured.headers),
        revision=captured.revision,
        http_method=captured.http_method,
        path=captured.path,
        host=captured.host,
    )


def _known(decision: Decision) -> dict[str, Any]:
    operation, caller = decision.operation, decision.operation.caller
    shown = described(decision)["subject"]
    return {
        "decision_id": decision.id,
        "policy": decision.policy_hash,
        "verdict": decision.verdict,
        "applied": decision.applied,
        "mode": Mode(decision.mode).value,
        "reason": decision.code,
        "guard": decision.guard,
        "outcomes": tuple(_outcome(outcome) for outcome in decision.outcomes),
        "protocol": operation.protocol.value,
        "direction": operation.direction.value,
        "phase": operation.phase.value,
        "kind": operation.kind.value,
        "method": cut(operation.method) or "",
        "server": operation.server,
        "servers": operation.servers,
        "subject": shown,
        "subject_cut": shown != operation.subject,
        "caller": CallerRecord(
            tenant=caller.tenant,
            principal=caller.principal,
            verified=caller.verified,
            address=caller.address,
            source=caller.source,
        ),
        "revision": operation.revision,
    }


def _outcome(outcome: GuardOutcome) -> OutcomeRecord:
    return OutcomeRecord(
        guard=outcome.guard,
        type=outcome.type,
        mode=Mode(outcome.mode).value,
        verdict=outcome.verdict,
        reason=outcome.code,
        error=None if outcome.error is None else outcome.error.value,
        rules=tuple(
            RuleRecord(finding.rule, str(finding.severity), finding.where, finding.suppressed_by)
            for finding in outcome.findings[:MAX_RULES]
        ),
    )
