"""``envoy.service.ext_proc.v3.ExternalProcessor``: both directions of an exchange, asked by Envoy and agentgateway."""

from guardsvc.gateways.ext_proc.service import ExtProc

__all__ = ["ExtProc"]
