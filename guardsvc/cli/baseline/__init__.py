"""``guardsvc baseline``: what is pinned, what has changed, and who approves it."""

from guardsvc.cli.baseline.app import baseline_app

__all__ = ["baseline_app"]
