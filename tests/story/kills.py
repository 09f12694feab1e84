"""Which calls a process is killed at: every third by default, the others by `make nightly`.

Killed before one call is killed after the one before: of the three moments around a call the default run tries two.
"""

from __future__ import annotations

import pytest

STEP = 3

# `first`: the first call to be killed at; `range(first, calls + 1, STEP)` are the others.
EVERY_THIRD_CALL = pytest.mark.parametrize(
    "first", [1, *(pytest.param(first, marks=pytest.mark.nightly) for first in range(2, STEP + 1))]
)
