"""Metrics of runs: every value that was logged, in the order in which it came."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from local.azureml.store import ResourceTable


class LoggedMetric(msgspec.Struct, frozen=True):
    """One value as MLflow has it: milliseconds since 1970, and the step of the training."""

    key: str
    value: float
    timestamp: int
    step: int = 0


class RunMetrics(msgspec.Struct):
    """All that one run has logged."""

    run_id: str
    metrics: list[LoggedMetric] = []


@dataclass
class RunLogs:
    """The metrics of all runs."""

    table: ResourceTable[RunMetrics]

    def add(self, run: str, metrics: list[LoggedMetric]) -> None:
        """Keep what a run logs; the same value at the same step and time is kept once."""
        kept = self.table.get(run) or RunMetrics(run)
        new = [metric for metric in metrics if metric not in kept.metrics]
        self.table.put(run, RunMetrics(run, [*kept.metrics, *new]))

    def history(self, run: str, key: str) -> list[LoggedMetric]:
        """Every value of one metric."""
        return [metric for metric in self._of(run) if metric.key == key]

    def latest(self, run: str) -> list[LoggedMetric]:
        """The last value of each metric, by step and then by time."""
        found: dict[str, LoggedMetric] = {}
        for metric in self._of(run):
            known = found.get(metric.key)
            if known is None or (metric.step, metric.timestamp) >= (known.step, known.timestamp):
                found[metric.key] = metric
        return list(found.values())

    def _of(self, run: str) -> list[LoggedMetric]:
        kept = self.table.get(run)
        return kept.metrics if kept else []
