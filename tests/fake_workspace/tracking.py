"""What jobs of the fake workspace log: a value every ten seconds, until they are ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.azure.workspace.tracking import MetricPoint
from tests.fake_workspace.made import DATA_SCIENTIST, Kind

if TYPE_CHECKING:
    from tests.fake_workspace import FakeWorkspace

# Where the fake's jobs say that their metrics are.
TRACKING = "azureml://fake/mlflow/v1.0"
_EVERY = 10


class FakeTracking(Kind):
    """Metrics by run. `logs` off: a job logs nothing; `role`: what reading takes; `reads` in order."""

    def __init__(self, workspace: FakeWorkspace) -> None:
        super().__init__(workspace)
        self.logs, self.role = True, DATA_SCIENTIST
        self.reads: list[str] = []

    def latest(self, tracking: str, run: str) -> dict[str, MetricPoint]:
        def act() -> dict[str, MetricPoint]:
            self.reads.append("latest")
            return {name: points[-1] for name, points in self._curves(run).items() if points}

        return self.workspace.call(act, role=self.role)

    def history(self, tracking: str, run: str, metric: str) -> list[MetricPoint]:
        def act() -> list[MetricPoint]:
            self.reads.append(metric)
            return self._curves(run).get(metric, [])

        return self.workspace.call(act, role=self.role)

    def _curves(self, run: str) -> dict[str, list[MetricPoint]]:
        made = self.workspace.jobs.made.get(run)
        if made is None or not self.logs:
            return {}
        begun, pace = made.ready_at - self.workspace.pace, self.workspace.pace
        count = int(min(self.workspace.clock() - begun, pace) // _EVERY)
        curves: dict[str, list[MetricPoint]] = {"loss": [], "learning_rate": [], "epoch": []}
        for n in range(1, count + 1):
            for name, value in (("loss", 2.0 / n), ("learning_rate", 5e-6), ("epoch", n * _EVERY / pace)):
                curves[name].append(MetricPoint(step=n * _EVERY, at=begun + n * _EVERY, value=value))
        return curves
