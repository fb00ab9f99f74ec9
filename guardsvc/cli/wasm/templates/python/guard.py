"""Refuses calls whose arguments hold a forbidden text."""

from wit_world import exports
from wit_world.imports import host
from wit_world.imports.types import Decision, Decision_Allow, Decision_Deny, DenyReason, GuardContext

FORBIDDEN = "/etc/passwd"


class ToolInvoke(exports.ToolInvoke):
    """The interface tool-invoke: each one that wit/world.wit exports is a class. What it raises is a failure."""

    def evaluate(self, tool_name: str, arguments: str, context: GuardContext) -> Decision:
        """Judge one call."""
        if FORBIDDEN not in arguments:
            return Decision_Allow()
        host.log(2, f"forbidden text in a call of {tool_name}")
        return Decision_Deny(DenyReason("forbidden_text", "An argument holds a forbidden text.", None))
