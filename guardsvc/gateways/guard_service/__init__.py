"""``guardsvc.v1.GuardService``: our own contract, for every phase in both directions."""

from guardsvc.gateways.guard_service.service import GuardService

__all__ = ["GuardService"]
