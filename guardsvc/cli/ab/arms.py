"""Arms: what is known of the versions of one guard, from whatever source."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ARMS", "OUTCOMES", "Arm", "Arms", "Guards"]

ARMS = ("current", "candidate")
OUTCOMES = ("none", "allow", "warn", "modify", "deny", "error")
MICRO = 1_000_000


@dataclass
class Arm:
    """One version.

    Attributes:
        outcomes: how often it said what.
        times: exact times in microseconds, where they are known.
        buckets: counts of times up to a bound in seconds, not of lower bounds too, where only these are known.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    times: list[int] = field(default_factory=list)
    buckets: Counter[float] = field(default_factory=Counter)

    def described(self) -> dict[str, Any]:
        """The arm for a report; times are None where they are beyond the last bound."""
        calls = sum(self.outcomes.values())
        exact = bool(self.times)
        timed = len(self.times) or sum(self.buckets.values())
        at: Callable[[float], int | None] = self._exactly if exact else self._at_most
        return {
            "calls": calls,
            "outcomes": {name: self.outcomes[name] for name in OUTCOMES},
            "errors": self.outcomes["error"] / calls if calls else None,
            "timed": timed,
            "exact": exact,
            "p50_us": at(0.5) if timed else None,
            "p99_us": at(0.99) if timed else None,
        }

    def _exactly(self, share: float) -> int:
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def _at_most(self, share: float) -> int | None:
        """The upper bound of the bucket that the quantile is in."""
        left = share * sum(self.buckets.values())
        for bound, count in sorted(self.buckets.items()):
            left -= count
            if left <= 0:
                return None if bound == float("inf") else round(bound * MICRO)
        return None


@dataclass
class Arms:
    """The versions of one guard.

    Attributes:
        arms: by name.
        compared: how often both judged the same operation, by what each said and whether that differs; None where the
            source does not know.
        shed: how often one of them did not, for load.
    """

    arms: dict[str, Arm] = field(default_factory=lambda: {name: Arm() for name in ARMS})
    compared: Counter[tuple[str, str, bool]] | None = None
    shed: int = 0

    def described(self) -> dict[str, Any]:
        """The guard for a report."""
        told: dict[str, Any] = {"arms": {name: arm.described() for name, arm in self.arms.items()}}
        if self.compared is not None:
            differences = Counter({key: count for key, count in self.compared.items() if key[2]})
            told["compared"] = sum(self.compared.values())
            told["differ"] = sum(differences.values())
            told["shed"] = self.shed
            told["differences"] = [
                {"current": current, "candidate": candidate, "calls": count}
                for (current, candidate, _), count in differences.most_common()
            ]
        return told


Guards = dict[str, Arms]
