"""Shape: which phases a result may belong to, told by its members alone, where nobody knows what it answers."""

from __future__ import annotations

from typing import Any

from guardsvc.model import Phase

__all__ = ["points_of"]

_MARKS = (
    (Phase.TOOLS_LIST, frozenset({"tools"})),
    (Phase.PROMPTS_LIST, frozenset({"prompts"})),
    (Phase.RESOURCES_LIST, frozenset({"resources", "resourceTemplates"})),
    (Phase.TOOL_RESULT, frozenset({"content", "structuredContent", "isError", "toolResult"})),
    (Phase.PROMPT_RESULT, frozenset({"messages"})),
    (Phase.RESOURCE_RESULT, frozenset({"contents"})),
    (Phase.CONNECTION, frozenset({"capabilities", "instructions", "protocolVersion", "serverInfo"})),
)


def points_of(result: Any) -> tuple[Phase, ...]:
    """Every phase whose members the result has, as a client may take it for any of these; else other."""
    names = result.keys() if type(result) is dict else frozenset()
    return tuple(phase for phase, marks in _MARKS if not marks.isdisjoint(names)) or (Phase.OTHER,)
