"""A full disk: what runs goes on, what could not be kept is not promised. Provoked by a limit on the size of files."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from local.eventgrid.storage_events import LogPosition
from local.parts import ROOT

pytestmark = pytest.mark.services


def run(code: str, *, stdout: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own; with its output on a device that is always full, if wanted."""
    with Path(stdout or "/dev/null").open("w") as output:
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            timeout=90,
        )


FULL = """
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))  # Python ignores SIGXFSZ: every write fails with an OSError
"""


def test_the_supervisor_goes_on_when_its_log_is_full() -> None:
    done = run(
        """
        import os, time
        from local import supervisor

        class Cloud:
            looks = 0
            def ended(self):
                Cloud.looks += 1
                if Cloud.looks > 3:
                    os._exit(42)  # it still looks
                return {"azurite": 1}

        time.sleep = lambda seconds: None
        supervisor._watch(Cloud())
        """,
        stdout="/dev/full",
    )
    assert done.returncode == 42, done.stderr


def test_storage_events_go_on_and_the_position_is_recorded_once_there_is_room(tmp_path: Path) -> None:
    done = run(
        f"""
        import pathlib, resource
        from local.eventgrid.storage_events import LogPosition, StorageEvents

        events = StorageEvents.__new__(StorageEvents)
        events._record, events._recorded = pathlib.Path({str(tmp_path / "position.json")!r}), LogPosition()
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        events._write(LogPosition(1, 100))
        assert events._recorded == LogPosition()
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        events._write(LogPosition(1, 100))
        """
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "position.json").read_bytes() == b'{"file":1,"position":100}'
    assert LogPosition(1, 100) != LogPosition()


def test_a_subscription_that_cannot_be_kept_is_not_promised(tmp_path: Path) -> None:
    done = run(
        f"""
        import pathlib, resource
        from starlette.testclient import TestClient
        from local.eventgrid.app import Api, create_app
        from local.eventgrid.subscriptions import Subscription, Subscriptions

        subscriptions = Subscriptions(pathlib.Path({str(tmp_path / "subscriptions.json")!r}))
        subscriptions.put(Subscription("t", "http://x", name="kept"))
        api = Api(None, None, subscriptions, None, None, "k", "http://x")
        api.broker = type("B", (), {{"unsubscribed": lambda *_: None}})()
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        answer = TestClient(create_app(api), raise_server_exceptions=False).delete("/subscriptions/kept")
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "InsufficientStorage"), answer.text
        assert [one.name for one in subscriptions.all()] == ["kept"]
        """
    )
    assert done.returncode == 0, done.stderr


def test_a_timer_goes_on_when_its_record_cannot_be_written(tmp_path: Path) -> None:
    done = run(
        f"""
        import datetime, pathlib, resource
        from local.host.timers import TimerListener, TimerRecord, TimerRecords

        listener = TimerListener.__new__(TimerListener)
        listener._records = TimerRecords(pathlib.Path({str(tmp_path)!r}))
        listener._function = type("F", (), {{"name": "sweep_due"}})()
        now = datetime.datetime.now(datetime.UTC)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        listener._record(TimerRecord(None, now, now))
        """
    )
    assert done.returncode == 0, done.stderr


def test_metrics_stay_in_memory_until_there_is_room(tmp_path: Path) -> None:
    done = run(
        """
        import asyncio, pathlib, sqlite3
        from local.azureml.clock import Clock
        from local.azureml.metrics.models import Bucket, EndpointMetrics

        class Table:
            kept = 0
            def get(self, key): return None
            def put(self, key, value):
                Table.kept += 1
                if Table.kept < 3:
                    raise sqlite3.OperationalError("database or disk is full")

        metrics = EndpointMetrics(Table(), Clock())
        metrics.record("e", "d", 200, 1.0)
        real = asyncio.sleep
        asyncio.sleep = lambda seconds: real(0)

        async def main():
            flushing = asyncio.create_task(metrics.keep_flushing())
            while metrics._changed:
                await real(0)
                assert not flushing.done(), flushing.exception()
            flushing.cancel()

        asyncio.run(main())
        assert Table.kept == 3
        """
    )
    assert done.returncode == 0, done.stderr
