"""Hypothesis profiles: `ci` (default: fast, the same examples each time) and `deep` (drawn anew).

Choose with HYPOTHESIS_PROFILE.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Drawing a whole dialogue is slow on a busy machine; that says nothing about the code under test.
_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large)

settings.register_profile(
    "ci", max_examples=100, deadline=None, derandomize=True, print_blob=True, suppress_health_check=_SLOW
)
settings.register_profile(
    "deep", max_examples=1_500, deadline=None, derandomize=False, print_blob=True, suppress_health_check=_SLOW
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
