"""Judges: processes that judge large bodies, so that one caller's megabyte does not hold up the others."""

from guardsvc.server.judges.elsewhere import Elsewhere
from guardsvc.server.judges.pool import Judges

__all__ = ["Elsewhere", "Judges"]
