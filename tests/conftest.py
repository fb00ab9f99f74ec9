"""Profiles of hypothesis: the same few examples on every run, or many new ones for make test-long.

Bytecode is kept whatever the environment says: hundreds of processes start here, and each would compile all it imports.
"""

import os
import sys

import pytest
from hypothesis import settings

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

settings.register_profile("quick", deadline=None, derandomize=True)
settings.register_profile("long", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: a test that waits for a process or a timer leaves its own to others."""
    return len(os.sched_getaffinity(0)) + 1
