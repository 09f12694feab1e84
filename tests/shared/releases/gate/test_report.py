"""The numbers of the gate's report."""

from __future__ import annotations

import pytest

from shared.releases.gate.report import _percentile


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [([], 0.5, None), ([3.0], 0.95, 3.0), ([4, 1, 3, 2], 0.5, 2), (range(1, 101), 0.95, 95), ([1, 2], 0.95, 2)],
)
def test_percentiles_are_values_that_were_measured(values: list[float], share: float, found: float | None) -> None:
    assert _percentile(values, share) == found
