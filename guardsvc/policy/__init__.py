"""Policy: what an operator configured, joined with the guard registry into one immutable object."""

from guardsvc.policy.build import build_policy, policy_model
from guardsvc.policy.policy import BoundGuard, Policy, Step
from guardsvc.policy.servers import AmbiguousServerError, Place, ServerTable
from guardsvc.policy.settings import PolicySettings

__all__ = [
    "AmbiguousServerError",
    "BoundGuard",
    "Place",
    "Policy",
    "PolicySettings",
    "ServerTable",
    "Step",
    "build_policy",
    "policy_model",
]
