"""``sandbox_escape``: no argument or URI leads out of what its tool is meant for."""

from guardsvc.guards.native.sandbox_escape.guard import SANDBOX_ESCAPE, SandboxEscape
from guardsvc.guards.native.sandbox_escape.settings import SandboxEscapeSettings

__all__ = ["SANDBOX_ESCAPE", "SandboxEscape", "SandboxEscapeSettings"]
