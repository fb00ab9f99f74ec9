"""Recorder that captures: another one than where nothing is captured, which so costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.observe.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from guardsvc.model import Decision
    from guardsvc.observe.audit import Audit
    from guardsvc.observe.capture.capture import Capture
    from guardsvc.observe.metrics import Metrics

__all__ = ["CapturingRecorder"]


class CapturingRecorder(Recorder):
    """Records decisions, and has their operations captured.

    Args:
        metrics, methods, audit: as of ``Recorder``.
        capture: takes them.
    """

    def __init__(self, metrics: Metrics, methods: Collection[str], audit: Audit | None, capture: Capture) -> None:
        super().__init__(metrics, methods, audit)
        self._capture = capture

    async def keep(
        self,
        decisions: Sequence[Decision],
        *,
        policy_name: str,
        size: int,
        weight: int | None = None,
        deadline: float,
    ) -> bool:
        """See ``Recorder``."""
        self._capture.take(decisions, policy_name=policy_name, size=size)
        return await super().keep(decisions, policy_name=policy_name, size=size, weight=weight, deadline=deadline)
