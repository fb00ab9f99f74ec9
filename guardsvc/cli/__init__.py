"""Command line: ``guardsvc serve`` and the commands around it."""

from guardsvc.cli.app import main

__all__ = ["main"]
