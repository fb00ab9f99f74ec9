"""Profiles of hypothesis: the same few examples on every run, or many new ones for make test-long."""

import os

from hypothesis import settings

settings.register_profile("quick", deadline=None, derandomize=True)
settings.register_profile("long", deadline=None, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
