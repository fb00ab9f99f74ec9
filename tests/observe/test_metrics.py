"""The metrics by name and label, as dashboards and alerts know them."""

from __future__ import annotations

import platform

import pytest
from prometheus_client.parser import text_string_to_metric_families

from guardsvc.model import REASONS, ErrorKind, Finding, GatewayProtocol, Mode, Phase, Severity, Tier
from guardsvc.observe import Metrics, Recorder
from tests.observe.decisions import decision, operation, outcome

WITH_WORKERS_ONLY = {
    "guardsvc_workers": ("gauge", {"state"}),
    "guardsvc_worker_restarts_total": ("counter", {"worker", "reason"}),
    "guardsvc_worker_decisions_total": ("counter", {"worker"}),
}
NAMES = {
    "guardsvc_decisions_total": ("counter", {"protocol", "phase", "method", "verdict", "mode"}),
    "guardsvc_denials_total": ("counter", {"reason"}),
    "guardsvc_decision_duration_seconds": ("histogram", set()),
    "guardsvc_guard_evaluations_total": ("counter", {"guard", "tier", "outcome"}),
    "guardsvc_guard_duration_seconds": ("histogram", {"guard"}),
    "guardsvc_guard_errors_total": ("counter", {"guard", "kind"}),
    "guardsvc_findings_suppressed_total": ("counter", {"exception"}),
    "guardsvc_exceptions": ("gauge", {"state"}),
    "guardsvc_gateway_faults_total": ("counter", {"service"}),
    "guardsvc_audit_records_total": ("counter", {"result"}),
    "guardsvc_audit_queue": ("gauge", set()),
    "guardsvc_capture_records_total": ("counter", {"result"}),
    "guardsvc_audit_lag_seconds": ("gauge", set()),
    "guardsvc_audit_broken": ("gauge", set()),
    "guardsvc_unbelieved_calls_total": ("counter", {"listener"}),
    "guardsvc_uncorrelated_responses_total": ("counter", {"cause"}),
    "guardsvc_tls_reloads_total": ("counter", {"listener", "result"}),
    "guardsvc_tls_stale": ("gauge", {"listener"}),
    "guardsvc_tls_certificate_expires_timestamp_seconds": ("gauge", {"listener"}),
    "guardsvc_policy_reloads_total": ("counter", {"result"}),
    "guardsvc_policy_stale": ("gauge", set()),
    "guardsvc_policy_loaded_timestamp_seconds": ("gauge", set()),
    "guardsvc_baseline_pins": ("gauge", {"guard", "server", "state"}),
    "guardsvc_ext_proc_streams": ("gauge", set()),
    "guardsvc_inflight": ("gauge", set()),
    "guardsvc_shed_total": ("counter", {"limit"}),
    "guardsvc_session_evictions_total": ("counter", {"guard", "bound"}),
    "guardsvc_held_bytes": ("gauge", set()),
    "guardsvc_judge_restarts_total": ("counter", set()),
    "guardsvc_wasm_traps_total": ("counter", {"guard", "kind"}),
    "guardsvc_wasm_quarantined": ("gauge", {"guard"}),
    "guardsvc_wasm_queue_seconds": ("histogram", set()),
    "guardsvc_wasm_variant_calls_total": ("counter", {"guard", "arm", "outcome"}),
    "guardsvc_wasm_variant_seconds": ("histogram", {"guard", "arm"}),
    "guardsvc_wasm_variant_compared_total": ("counter", {"guard", "current", "candidate", "differs"}),
    "guardsvc_wasm_variant_shed_total": ("counter", {"guard"}),
    "guardsvc_build_info": ("gauge", {"version", "python"}),
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("1.2.3", process=False)


@pytest.fixture
def recorder(metrics: Metrics) -> Recorder:
    return Recorder(metrics, {"tools/call", "ping", "http/get_stream"})


def exposed(metrics: Metrics) -> dict[str, tuple[str, set[str]]]:
    """Kind and labels of each metric, by the name under which it is queried."""
    found: dict[str, tuple[str, set[str]]] = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            counter = family.type == "counter"
            labels = set(sample.labels) - {"le"}
            found.setdefault(sample.name if counter else family.name, (family.type, set()))[1].update(labels)
    return found


def samples(metrics: Metrics, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_names_kinds_and_labels(metrics: Metrics, recorder: Recorder) -> None:
    findings = (Finding(rule="r", severity=Severity.LOW, suppressed_by="known"),)
    failed = outcome("list", verdict="deny", error=ErrorKind.TIMEOUT, code="guard_timeout", findings=findings)
    recorder.record(decision("deny", failed))
    recorder.fault("envoy.service.auth.v3.Authorization")
    metrics.unbelieved.labels("default")
    metrics.tls_reloads.labels("default", "loaded")
    metrics.tls_stale.labels("default")
    metrics.tls_expires.labels("default")
    metrics.wasm_traps.labels("list", "deadline")
    metrics.wasm_quarantined.labels("list")
    metrics.wasm_variant_calls.labels("list", "current", "allow")
    metrics.wasm_variant_seconds.labels("list", "current")
    metrics.wasm_variant_compared.labels("list", "allow", "deny", "yes")
    metrics.wasm_variant_shed.labels("list")
    metrics.pins.labels("pins", "files", "learning")
    metrics.session_evictions.labels("auth", "max_sessions")

    assert exposed(metrics) == NAMES


def test_own_names_the_same(metrics: Metrics) -> None:
    assert {
        f"{family.name}_total" if family.type == "counter" else family.name: (family.type, set(labels))
        for metric, labels in metrics.own()
        for family in metric.describe()
    } == NAMES | WITH_WORKERS_ONLY


def test_series_that_alerts_need_exist_from_the_start(metrics: Metrics) -> None:
    assert samples(metrics, "guardsvc_policy_reloads_total") == {
        (("result", "failed"),): 0,
        (("result", "loaded"),): 0,
        (("result", "unchanged"),): 0,
    }
    assert samples(metrics, "guardsvc_inflight") == {(): 0}
    assert samples(metrics, "guardsvc_policy_stale") == {(): 0}
    assert samples(metrics, "guardsvc_build_info") == {
        (("python", platform.python_version()), ("version", "1.2.3")): 1,
    }


def test_a_decision_is_counted_once_with_its_guards(metrics: Metrics, recorder: Recorder) -> None:
    recorder.record(decision("allow", outcome("first"), outcome("second", tier=Tier.HTTP)))
    recorder.record(decision("allow", outcome("first"), outcome("second", tier=Tier.HTTP)))

    key = (
        ("method", "tools/call"),
        ("mode", "enforce"),
        ("phase", "tool_invoke"),
        ("protocol", "ext_authz"),
        ("verdict", "allow"),
    )
    assert samples(metrics, "guardsvc_decisions_total") == {key: 2}
    assert samples(metrics, "guardsvc_guard_evaluations_total") == {
        (("guard", "first"), ("outcome", "allow"), ("tier", "native")): 2,
        (("guard", "second"), ("outcome", "allow"), ("tier", "http")): 2,
    }
    assert samples(metrics, "guardsvc_guard_duration_seconds_count") == {
        (("guard", "first"),): 2,
        (("guard", "second"),): 2,
    }
    assert samples(metrics, "guardsvc_decision_duration_seconds_count") == {(): 2}
    assert samples(metrics, "guardsvc_decision_duration_seconds_sum") == {(): pytest.approx(0.002)}
    assert samples(metrics, "guardsvc_denials_total") == {}
    assert samples(metrics, "guardsvc_guard_errors_total") == {}


@pytest.mark.parametrize(
    ("verdict", "mode", "error", "counted"),
    [
        ("allow", Mode.ENFORCE, None, "allow"),
        ("deny", Mode.ENFORCE, None, "deny"),
        ("modify", Mode.ENFORCE, None, "modify"),
        ("pending", Mode.ENFORCE, None, "pending"),
        ("deny", Mode.ENFORCE, ErrorKind.TIMEOUT, "error"),
        ("allow", Mode.ENFORCE, ErrorKind.TRAP, "error"),
        ("allow", Mode.SHADOW, None, "allow"),
        ("deny", Mode.SHADOW, None, "would_deny"),
        ("modify", Mode.SHADOW, None, "would_modify"),
        ("pending", Mode.SHADOW, None, "would_pending"),
        ("deny", Mode.SHADOW, ErrorKind.EXCEPTION, "error"),
    ],
)
def test_outcomes_of_guards(
    metrics: Metrics, recorder: Recorder, verdict: str, mode: Mode, error: ErrorKind | None, counted: str
) -> None:
    recorder.record(decision("allow", outcome(verdict=verdict, mode=mode, error=error)))

    assert samples(metrics, "guardsvc_guard_evaluations_total") == {
        (("guard", "list"), ("outcome", counted), ("tier", "native")): 1,
    }
    expected = {(("guard", "list"), ("kind", error.value)): 1} if error else {}
    assert samples(metrics, "guardsvc_guard_errors_total") == expected


def test_a_guard_that_changes_its_tier_by_reload_is_counted_under_the_new_one(
    metrics: Metrics, recorder: Recorder
) -> None:
    recorder.record(decision("allow", outcome("one")))
    recorder.record(decision("allow", outcome("one", tier=Tier.HTTP)))

    assert {dict(key)["tier"] for key in samples(metrics, "guardsvc_guard_evaluations_total")} == {"native", "http"}


def test_methods_that_nobody_knows_share_one_label(metrics: Metrics, recorder: Recorder) -> None:
    for number in range(1_000):
        recorder.record(decision("allow", operation=operation(method=f"evil/{number}\n")))
    recorder.record(decision("allow", operation=operation(method="")))
    recorder.record(decision("allow", operation=operation(method="ping")))

    counted = samples(metrics, "guardsvc_decisions_total")
    assert {dict(key)["method"]: value for key, value in counted.items()} == {"_other": 1_001, "ping": 1}


def test_reasons_of_third_parties_share_one_label(metrics: Metrics, recorder: Recorder) -> None:
    for number in range(1_000):
        recorder.record(decision("deny", code=f"made_up_{number}"))
    for code in REASONS:
        recorder.record(decision("deny", code=code))
    recorder.record(decision("pending", code="approval_required"))

    counted = {dict(key)["reason"]: value for key, value in samples(metrics, "guardsvc_denials_total").items()}
    assert counted == {**dict.fromkeys(REASONS, 1), "_other": 1_000, "approval_required": 2}


def test_series_stay_bounded_whatever_clients_send(metrics: Metrics, recorder: Recorder) -> None:
    for number in range(1_000):
        hostile = operation(
            method=f"m{number}", subject=f"s{number}", server=None, id=number, revision=f"r{number}", path=f"/{number}"
        )
        recorder.record(decision("deny", outcome(verdict="deny", code=f"c{number}"), operation=hostile, id=str(number)))

    series = [line for line in metrics.exposition().splitlines() if not line.startswith(b"#")]
    assert len(series) < 120


def test_protocols_and_phases_are_labels_as_they_are_called(metrics: Metrics, recorder: Recorder) -> None:
    for protocol in GatewayProtocol:
        for phase in Phase:
            recorder.record(decision("allow", operation=operation(protocol=protocol, phase=phase)))

    keys = [dict(key) for key in samples(metrics, "guardsvc_decisions_total")]
    assert {key["protocol"] for key in keys} == {protocol.value for protocol in GatewayProtocol}
    assert {key["phase"] for key in keys} == {phase.value for phase in Phase}


def test_inflight_counts_and_forgets_also_on_errors(metrics: Metrics, recorder: Recorder) -> None:
    with recorder.inflight(), recorder.inflight():
        assert samples(metrics, "guardsvc_inflight") == {(): 2}
    with pytest.raises(KeyError), recorder.inflight():
        raise KeyError
    assert samples(metrics, "guardsvc_inflight") == {(): 0}


def test_two_processes_in_one_keep_apart() -> None:
    first, second = Metrics("1"), Metrics("2")
    first.policy_stale.set(1)

    assert samples(second, "guardsvc_policy_stale") == {(): 0}
    assert b"process_cpu_seconds_total" in first.exposition()


def test_findings_that_are_set_aside_are_counted_by_their_exception(metrics: Metrics, recorder: Recorder) -> None:
    def found(by: str) -> Finding:
        return Finding(rule="r", severity=Severity.HIGH, suppressed_by=by)

    recorder.record(decision("allow", outcome("g", findings=(found("known"), found(""), found("other")))))
    recorder.record(decision("deny", outcome("g", findings=(found("known"),)), earlier=(found("another's"),)))

    assert samples(metrics, "guardsvc_findings_suppressed_total") == {
        (("exception", "known"),): 2,
        (("exception", "other"),): 1,
    }
