"""Timer triggers: one TimerListener for each function, runs never overlap.

When a run ends, its times are recorded in `timers/<function>.json` of the host's folder. A host that starts
after a missed moment runs the function at once with IsPastDue, as Azure does; like there, schedules that are
due more than once a minute, and those with `use_monitor=False`, keep no record.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from local.host import schedules
from local.host.errors import CannotStart, InvocationFailed
from local.host.functions import Function
from local.host.invocations import Invoker, TriggerInput
from local.host.messages import TypedData

log = logging.getLogger("host.timers")

_LONGEST_SLEEP = 30.0  # the clock may be set, or the machine asleep, meanwhile


def utc_now() -> datetime:
    """The present moment; TimerListener takes another clock in tests."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class TimerRecord:
    """When a timer ran last (None: never) and is due next, as known at `updated`."""

    last: datetime | None
    next: datetime
    updated: datetime


class TimerRecords:
    """The records of all timers, a file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "timers"

    def read(self, function: str) -> TimerRecord | None:
        path = self._folder / f"{function}.json"
        try:
            stored = {key: datetime.fromisoformat(value) for key, value in json.loads(path.read_text()).items()}
            return TimerRecord(stored.get("last"), stored["next"], stored["updated"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, AttributeError, TypeError):
            log.warning("%s cannot be read and is started anew", path)
            return None

    def write(self, function: str, record: TimerRecord) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        moments = {"last": record.last, "next": record.next, "updated": record.updated}
        temporary = self._folder / f"{function}.tmp"
        temporary.write_text(json.dumps({key: at.isoformat() for key, at in moments.items() if at}))
        temporary.replace(self._folder / f"{function}.json")


class TimerListener:
    """Serves one timer-triggered function; `run` goes on until `stop`."""

    def __init__(
        self, function: Function, invoker: Invoker, records: TimerRecords, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self._function = function
        self._invoker = invoker
        self._clock = clock
        self._schedule = schedule_of(function)
        monitored = function.trigger.get("useMonitor", True)
        self._records = records if monitored and not schedules.is_frequent(self._schedule, clock()) else None
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Start no further run; one under way goes on."""
        self._stopped.set()

    async def finish(self) -> None:
        """Nothing is under way once `run` has ended."""

    async def run(self) -> None:
        known = self._records.read(self._function.name) if self._records else None
        now = self._clock()
        last = known.last if known else None
        past_due = known is not None and self._expected(known) < now
        if past_due or self._function.trigger.get("runOnStartup"):
            last = await self._fire(now, last, past_due)
        elif known is None:
            self._record(TimerRecord(None, self._schedule.next_after(now), now))
        due = self._schedule.next_after(self._clock())
        while await self._reached(due):
            last = await self._fire(due, last, past_due=False)
            due = self._schedule.next_after(max(self._clock(), due))

    def _expected(self, known: TimerRecord) -> datetime:
        """When the function was due by today's schedule, which may not be the one of the record."""
        return self._schedule.next_after(known.last or known.updated)

    async def _reached(self, due: datetime) -> bool:
        """Wait for the moment; False if stopped before."""
        while (left := (due - self._clock()).total_seconds()) > 0 and not self._stopped.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), min(left, _LONGEST_SLEEP))
        return not self._stopped.is_set()

    async def _fire(self, due: datetime, last: datetime | None, past_due: bool) -> datetime:
        following = self._schedule.next_after(due)
        given = timer_input(TimerRecord(last, following, self._clock()), past_due)
        with contextlib.suppress(InvocationFailed):  # logged; the next moment is the retry
            await self._invoker.run(self._function, given)
        self._record(TimerRecord(due, self._schedule.next_after(due), self._clock()))
        return due

    def _record(self, record: TimerRecord) -> None:
        if self._records:
            try:
                self._records.write(self._function.name, record)
            except OSError as error:  # a full disk: the timer goes on; a host started later may run it once more
                log.warning("%s: when it ran cannot be recorded: %s", self._function.name, error)


def schedule_of(function: Function) -> schedules.Schedule:
    """The schedule of a timer function; CannotStart names the function if it cannot be read."""
    try:
        return schedules.parse(str(function.trigger["schedule"]))
    except ValueError as wrong:
        raise CannotStart(f"function {function.name}: the schedule {wrong}") from wrong


def timer_input(record: TimerRecord, past_due: bool) -> TriggerInput:
    """What the function gets as its TimerRequest."""
    never = "0001-01-01T00:00:00+00:00"  # .NET's way to say so
    status = {
        "Last": record.last.isoformat() if record.last else never,
        "Next": record.next.isoformat(),
        "LastUpdated": record.updated.isoformat(),
    }
    value = {"IsPastDue": past_due, "Schedule": {"AdjustForDST": True}, "ScheduleStatus": status}
    return TriggerInput(TypedData(json=json.dumps(value)))


def by_hand(function: Function, _text: str) -> TriggerInput:
    """What a timer function gets when somebody runs it by hand."""
    now = utc_now()
    return timer_input(TimerRecord(None, schedule_of(function).next_after(now), now), past_due=False)
