"""Timer functions: through a running host, and the listener with a clock of ours."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from local.host.errors import InvocationFailed
from local.host.functions import Function
from local.host.invocations import Invoker, TriggerInput
from local.host.timers import TimerListener, TimerRecord, TimerRecords

if TYPE_CHECKING:
    from tests.local.host_apps.harness import Starter, Witness

pytest_plugins = ["tests.local.host_apps.harness"]

HOUR = timedelta(hours=1)


def test_a_timer_runs_when_it_is_due(start: Starter, witness: Witness) -> None:
    start("timer_app", EVERY="* * * * * *")
    first, second = witness.hear(), witness.hear()
    assert first["past_due"] is second["past_due"] is False
    assert set(first["status"]) == {"Last", "Next", "LastUpdated"}
    assert second["status"]["Last"] == first["status"]["Next"] or second["status"]["Last"] > first["status"]["Last"]


def test_a_timer_can_run_at_the_start(start: Starter, witness: Witness) -> None:
    start("timer_app", EVERY="0 0 0 1 1 *", AT_START="1")
    assert witness.hear()["past_due"] is False


def test_a_missed_moment_is_made_up_for_at_the_start(start: Starter, witness: Witness, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    TimerRecords(tmp_path / "state").write("ticking", TimerRecord(now - 3 * HOUR, now - 2 * HOUR, now - 3 * HOUR))
    host = start("timer_app", EVERY="0 0 * * * *").ready()
    heard = witness.hear()
    assert heard["past_due"] is True
    assert datetime.fromisoformat(heard["status"]["Last"]) == now - 3 * HOUR
    host.logged("function=ticking .* result=succeeded")
    assert host.end() == 0
    again = start("timer_app", EVERY="0 0 * * * *").ready()
    assert again.end() == 0
    assert witness.heard_nothing()


def test_a_timer_can_be_run_by_hand(start: Starter, witness: Witness) -> None:
    host = start("timer_app", EVERY="00:10:00").ready()
    key = {"x-functions-key": host.keys["master"]}
    assert host.client.post("/admin/functions/Ticking", headers=key).status_code == 202
    assert witness.hear()["past_due"] is False
    assert host.client.post("/admin/functions/ticking").status_code == 401


class Calls:
    """An Invoker that notes what it is given."""

    def __init__(self, fail: bool = False) -> None:
        self.given: list[dict[str, Any]] = []
        self.fail = fail
        self.called = asyncio.Event()

    async def run(self, _function: Function, given: TriggerInput) -> None:
        self.given.append(json.loads(given.data.json))
        self.called.set()
        if self.fail:
            raise InvocationFailed("on purpose")


def listener(calls: Calls, records: TimerRecords, now: datetime, **trigger: Any) -> TimerListener:
    function = Function("id", "tick", "timerTrigger", {"name": "timer", "schedule": "0 0 * * * *", **trigger}, {})
    return TimerListener(function, cast(Invoker, calls), records, clock=lambda: now)


def run_until_waiting(
    tmp_path: Path, now: datetime, known: TimerRecord | None, calls: Calls, **trigger: Any
) -> TimerRecords:
    """Start a listener that is stopped already: it does what is to be done at the start, then ends."""
    records = TimerRecords(tmp_path)
    if known:
        records.write("tick", known)

    async def go() -> None:
        timer = listener(calls, records, now, **trigger)
        timer.stop()
        await timer.run()

    asyncio.run(go())
    return records


NOW = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
DUE = datetime(2026, 11, 24, 11, 0, tzinfo=UTC)


def test_the_first_start_runs_nothing_and_remembers_when_it_was(tmp_path: Path) -> None:
    calls = Calls()
    records = run_until_waiting(tmp_path, NOW, None, calls)
    assert calls.given == []
    assert records.read("tick") == TimerRecord(None, DUE, NOW)


@pytest.mark.parametrize(
    ("known", "past_due"),
    [
        (TimerRecord(None, DUE, NOW), False),
        (TimerRecord(NOW - HOUR / 2, DUE, NOW), False),
        (TimerRecord(NOW - HOUR, DUE - HOUR, NOW - HOUR), True),
        (TimerRecord(None, DUE - HOUR, NOW - HOUR), True),
    ],
)
def test_a_record_tells_what_was_missed(tmp_path: Path, known: TimerRecord, past_due: bool) -> None:
    calls = Calls()
    records = run_until_waiting(tmp_path, NOW, known, calls)
    assert [given["IsPastDue"] for given in calls.given] == ([True] if past_due else [])
    assert records.read("tick") == (TimerRecord(NOW, DUE, NOW) if past_due else known)


def test_a_changed_schedule_is_judged_by_itself(tmp_path: Path) -> None:
    """By the old one it would be due: the record says 10:00; by the new one only at midnight."""
    calls = Calls()
    known = TimerRecord(NOW - HOUR, NOW - HOUR / 2, NOW - HOUR)
    run_until_waiting(tmp_path, NOW, known, calls, schedule="0 0 0 * * *")
    assert calls.given == []


@pytest.mark.parametrize("trigger", [{"useMonitor": False}, {"schedule": "*/10 * * * * *"}])
def test_without_monitor_nothing_is_remembered(tmp_path: Path, trigger: dict[str, Any]) -> None:
    calls = Calls()
    old = TimerRecord(NOW - 9 * HOUR, NOW - 8 * HOUR, NOW - 9 * HOUR)
    assert run_until_waiting(tmp_path, NOW, old, calls, **trigger).read("tick") == old
    assert calls.given == []


def test_a_failed_run_is_recorded_like_any_other(tmp_path: Path) -> None:
    """Its retry is the next moment; it must not count as missed after a restart."""
    calls = Calls(fail=True)
    known = TimerRecord(NOW - 2 * HOUR, NOW - HOUR, NOW - 2 * HOUR)
    assert run_until_waiting(tmp_path, NOW, known, calls).read("tick") == TimerRecord(NOW, DUE, NOW)


def test_a_damaged_record_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "timers").mkdir()
    (tmp_path / "timers" / "tick.json").write_text('{"last": 5}')
    calls = Calls()
    assert run_until_waiting(tmp_path, NOW, None, calls).read("tick") == TimerRecord(None, DUE, NOW)
