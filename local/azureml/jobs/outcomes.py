"""Endings that a test or the demo has asked for: by job name or pattern, now or at a step."""

from __future__ import annotations

import asyncio
import re

import msgspec

OUTCOMES = ("Failed", "Canceled", "NotResponding", "vanish", "hold", "crash")


class JobOutcome(msgspec.Struct, forbid_unknown_fields=True):
    """What is to happen to a job, and when."""

    outcome: str
    # At the start of this step; empty: at the next step.
    step: str = ""
    message: str = "Failed on request of the control API."
    code: str = "UserError"
    times: int = 1


class JobOutcomes:
    """Outcomes waiting for their jobs, by pattern."""

    def __init__(self) -> None:
        self._waiting: list[tuple[re.Pattern[str], JobOutcome]] = []
        self._taken: set[str] = set()
        self._took = asyncio.Event()

    def plan(self, name: re.Pattern[str], outcome: JobOutcome) -> None:
        """Keep for the next `times` jobs whose whole name matches."""
        self._waiting.append((name, outcome))

    @property
    def waiting(self) -> list[str]:
        """The patterns of those that have not happened."""
        return [name.pattern for name, _ in self._waiting]

    def take(self, job: str, step: str) -> JobOutcome | None:
        """The outcome for a job that is about to start a step; taken once per `times`."""
        for entry in self._waiting:
            pattern, outcome = entry
            if pattern.fullmatch(job) and outcome.step in ("", step):
                outcome.times -= 1
                if outcome.times <= 0:
                    self._waiting.remove(entry)
                self._taken.add(job)
                self._took.set()
                self._took = asyncio.Event()
                return outcome
        return None

    async def reached(self, job: str) -> None:
        """Return once a job has come to where an outcome was planned for it."""
        while job not in self._taken:
            await self._took.wait()

    def clear(self) -> None:
        """Forget what has not happened."""
        self._waiting.clear()
        self._taken.clear()
