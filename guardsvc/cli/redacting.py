"""Redacting: guards that would change a request, which a gateway cannot carry out for ext_authz."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guardsvc.model import Direction, Mode, RuleAction

if TYPE_CHECKING:
    from guardsvc.policy import BoundGuard, Policy

__all__ = ["EXT_AUTHZ_DENIES", "redacts_requests"]

EXT_AUTHZ_DENIES = "ext_authz cannot carry a changed request, so there it is a denial, modification_unsupported"


def redacts_requests(policy: Policy, bound: BoundGuard) -> bool:
    """Whether a guard applies ``redact`` to findings in requests: by its own ``action``, or that of a rule."""
    if not bound.type.redacts or bound.mode is not Mode.ENFORCE:
        return False
    if not any(direction is Direction.REQUEST for direction, _ in bound.points):
        return False
    if RuleAction.REDACT in bound.actions.values():
        return True
    settings = next(entry.settings for entry in policy.settings.guards if entry.name == bound.id)
    left_to_settings = bound.rules is None or not bound.rules <= bound.actions.keys()
    return left_to_settings and getattr(settings, "action", None) == RuleAction.REDACT
