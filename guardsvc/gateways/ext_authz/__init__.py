"""``envoy.service.auth.v3.Authorization``: the request phase, asked by Envoy and agentgateway."""

from guardsvc.gateways.ext_authz.service import ExtAuthz

__all__ = ["ExtAuthz"]
