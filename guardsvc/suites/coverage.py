"""Coverage: which guards and rules the cases have made speak, and which never did."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from guardsvc.policy import BoundGuard
    from guardsvc.suites.observe import Observed

__all__ = ["Coverage", "GuardCoverage"]


@dataclass
class GuardCoverage:
    """One guard's part.

    Attributes:
        cases: how many asked it.
        fired: how many it found something in, or did not allow.
        rules: ids of the rules it has, as far as they are known beforehand; None where none are.
        seen: how many findings each rule gave.
        near: how many near misses each rule let be.
    """

    cases: int = 0
    fired: int = 0
    rules: set[str] | None = None
    seen: dict[str, int] = field(default_factory=dict)
    near: dict[str, int] = field(default_factory=dict)

    @property
    def silent(self) -> list[str]:
        """Rules that never fired."""
        return sorted((self.rules or set()) - self.seen.keys())

    @property
    def without_near_miss(self) -> list[str]:
        """Rules that fired, and no near miss shows what they let be."""
        return sorted(self.seen.keys() - self.near.keys())


class Coverage:
    """The guards that were tested, by what they were tested as part of and by id.

    Attributes:
        guards: ``(subject, guard id)`` to its part; a guard alone has the subject "".
    """

    def __init__(self) -> None:
        self.guards: dict[tuple[str, str], GuardCoverage] = {}

    def has(self, subject: str, bound: BoundGuard) -> None:
        """Take note of a guard that may be asked."""
        known = self.guards.setdefault((subject, bound.id), GuardCoverage())
        if bound.rules is not None:
            known.rules = (known.rules or set()) | bound.rules

    def knows(self, subject: str, rule: str) -> bool:
        """Whether a guard has a rule of this id, or one whose rules are not known beforehand may have it."""
        own = [guard for (of, _), guard in self.guards.items() if of == subject]
        return any(guard.rules is None or rule in guard.rules for guard in own)

    def saw(self, subject: str, observed: Observed, near: tuple[str, ...] = ()) -> None:
        """Take note of what came of a case, which is a near miss of some rules."""
        for outcome in observed.outcomes:
            guard = self.guards.setdefault((subject, outcome.guard), GuardCoverage())
            guard.cases += 1
            guard.fired += bool(outcome.findings) or outcome.verdict != "allow"
            for finding in outcome.findings:
                guard.seen[finding.rule] = guard.seen.get(finding.rule, 0) + 1
            fired = {finding.rule for finding in outcome.findings}
            for rule in near:
                if rule not in fired and (guard.rules is None or rule in guard.rules):
                    guard.near[rule] = guard.near.get(rule, 0) + 1
