"""``argument_limits``: bounds of what a client sends, whatever the tool is."""

from guardsvc.guards.native.argument_limits.guard import ARGUMENT_LIMITS, ArgumentLimits
from guardsvc.guards.native.argument_limits.settings import ArgumentLimitsSettings, Limits

__all__ = ["ARGUMENT_LIMITS", "ArgumentLimits", "ArgumentLimitsSettings", "Limits"]
