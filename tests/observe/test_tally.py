"""A tally: what is poured equals what would have been counted one by one, and nothing waits long."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, generate_latest

from guardsvc.observe.metrics import BUCKETS, Metrics
from guardsvc.observe.tally import POUR_WITHIN, PouredHistogram, Tally

SECONDS = st.one_of(st.sampled_from(BUCKETS), st.floats(min_value=0, max_value=10))


def page(*, at_once: bool, seconds: list[tuple[str, float]]) -> str:
    registry = CollectorRegistry()
    calls = Counter("calls", "c", ["guard"], registry=registry)
    whole = PouredHistogram("whole", "w", registry=registry, buckets=BUCKETS)
    each = PouredHistogram("each", "e", ["guard"], registry=registry, buckets=BUCKETS)
    ends = Counter("ends", "e", ["guard", "outcome"], registry=registry)
    lasts = PouredHistogram("lasts", "l", ["guard"], registry=registry, buckets=BUCKETS)
    tally = Tally(BUCKETS)
    for guard, value in seconds:
        if at_once:
            tally.count(calls, (guard,))
            tally.observe(whole, (), value)
            tally.observe(each, (guard,), value)
            tally.count_timed(ends, lasts, (guard, "late" if value > 1 else "early"), value)
        else:
            calls.labels(guard).inc()
            whole.observe(value)
            each.labels(guard).observe(value)
            ends.labels(guard, "late" if value > 1 else "early").inc()
            lasts.labels(guard).observe(value)
    tally.pour()
    tally.pour()
    lines = generate_latest(registry).decode().splitlines()
    return "\n".join(line for line in lines if "_created" not in line and "_sum" not in line)


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), SECONDS), max_size=30))
def test_what_is_poured_equals_what_is_counted_one_by_one(seconds: list[tuple[str, float]]) -> None:
    assert page(at_once=True, seconds=seconds) == page(at_once=False, seconds=seconds)


def test_the_sum_is_the_sum() -> None:
    metrics = Metrics("1", process=False)
    for value in (0.5, 0.25):
        metrics.tally.observe(metrics.decision_duration, (), value)
    assert b"guardsvc_decision_duration_seconds_sum 0.75" in metrics.exposition()


def value_of(metrics: Metrics) -> float | None:
    return metrics.registry.get_sample_value("guardsvc_denials_total", {"reason": "access_denied"})


def test_without_an_event_loop_it_is_in_the_metrics_at_once() -> None:
    metrics = Metrics("1", process=False)
    metrics.tally.count(metrics.denials, ("access_denied",))
    metrics.tally.pour_soon()
    assert value_of(metrics) == 1


async def test_in_an_event_loop_it_is_in_the_metrics_soon() -> None:
    metrics = Metrics("1", process=False)
    metrics.tally.count(metrics.denials, ("access_denied",))
    metrics.tally.pour_soon()
    metrics.tally.pour_soon()
    assert value_of(metrics) is None
    await asyncio.sleep(2 * POUR_WITHIN)
    assert value_of(metrics) == 1
