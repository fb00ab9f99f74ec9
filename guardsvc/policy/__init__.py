"""Policy: what an operator configured, joined with the guard registry into one immutable object."""

from guardsvc.policy.build import build_policy, points_of, policy_model
from guardsvc.policy.identity import UNREADABLE, Evidence, Identity, IdentityError
from guardsvc.policy.policy import BoundGuard, Policy, Step
from guardsvc.policy.servers import AmbiguousServerError, Place, ServerTable
from guardsvc.policy.settings import PolicySettings

__all__ = [
    "UNREADABLE",
    "AmbiguousServerError",
    "BoundGuard",
    "Evidence",
    "Identity",
    "IdentityError",
    "Place",
    "Policy",
    "PolicySettings",
    "ServerTable",
    "Step",
    "build_policy",
    "points_of",
    "policy_model",
]
