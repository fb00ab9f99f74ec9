"""``tool_shadowing``: refuses tools that stand in for, or meddle with, those of other servers."""

from guardsvc.guards.native.tool_shadowing.guard import INDEX_BYTES, TOOL_SHADOWING, ToolShadowing
from guardsvc.guards.native.tool_shadowing.index import most_in_an_index
from guardsvc.guards.native.tool_shadowing.settings import ToolShadowingSettings

__all__ = ["INDEX_BYTES", "TOOL_SHADOWING", "ToolShadowing", "ToolShadowingSettings", "most_in_an_index"]
