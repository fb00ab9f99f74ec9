"""MCP as one strict reading: JSON, JSON-RPC and the headers that mirror it, for every revision."""

from guardsvc.mcp.http_request import BodyState, HttpRequest
from guardsvc.mcp.interpret import Interpretation, InterpretationRules, interpret
from guardsvc.mcp.message import Message
from guardsvc.mcp.refusal import Refusal
from guardsvc.mcp.strict_json import Limits
from guardsvc.mcp.transport import TransportKind

__all__ = [
    "BodyState",
    "HttpRequest",
    "Interpretation",
    "InterpretationRules",
    "Limits",
    "Message",
    "Refusal",
    "TransportKind",
    "interpret",
]
