"""``tool_shadowing``: refuses tools that stand in for, or meddle with, those of other servers."""

from guardsvc.guards.native.tool_shadowing.guard import TOOL_SHADOWING, ToolShadowing
from guardsvc.guards.native.tool_shadowing.settings import ToolShadowingSettings

__all__ = ["TOOL_SHADOWING", "ToolShadowing", "ToolShadowingSettings"]
