"""``auth_bypass``: refuses requests that try to get around authentication or authorization."""

from guardsvc.guards.native.auth_bypass.guard import AUTH_BYPASS, AuthBypass
from guardsvc.guards.native.auth_bypass.settings import AuthBypassSettings

__all__ = ["AUTH_BYPASS", "AuthBypass", "AuthBypassSettings"]
