"""``rate_limit``: refuses operations beyond so many a second, minute, hour or day, and says when to come again."""

from guardsvc.guards.native.rate_limit.guard import RATE_LIMIT, RateLimit
from guardsvc.guards.native.rate_limit.settings import RateLimitSettings

__all__ = ["RATE_LIMIT", "RateLimit", "RateLimitSettings"]
