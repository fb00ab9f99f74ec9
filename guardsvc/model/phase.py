"""Phase and direction: where in an MCP exchange a message stands."""

from __future__ import annotations

from guardsvc.model.word import Word

__all__ = ["PHASES", "REQUEST_PHASES", "RESPONSE_PHASES", "Direction", "Phase"]


class Direction(Word):
    """Which way the message travels: from the client to the server, or back."""

    REQUEST = "request"
    RESPONSE = "response"


class Phase(Word):
    """The point of an MCP exchange at which guards look."""

    TOOLS_LIST = "tools_list"
    TOOL_INVOKE = "tool_invoke"
    TOOL_RESULT = "tool_result"
    PROMPTS_LIST = "prompts_list"
    PROMPT_GET = "prompt_get"
    PROMPT_RESULT = "prompt_result"
    RESOURCES_LIST = "resources_list"
    RESOURCE_READ = "resource_read"
    RESOURCE_RESULT = "resource_result"
    INPUT_REQUEST = "input_request"
    INPUT_RESPONSE = "input_response"
    CONNECTION = "connection"
    OTHER = "other"


PHASES = frozenset(Phase)

_RESPONSE_ONLY = frozenset({Phase.TOOL_RESULT, Phase.PROMPT_RESULT, Phase.RESOURCE_RESULT, Phase.INPUT_REQUEST})
_REQUEST_ONLY = frozenset({Phase.TOOL_INVOKE, Phase.PROMPT_GET, Phase.RESOURCE_READ, Phase.INPUT_RESPONSE})
REQUEST_PHASES = PHASES - _RESPONSE_ONLY
RESPONSE_PHASES = PHASES - _REQUEST_ONLY
