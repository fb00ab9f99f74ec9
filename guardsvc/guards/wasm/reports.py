"""Reports: what the tier tells whoever counts it. Guards know no metrics; the server listens."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Report", "Silent", "listen", "report"]


class Report(Protocol):
    """Listens. Called from the event loop's thread, ``trapped`` and ``variant_took`` from others too."""

    def waited(self, seconds: float) -> None:
        """A call has waited for a thread."""

    def trapped(self, guard: str, kind: str) -> None:
        """A call failed, by kind of failure."""

    def quarantined(self, guard: str, tenants: int) -> None:
        """For how many tenants a guard is not asked now."""

    def variant_told(self, guard: str, arm: str, outcome: str) -> None:
        """What came of asking one version of a guard that has two."""

    def variant_took(self, guard: str, arm: str, seconds: float) -> None:
        """Seconds that such a call took in its thread."""

    def variants_compared(self, guard: str, current: str, candidate: str, *, differs: bool) -> None:
        """Both versions have judged the same operation."""

    def variant_shed(self, guard: str) -> None:
        """The other version was not asked too, because threads were busy."""


class Silent:
    """Nobody listens."""

    def waited(self, seconds: float) -> None:
        """See ``Report``."""

    def trapped(self, guard: str, kind: str) -> None:
        """See ``Report``."""

    def quarantined(self, guard: str, tenants: int) -> None:
        """See ``Report``."""

    def variant_told(self, guard: str, arm: str, outcome: str) -> None:
        """See ``Report``."""

    def variant_took(self, guard: str, arm: str, seconds: float) -> None:
        """See ``Report``."""

    def variants_compared(self, guard: str, current: str, candidate: str, *, differs: bool) -> None:
        """See ``Report``."""

    def variant_shed(self, guard: str) -> None:
        """See ``Report``."""


_listener: list[Report] = [Silent()]


def listen(listener: Report) -> None:
    """From now on, tell this one."""
    _listener[0] = listener


def report() -> Report:
    """Who listens."""
    return _listener[0]
