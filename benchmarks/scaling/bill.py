"""What storage costs in a month, by how often each thing happens and what each was measured to send."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

# Dollars for 10,000 requests (hot, locally redundant, general purpose v2, a region in the east of the USA, 2026), and
# for a GB and month. Deletions are free.
PRICES = {"write": 0.05, "list": 0.05, "read": 0.004, "other": 0.004, "queue": 0.004, "delete": 0.0, "batch": 0.004}
GB_MONTH = 0.0208
MINUTES, HOURS, DAYS = 30 * 24 * 60, 30 * 24, 30


@dataclass(frozen=True, slots=True)
class Month:
    """A month of an installation. The hours of training are polled once a minute, as the stages of a rollout are."""

    snapshots_a_day: int = 100
    datasets: int = 50
    processes: int = 3
    hours_asked_a_day: float = 12.0
    training_hours: float = 1.0
    rollout_hours: float = 1.0
    transitions: int = 14
    pages_a_day: int = 1000
    sweeps: int = 12 * HOURS

    @property
    def snapshots(self) -> int:
        """In the month."""
        return DAYS * self.snapshots_a_day

    @property
    def polls(self) -> float:
        """Steps of a snapshot and of its release."""
        return self.transitions + 60 * (self.training_hours + self.rollout_hours)


def bill(month: Month, each: Mapping[str, Mapping[str, float]], prices: Mapping[str, float]) -> dict[str, float]:
    """Dollars by what they are spent on; `each` has the requests of one arrival, one step, ... by kind."""
    times = {
        "arrivals": ("arrival", month.snapshots),
        "steps": ("step", month.snapshots * month.polls),
        "sweeps": ("sweep", month.sweeps),
        "nights": ("night", DAYS),
        "pages": ("page", DAYS * month.pages_a_day),
        "counting calls": ("counting", MINUTES / 24 * month.hours_asked_a_day * month.processes),
        "last asked": ("asked", HOURS / 24 * month.hours_asked_a_day * month.datasets),
    }
    return {what: dollars(each.get(name, {}), prices) * number for what, (name, number) in times.items()}


def dollars(requests: Mapping[str, float], prices: Mapping[str, float]) -> float:
    """What these requests cost."""
    return sum(count * prices[kind] / 10_000 for kind, count in Counter(requests).items())
