"""Exit codes, by kind of failure."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """What the process exits with."""

    OK = 0
    REFUSED = 1
    """``check``: at least one message is refused. ``baseline diff``: something has changed. ``scan``: something was
    found, or has changed. ``replay``: something would be decided otherwise."""
    USAGE = 2
    """The command line, or an input file it names, is wrong."""
    CONFIGURATION = 3
    """The configuration has problems, or an installed guard cannot be used."""
    UNAVAILABLE = 4
    """An address cannot be bound, or the service asked is not there or not healthy. ``scan``: a server cannot be
    asked."""
    INTERNAL = 5
    """A fault of guardsvc."""
    BROKEN_CHAIN = 6
    """``audit verify``: a record was changed, removed or added."""
    FAILED = 7
    """``test``: at least one case is not answered as it expects. ``replay``: nothing could be judged again."""
    BROKEN_SUITE = 8
    """``test``: a suite cannot be read, or there is none."""
    CUT_SHORT = 141
    """Whoever read the output closed it, as ``head`` does; the code that shells give SIGPIPE."""
