"""State: what outlives one decision, behind async ports that the engine fetches facts through."""

from guardsvc.state.rate_limits import RATE_LIMITS, Draw, Exhausted, Limit, RateFact, RateLimits, RateNeed, Store
from guardsvc.state.redis import UrlError, check_url
from guardsvc.state.sources import Sources
from guardsvc.state.windows import Strategy, parse_window

__all__ = [
    "RATE_LIMITS",
    "Draw",
    "Exhausted",
    "Limit",
    "RateFact",
    "RateLimits",
    "RateNeed",
    "Sources",
    "Store",
    "Strategy",
    "UrlError",
    "check_url",
    "parse_window",
]
