"""``argument_length``: no text in the arguments of a tool call is longer than the policy says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from guardsvc.model import (
    ALLOW,
    Deny,
    Facts,
    Finding,
    GuardContext,
    GuardType,
    Operation,
    Phase,
    Settings,
    SettingsError,
    Severity,
    Verdict,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ARGUMENT_LENGTH", "ArgumentLength", "ArgumentLengthSettings"]


class ArgumentLengthSettings(Settings):
    """How long a text may be."""

    max_characters: int = Field(default=2_000, ge=1, le=1_000_000, description="Longest text in any argument.")
    tools: dict[str, int] = Field(default={}, description="Longest text for single tools, by the tool's name.")


class ArgumentLength:
    """The guard; see ``ArgumentLengthSettings``."""

    def __init__(self, settings: ArgumentLengthSettings, context: GuardContext) -> None:
        del context
        for tool, longest in settings.tools.items():
            if longest < 1:
                raise SettingsError(("tools", tool), f"{longest} is not at least 1")
        self._settings = settings

    def evaluate(self, operation: Operation, facts: Facts) -> Verdict:
        """Deny at the first text that is too long, and say where it stands but not what it says."""
        del facts
        longest = self._settings.tools.get(operation.subject or "", self._settings.max_characters)
        arguments = (operation.payload or {}).get("arguments", {})
        for where, text in _texts(arguments, "/arguments"):
            if len(text) > longest:
                return Deny(
                    code="argument_too_long",
                    message="An argument is too long.",
                    details={"max_characters": longest},
                    findings=(Finding(rule="max_characters", severity=Severity.LOW, where=where),),
                )
        return ALLOW


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Every text inside a value with its JSON pointer. How deep a value nests, guardsvc has bounded before."""
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, f"{where}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, f"{where}/{index}")


ARGUMENT_LENGTH = GuardType(
    name="argument_length",
    settings=ArgumentLengthSettings,
    build=ArgumentLength,
    runs_on=frozenset({Phase.TOOL_INVOKE}),
    summary="Denies tool calls with a text longer than allowed in their arguments.",
)
