"""The Azure ML workspace in memory; `tests/contracts` holds it to what the local Azure ML does."""

from __future__ import annotations

from collections.abc import Callable

from shared.errors import ServiceBusy
from shared.ledger import fence
from tests.fake_process import Clock, Process
from tests.fake_workspace.serving import FakeDeployments, FakeEndpoints
from tests.fake_workspace.training import FAMILY, GPU, FakeCompute, FakeJobs, FakeModels, FakeQuota, FakeRegistry

__all__ = ["FAMILY", "GPU", "FakeWorkspace"]


class FakeWorkspace:
    """Azure ML reduced to what the app may rely on, by kind of resource. What is started takes `pace` seconds.

    The next `busy` calls are answered with 503.
    """

    def __init__(self, clock: Clock, process: Process) -> None:
        self.clock, self.process = clock, process
        self.pace = 90.0
        self.busy: int = 0
        self.registry = FakeRegistry(self)
        self.jobs = FakeJobs(self)
        self.models = FakeModels(self)
        self.endpoints = FakeEndpoints(self)
        self.deployments = FakeDeployments(self)
        self.compute = FakeCompute(self)
        self.quota = FakeQuota(self)

    def call[T](self, act: Callable[[], T]) -> T:
        """One call over the wire."""

        def guarded() -> T:
            if self.busy > 0:
                self.busy -= 1
                raise ServiceBusy("HTTP 503")
            return act()

        return self.process.call(guarded)

    def write[T](self, act: Callable[[], T]) -> T:
        """One call that changes something: not without the lease."""
        fence.check()
        return self.call(act)
