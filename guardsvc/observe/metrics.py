"""Metrics: every series the service exposes, each label drawn from a bounded set."""

from __future__ import annotations

import platform
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics import MetricWrapperBase

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
    """

    def __init__(self, version: str, *, process: bool = True) -> None:
        self.registry = CollectorRegistry()
        self._own: list[tuple[MetricWrapperBase, tuple[str, ...]]] = []
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
        self.faults = self._counter(
            "gateway_faults_total",
            "Calls ended with an error status because guardsvc itself failed.",
            "service",
        )
        self.policy_reloads = self._counter(
            "policy_reloads_total", "Reloads by result: loaded, unchanged or failed.", "result"
        )
        self.policy_stale = self._gauge(
            "policy_stale",
            "1 while the policy in force is older than a configuration that could not be loaded.",
        )
        self.policy_loaded = self._gauge(
            "policy_loaded_timestamp_seconds", "When the policy in force was loaded, seconds since the epoch."
        )
        self.inflight = self._gauge("inflight", "Decisions under way.")
        self.build_info = self._gauge("build_info", "1, with the versions in its labels.", "version", "python")
        self.build_info.labels(version, platform.python_version()).set(1)
        for result in ("loaded", "unchanged", "failed"):
            self.policy_reloads.labels(result)

    def exposition(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)

    def own(self) -> list[tuple[MetricWrapperBase, tuple[str, ...]]]:
        """The metrics of guardsvc itself with their labels, in the order they are declared."""
        return list(self._own)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return self._declare(Counter(name, text, labels, namespace="guardsvc", registry=self.registry), labels)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return self._declare(Gauge(name, text, labels, namespace="guardsvc", registry=self.registry), labels)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        histogram = Histogram(name, text, labels, namespace="guardsvc", registry=self.registry, buckets=BUCKETS)
        return self._declare(histogram, labels)

    def _declare(self, metric: M, labels: tuple[str, ...]) -> M:
        self._own.append((metric, labels))
        return metric
