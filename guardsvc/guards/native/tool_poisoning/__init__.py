"""``tool_poisoning``: no tool's definition gives the model orders or hides text from people."""

from guardsvc.guards.native.tool_poisoning.guard import TOOL_POISONING, ToolPoisoning
from guardsvc.guards.native.tool_poisoning.settings import CustomPattern, ToolPoisoningSettings

__all__ = ["TOOL_POISONING", "CustomPattern", "ToolPoisoning", "ToolPoisoningSettings"]
