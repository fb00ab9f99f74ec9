"""Settings of the guard."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field as Described

from guardsvc.guards.native.tool_poisoning.texts import Field
from guardsvc.model import Settings, Severity

__all__ = ["CustomPattern", "ToolPoisoningSettings"]

MAX_PATTERNS = 200
MAX_PATTERN_LENGTH = 2_000

Id = Annotated[str, Described(min_length=1, max_length=128)]
Pattern = Annotated[str, Described(min_length=1, max_length=MAX_PATTERN_LENGTH)]


class CustomPattern(Settings):
    """A pattern of the operator's. A bare string in place of the mapping is its ``pattern``."""

    pattern: Pattern = Described(
        description="RE2 syntax (no look-around, no back-references), searched in every text; `(?i)` ignores case.",
    )
    id: Id | None = Described(default=None, description="Name in findings; `custom_patterns[N]` by default.")
    severity: Severity = Described(default=Severity.HIGH, description="Of the finding: `high` denies by itself.")
    threats: tuple[Id, ...] = Described(default=("SAF-T1001", "MCP03"), description="Threat ids of the finding.")


class ToolPoisoningSettings(Settings):
    """What is looked at, and how much it takes to deny."""

    strict_mode: bool = Described(
        default=False, description="Deny at any finding of severity medium or above, not only at the block threshold."
    )
    alert_threshold: int = Described(
        default=3,
        ge=1,
        description="Without strict mode: so many rules that find something of severity medium or above in one tool "
        "deny as well.",
    )
    block_threshold: float = Described(
        default=0.85, gt=0, le=1, description="Score of one tool from which on the list is denied."
    )
    review_threshold: float = Described(
        default=0.4, ge=0, le=1, description="Score of one tool from which on its findings are reported."
    )
    on_finding: Literal["drop_tool", "deny_list"] | None = Described(
        default=None,
        description="What becomes of a list with a refused tool: it goes on without the tool, the default for lists "
        "that several servers fill, or is denied, the default for others.",
    )
    scan_fields: tuple[Field, ...] = Described(
        default=tuple(Field), min_length=1, description="Parts of a definition that are scanned."
    )
    builtin_rules: bool = Described(default=True, description="Whether the built-in rules are used.")
    disabled_rules: tuple[Id, ...] = Described(default=(), description="Built-in rules that are not used, by id.")
    custom_patterns: tuple[Pattern | CustomPattern, ...] = Described(
        default=(), max_length=MAX_PATTERNS, description="Further patterns."
    )
    cache_entries: int = Described(
        default=8192, ge=0, description="Definitions whose findings are remembered, by a keyed digest; 0 for none."
    )

    @property
    def patterns(self) -> tuple[CustomPattern, ...]:
        """The custom patterns, bare strings among them as mappings."""
        return tuple(
            CustomPattern(pattern=given) if isinstance(given, str) else given for given in self.custom_patterns
        )
