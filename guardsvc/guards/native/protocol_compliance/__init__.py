"""``protocol_compliance``: a client's message keeps to the revision of MCP it is sent under."""

from guardsvc.guards.native.protocol_compliance.guard import PROTOCOL_COMPLIANCE, ProtocolCompliance
from guardsvc.guards.native.protocol_compliance.settings import ProtocolComplianceSettings

__all__ = ["PROTOCOL_COMPLIANCE", "ProtocolCompliance", "ProtocolComplianceSettings"]
