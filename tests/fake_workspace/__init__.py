"""The Azure ML workspace in memory; `tests/contracts` holds it to what the local Azure ML does."""

from __future__ import annotations

from collections.abc import Callable

from shared.errors import AccessDenied, ServiceBusy
from shared.ledger import fence
from tests.fake_process import Clock, Process
from tests.fake_workspace.documents import FakeDocuments
from tests.fake_workspace.made import COMPUTE_OPERATOR, DATA_SCIENTIST, READER
from tests.fake_workspace.serving import FakeDeployments, FakeEndpoints
from tests.fake_workspace.tracking import FakeTracking
from tests.fake_workspace.training import (
    FAMILY,
    GPU,
    FakeCompute,
    FakeDatastores,
    FakeJobs,
    FakeModels,
    FakeQuota,
    FakeRegistry,
)

__all__ = ["COMPUTE_OPERATOR", "DATA_SCIENTIST", "FAMILY", "GPU", "READER", "FakeWorkspace"]


class FakeWorkspace:
    """Azure ML reduced to what the app may rely on, by kind of resource. What is started takes `pace` seconds.

    The next `busy` calls are answered with 503. What `breaks` gives a reason for (by the kind of write and the name of
    what is written) is accepted and fails a while later: nothing has changed then, and the state is Failed. Kinds:
    `endpoint`, `traffic`, `removal`, `deployment`, `cluster`, `cancel`. All that was accepted is in `accepted`.
    `missing`: roles that the app's identity has not.
    """

    def __init__(self, clock: Clock, process: Process) -> None:
        self.clock, self.process = clock, process
        self.pace = 90.0
        self.busy: int = 0
        self.missing: set[str] = set()
        self.breaks: Callable[[str, str], str] = lambda kind, name: ""
        self.accepted: list[tuple[str, str]] = []
        self.reasons: dict[str, str] = {}
        self.registry = FakeRegistry(self)
        self.jobs = FakeJobs(self)
        self.tracking = FakeTracking(self)
        self.models = FakeModels(self)
        self.endpoints = FakeEndpoints(self)
        self.deployments = FakeDeployments(self)
        self.compute = FakeCompute(self)
        self.datastores = FakeDatastores(self)
        self.quota = FakeQuota(self)
        self.documents = FakeDocuments(self)

    def location(self) -> str:
        """The workspace's region."""
        return self.call(lambda: "local", role=READER)

    def call[T](self, act: Callable[[], T], role: str = DATA_SCIENTIST) -> T:
        """One call over the wire, which takes a role."""

        def guarded() -> T:
            if role in self.missing:
                raise AccessDenied(f"the app's identity may not do this: it needs the role {role}")
            if self.busy > 0:
                self.busy -= 1
                raise ServiceBusy("HTTP 503")
            return act()

        return self.process.call(guarded)

    def write[T](self, act: Callable[[], T], role: str = DATA_SCIENTIST) -> T:
        """One call that changes something: not without the lease."""
        fence.check()
        return self.call(act, role)

    def accept(self, kind: str, name: str) -> tuple[str, str]:
        """A write is accepted: the address of its operation, and why it is going to fail, or nothing."""
        self.accepted.append((kind, name))
        reason, operation = self.breaks(kind, name), f"/operations/{len(self.accepted)}"
        if reason:
            self.reasons[operation] = reason
        return operation, reason

    def failure(self, operation: str) -> str:
        """Why an operation failed."""
        return self.call(lambda: self.reasons.get(operation, "") or self.deployments.failure(operation))
