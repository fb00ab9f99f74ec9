"""Native guards: in-process, synchronous, without I/O. ``NATIVE`` is the one list of them."""

from guardsvc.guards.native.access_list import ACCESS_LIST
from guardsvc.guards.native.argument_limits import ARGUMENT_LIMITS
from guardsvc.guards.native.auth_bypass import AUTH_BYPASS
from guardsvc.guards.native.catalog_anomaly import CATALOG_ANOMALY
from guardsvc.guards.native.data_leak import DATA_LEAK
from guardsvc.guards.native.input_request import INPUT_REQUEST
from guardsvc.guards.native.protocol_compliance import PROTOCOL_COMPLIANCE
from guardsvc.guards.native.rate_limit import RATE_LIMIT
from guardsvc.guards.native.result_injection import RESULT_INJECTION
from guardsvc.guards.native.rug_pull import RUG_PULL
from guardsvc.guards.native.sandbox_escape import SANDBOX_ESCAPE
from guardsvc.guards.native.schema_validation import SCHEMA_VALIDATION
from guardsvc.guards.native.secrets import SECRETS
from guardsvc.guards.native.server_allowlist import SERVER_ALLOWLIST
from guardsvc.guards.native.tool_poisoning import TOOL_POISONING
from guardsvc.guards.native.tool_shadowing import TOOL_SHADOWING

__all__ = ["NATIVE"]

NATIVE = (
    ACCESS_LIST,
    ARGUMENT_LIMITS,
    AUTH_BYPASS,
    CATALOG_ANOMALY,
    DATA_LEAK,
    INPUT_REQUEST,
    PROTOCOL_COMPLIANCE,
    RATE_LIMIT,
    RESULT_INJECTION,
    RUG_PULL,
    SANDBOX_ESCAPE,
    SCHEMA_VALIDATION,
    SECRETS,
    SERVER_ALLOWLIST,
    TOOL_POISONING,
    TOOL_SHADOWING,
)
