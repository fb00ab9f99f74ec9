"""Native guards: in-process, synchronous, without I/O. ``NATIVE`` is the one list of them."""

from guardsvc.guards.native.access_list import ACCESS_LIST
from guardsvc.guards.native.protocol_compliance import PROTOCOL_COMPLIANCE
from guardsvc.guards.native.rate_limit import RATE_LIMIT

__all__ = ["NATIVE"]

NATIVE = (ACCESS_LIST, PROTOCOL_COMPLIANCE, RATE_LIMIT)
