"""WASM: counts what WASM guards report, in the metrics of the service."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guardsvc.observe import Metrics

__all__ = ["WasmReport"]


class WasmReport:
    """See ``guards.wasm.reports.Report``.

    Args:
        metrics: where to count.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def waited(self, seconds: float) -> None:
        """A call has waited for a thread."""
        self._metrics.tally.observe(self._metrics.wasm_queue, (), seconds)

    def trapped(self, guard: str, kind: str) -> None:
        """A call failed."""
        self._metrics.wasm_traps.labels(guard, kind).inc()

    def quarantined(self, guard: str, tenants: int) -> None:
        """A guard is not asked now."""
        self._metrics.wasm_quarantined.labels(guard).set(1 if tenants else 0)

    def variant_told(self, guard: str, arm: str, outcome: str) -> None:
        """One version of a guard that has two was asked."""
        self._metrics.wasm_variant_calls.labels(guard, arm, outcome).inc()

    def variant_took(self, guard: str, arm: str, seconds: float) -> None:
        """Such a call took so long."""
        self._metrics.wasm_variant_seconds.labels(guard, arm).observe(seconds)

    def variants_compared(self, guard: str, current: str, candidate: str, *, differs: bool) -> None:
        """Both versions have judged the same operation."""
        self._metrics.wasm_variant_compared.labels(guard, current, candidate, "yes" if differs else "no").inc()

    def variant_shed(self, guard: str) -> None:
        """The other version was not asked too."""
        self._metrics.wasm_variant_shed.labels(guard).inc()
