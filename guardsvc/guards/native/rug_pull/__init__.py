"""``rug_pull``: refuses what has changed since it was trusted, in lists and at calls."""

from guardsvc.guards.native.rug_pull.guard import RUG_PULL, RugPull
from guardsvc.guards.native.rug_pull.settings import RugPullSettings

__all__ = ["RUG_PULL", "RugPull", "RugPullSettings"]
