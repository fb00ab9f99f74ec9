"""State: what outlives one decision, behind async ports that the engine fetches facts through."""

from guardsvc.state.rate_limits import RATE_LIMITS, Draw, Exhausted, Limit, RateFact, RateLimits, RateNeed, Store
from guardsvc.state.sessions import (
    SESSION_OWNER,
    Ownership,
    SessionFact,
    SessionNeed,
    SessionOwners,
    SessionStore,
)
from guardsvc.state.sources import Sources
from guardsvc.state.url import UrlError, check_url
from guardsvc.state.windows import Strategy, parse_window

__all__ = [
    "RATE_LIMITS",
    "SESSION_OWNER",
    "Draw",
    "Exhausted",
    "Limit",
    "Ownership",
    "RateFact",
    "RateLimits",
    "RateNeed",
    "SessionFact",
    "SessionNeed",
    "SessionOwners",
    "SessionStore",
    "Sources",
    "Store",
    "Strategy",
    "UrlError",
    "check_url",
    "parse_window",
]
