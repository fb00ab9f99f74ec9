"""Metrics: every series the service exposes, each label drawn from a bounded set."""

from __future__ import annotations

import platform
from typing import Any, TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase

from guardsvc.observe.tally import PouredHistogram, Tally

__all__ = ["Metrics"]

M = TypeVar("M", bound=MetricWrapperBase)

BUCKETS = (
    50e-6,
    100e-6,
    200e-6,
    400e-6,
    800e-6,
    1.6e-3,
    3.2e-3,
    6.4e-3,
    12.8e-3,
    25e-3,
    50e-3,
    0.1,
    0.25,
    0.5,
    1.0,
)
"""Upper bounds in seconds, from what a native guard takes to what a gateway waits for."""


class Metrics:
    """The metrics of one process, in a registry of its own.

    Args:
        version: of guardsvc, for ``guardsvc_build_info``.
        process: whether to add the process's and the garbage collector's own metrics.

    Attributes:
        tally: what is counted for each decision, on its way into the metrics.
    """

    def __init__(self, version: str, *, process: bool = True) -> None:
        self.registry = CollectorRegistry()
        self.tally = Tally(BUCKETS)
        self._own: list[tuple[MetricWrapperBase, tuple[str, ...]]] = []
        self._whole: list[MetricWrapperBase] = []
        if process:
            ProcessCollector(registry=self.registry)
            GCCollector(registry=self.registry)
        self.decisions = self._counter(
            "decisions_total",
            "Decisions, by gateway protocol, phase, method (`_other` for unknown ones), verdict and policy mode.",
            "protocol",
            "phase",
            "method",
            "verdict",
            "mode",
        )
        self.denials = self._counter(
            "denials_total",
            "Refused operations by reason code (`_other` for those of third-party guards).",
            "reason",
        )
        self.decision_duration = self._histogram(
            "decision_duration_seconds", "Time from the interpreted operation to its decision."
        )
        self.guard_evaluations = self._counter(
            "guard_evaluations_total",
            "Evaluations by guard, tier and outcome: allow, deny, modify, pending, error, or would_… in shadow mode.",
            "guard",
            "tier",
            "outcome",
        )
        self.guard_duration = self._histogram("guard_duration_seconds", "Time a guard took to answer.", "guard")
        self.guard_errors = self._counter(
            "guard_errors_total",
            "Evaluations in which a guard could not answer, by kind of error.",
            "guard",
            "kind",
        )
        self.suppressed = self._counter(
            "findings_suppressed_total",
            "Findings that the policy sets aside, by the exception's id.",
            "exception",
        )
        self.exceptions = self._gauge(
            "exceptions", "Exceptions of the policy in force, by state: active or expired.", "state", whole=True
        )
        self.faults = self._counter(
            "gateway_faults_total",
            "Calls ended with an error status because guardsvc itself failed.",
            "service",
        )
        self.audit_records = self._counter(
            "audit_records_total",
            "Audit records by result: written; dropped, as the queue was full; withdrawn, as a decision that needed "
            "its record became a denial; unwritten when the process ended.",
            "result",
        )
        self.audit_queue = self._gauge("audit_queue", "Audit records that wait to be written.")
        self.audit_lag = self._gauge(
            "audit_lag_seconds", "Age of the oldest audit record that waits to be written.", mode="livemax"
        )
        self.audit_broken = self._gauge("audit_broken", "1 while the audit cannot be written.")
        self.capture_records = self._counter(
            "capture_records_total",
            "Captured operations by result: written; dropped, as the queue was full; failed, as the file could not be "
            "written; unwritten when the process ended.",
            "result",
        )
        self.unbelieved = self._counter(
            "unbelieved_calls_total",
            "Calls from peers that are not believed when they name a caller, by listener.",
            "listener",
        )
        self.uncorrelated = self._counter(
            "uncorrelated_responses_total",
            "Responses that belong to no request that was allowed, by cause: the context is missing or invalid, or the "
            "answer is another request's (other_request).",
            "cause",
        )
        self.tls_reloads = self._counter(
            "tls_reloads_total",
            "Changed files of a listener's certificate by result: loaded or failed.",
            "listener",
            "result",
        )
        self.tls_stale = self._gauge(
            "tls_stale", "1 while a listener's files cannot be used and it goes on with those of before.", "listener"
        )
        self.tls_expires = self._gauge(
            "tls_certificate_expires_timestamp_seconds",
            "When the certificate that a listener uses expires, seconds since the epoch.",
            "listener",
            mode="livemin",
        )
        self.policy_reloads = self._counter(
            "policy_reloads_total", "Reloads by result: loaded, unchanged or failed.", "result", whole=True
        )
        self.policy_stale = self._gauge(
            "policy_stale",
            "1 while the policy in force is older than a configuration that could not be loaded.",
            whole=True,
        )
        self.policy_loaded = self._gauge(
            "policy_loaded_timestamp_seconds",
            "When the policy in force was loaded, seconds since the epoch.",
            whole=True,
        )
        self.inflight = self._gauge("inflight", "Decisions under way.")
        self.shed = self._counter(
            "shed_total",
            "Calls refused unread since there was no room, by limit: decisions, bytes, streams, unread, memory or "
            "large_bodies.",
            "limit",
        )
        self.session_evictions = self._counter(
            "session_evictions_total",
            "Sessions in memory that a guard forgot before their time, by the bound that left no room: max_sessions or "
            "max_per_principal. Whoever uses such a session next owns it.",
            "guard",
            "bound",
        )
        self.pins = self._gauge(
            "baseline_pins",
            "Pinned definitions of all tenants by guard, server (`_other` for those that the policy does not name) and "
            "state: learning, approved, or changed while the server shows something else. Counted every 30 seconds.",
            "guard",
            "server",
            "state",
            mode="livemax",
        )
        self.streams = self._gauge("ext_proc_streams", "Streams of ext_proc under way, one for each HTTP exchange.")
        self.held_bytes = self._gauge("held_bytes", "Bytes of the messages of calls under way.")
        self.judge_restarts = self._counter(
            "judge_restarts_total", "Processes for large bodies that were ended or lost, and replaced."
        )
        self.wasm_traps = self._counter(
            "wasm_traps_total",
            "Calls of WASM guards that ended without a verdict, by kind of failure (docs/guards/wasm.md).",
            "guard",
            "kind",
        )
        self.wasm_quarantined = self._gauge(
            "wasm_quarantined",
            "Workers in which a WASM guard that kept failing is not asked now, by any tenant or by all.",
            "guard",
        )
        self.wasm_queue = self._histogram("wasm_queue_seconds", "Time that calls of WASM guards waited for a thread.")
        self.wasm_variant_calls = self._counter(
            "wasm_variant_calls_total",
            "What versions of a WASM guard with a candidate said, by arm (current or candidate) and outcome: none "
            "where it judges no such operation, allow, warn, modify, deny or error.",
            "guard",
            "arm",
            "outcome",
        )
        self.wasm_variant_seconds = self._histogram(
            "wasm_variant_seconds", "Time that such calls took in their thread, by arm.", "guard", "arm"
        )
        self.wasm_variant_compared = self._counter(
            "wasm_variant_compared_total",
            "Operations that both versions judged, by what each said and whether they differ.",
            "guard",
            "current",
            "candidate",
            "differs",
        )
        self.wasm_variant_shed = self._counter(
            "wasm_variant_shed_total",
            "Operations of the share that one version did not judge for comparison, as threads were busy.",
            "guard",
        )
        self.workers = self._gauge(
            "workers", "Workers, where there are several, by state: starting, serving or down.", "state", whole=True
        )
        self.worker_restarts = self._counter(
            "worker_restarts_total",
            "Workers started in place of one that ended, was killed because it hung, or did not start.",
            "worker",
            "reason",
            whole=True,
        )
        self.worker_decisions = self._counter(
            "worker_decisions_total", "Decisions by worker, where there are several.", "worker", whole=True
        )
        self.build_info = self._gauge(
            "build_info", "1, with the versions in its labels.", "version", "python", whole=True
        )
        self.build_info.labels(version, platform.python_version()).set(1)
        for metric, values in (
            (self.exceptions, ("active", "expired")),
            (self.policy_reloads, ("loaded", "unchanged", "failed")),
            (self.shed, ("decisions", "bytes", "streams", "unread", "memory", "large_bodies")),
            (self.uncorrelated, ("missing", "invalid", "other_request")),
            (self.audit_records, ("written", "dropped", "withdrawn", "unwritten")),
            (self.capture_records, ("written", "dropped", "failed", "unwritten")),
        ):
            for value in values:
                metric.labels(value)

    def exposition(self) -> bytes:
        """The Prometheus text format."""
        self.tally.pour()
        return generate_latest(self.registry)

    def own(self) -> list[tuple[MetricWrapperBase, tuple[str, ...]]]:
        """The metrics of guardsvc itself with their labels, in the order they are declared."""
        return list(self._own)

    def whole(self) -> list[MetricWrapperBase]:
        """The metrics of the service as a whole: the supervisor's, where there are workers."""
        return list(self._whole)

    def _counter(self, name: str, text: str, *labels: str, whole: bool = False) -> Counter:
        counter = Counter(name, text, labels, namespace="guardsvc", registry=self.registry)
        return self._declare(counter, labels, whole=whole)

    def _gauge(self, name: str, text: str, *labels: str, whole: bool = False, mode: Any = "livesum") -> Gauge:
        """A gauge, which is the sum over the workers that run unless it is of the service as a whole."""
        gauge = Gauge(name, text, labels, namespace="guardsvc", registry=self.registry, multiprocess_mode=mode)
        return self._declare(gauge, labels, whole=whole)

    def _histogram(self, name: str, text: str, *labels: str) -> PouredHistogram:
        histogram = PouredHistogram(name, text, labels, namespace="guardsvc", registry=self.registry, buckets=BUCKETS)
        return self._declare(histogram, labels)

    def _declare(self, metric: M, labels: tuple[str, ...], *, whole: bool = False) -> M:
        if whole:
            self._whole.append(metric)
        self._own.append((metric, labels))
        return metric
