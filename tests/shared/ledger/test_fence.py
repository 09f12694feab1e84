"""A worker that was paused past its lease writes nothing to the workspace."""

from __future__ import annotations

import pytest

from shared.errors import LeaseHeld
from shared.ledger import fence
from tests.fakes import World


class _Lease:
    def __init__(self, left: float) -> None:
        self.left = left

    def check(self, left: float = 0) -> None:
        if left > self.left:
            raise LeaseHeld("the lease was lost while the step ran")

    def release(self) -> None:
        """There is nothing to give back."""


def test_a_write_needs_a_lease_that_outlasts_the_request() -> None:
    workspace = World().workspace
    with fence.under(_Lease(left=14)), pytest.raises(LeaseHeld):
        workspace.endpoints.write("e", {}, {})
    assert not workspace.endpoints.created
    with fence.under(_Lease(left=16)):
        workspace.endpoints.write("e", {}, {})
    assert workspace.endpoints.created == ["e"]


def test_without_a_step_there_is_nothing_to_check() -> None:
    fence.check()
