"""Refuses calls whose arguments hold a text, and lists with a tool whose description holds one.

The texts are the settings ``in_arguments`` and ``in_descriptions``, compared without case in ASCII.
"""

from __future__ import annotations

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import host
from wit_world.imports.types import Decision, Decision_Allow, Decision_Deny, DenyReason, GuardContext, Tool

SCHEMA = """{"type":"object","additionalProperties":false,"properties":{
"in_arguments":{"type":"string","minLength":1},"in_descriptions":{"type":"string","minLength":1}}}"""


class Settings(exports.Settings):
    """What the guard can be told."""

    def schema(self) -> str:
        """JSON Schema of the settings."""
        return SCHEMA

    def validate(self, settings: str) -> None:
        """Refuse settings that forbid nothing.

        Raises:
            Err: the error of the answer.
        """
        if settings.strip() == "{}":
            raise Err("nothing is forbidden")


class ToolsList(exports.ToolsList):
    """Judges lists of tools."""

    def evaluate(self, tools: list[Tool], context: GuardContext) -> Decision:  # noqa: ARG002  as the contract has it
        """Refuse a list with a tool whose description holds the text."""
        text = forbidden("in_descriptions")
        if text and any(tool.description is not None and text in folded(tool.description) for tool in tools):
            return deny("A tool's description holds a forbidden text.")
        return Decision_Allow()


class ToolInvoke(exports.ToolInvoke):
    """Judges calls of tools."""

    def evaluate(self, tool_name: str, arguments: str, context: GuardContext) -> Decision:  # noqa: ARG002  the same
        """Refuse a call whose arguments hold the text."""
        text = forbidden("in_arguments")
        if text and text in folded(arguments):
            host.log(2, f"forbidden text in a call of {tool_name}")
            return deny("An argument holds a forbidden text.")
        return Decision_Allow()


def deny(message: str) -> Decision:
    """The answer to what is refused."""
    return Decision_Deny(DenyReason("forbidden_text", message, None))


def forbidden(key: str) -> bytes:
    """A setting that is a JSON string without escapes; empty where it is not set."""
    return folded((host.get_config(key) or "").strip('"'))


def folded(text: str) -> bytes:
    """A text without case in ASCII; ``str.lower`` would fold other letters too."""
    return text.encode().lower()
