"""`up` and `down`: a cloud that goes on after the command has ended, in a supervisor process of its own.

`up` on a running cloud changes nothing: it says the same, or refuses if other settings are asked for. `down` ends
exactly the processes of this folder's cloud, found by the record and by their mark, also after crashes. Both hold the
folder's lock, so they never cross.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import Never

from local.cloud import Cloud, StartFailed, mark_prefix, tail
from local.parts import ROOT, SETTINGS
from local.processes import MARK, PRIVATE, appending, end, marked
from local.record import CloudRecord, forget, running

STOP_SECONDS = 30.0
# The settings that `up` was given, as JSON: there may be keys among them, and everybody may read a command line.
GIVEN = "DROPTUNE_LOCAL_SETTINGS"


class UpFailed(Exception):
    """The cloud did not come up and nothing of it runs; the text says why."""


class OtherSettings(Exception):
    """The cloud runs, with settings other than those asked for; it was left alone."""


def up(folder: Path, settings: Mapping[str, str]) -> CloudRecord:
    """Start the cloud unless it runs; return once everything answers, printing what comes up and when.

    Raises UpFailed, or OtherSettings if it runs and its app does not have the settings given.
    """
    log = _log(folder)
    with locked(folder):
        log_start = log.stat().st_size if log.exists() else 0
        found = running(folder)
        if found and found.dead:
            print(f"  {' and '.join(found.dead)} had ended; starting anew", flush=True)
            _end(folder)
            found = None
        if found is None:
            _start_supervisor(folder, settings)
            found = running(folder)
        elif not settings.items() <= {**SETTINGS, **found.settings}.items():
            raise OtherSettings("it runs already, settings are unchanged: `make down` first")
        if found is None:
            raise UpFailed(f"the supervisor ended at once:\n{tail(log, 40, log_start)}")
    return found


def down(folder: Path) -> int:
    """End the cloud; how many processes that were."""
    if not folder.exists():
        return 0
    with locked(folder):
        return _end(folder)


def _end(folder: Path) -> int:
    theirs = marked(mark_prefix(folder))
    record = running(folder)
    if record and (supervisor := record.supervisor.process):
        # It stops its parts in order; only what is left after that is ended here.
        end([supervisor], patience=STOP_SECONDS)
    end(marked(mark_prefix(folder)))
    forget(folder)
    return len(theirs)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Only one command at a time starts or ends the cloud of a folder; the others wait."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start_supervisor(folder: Path, settings: Mapping[str, str]) -> None:
    """Start it and print what it reports until it is ready or gives up."""
    reading, writing = os.pipe()
    log = _log(folder)
    command = [sys.executable, "-m", "local", "supervise", "--folder", str(folder), "--report", str(writing)]
    with appending(log) as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, MARK: f"{mark_prefix(folder)}supervisor", GIVEN: json.dumps(dict(settings))},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
            start_new_session=True,
            umask=PRIVATE,
        )
    os.close(writing)
    try:
        with os.fdopen(reading) as reports:
            _print_reports(reports)
    except BaseException:
        process.terminate()
        process.wait()
        raise


def _print_reports(reports: Iterator[str]) -> None:
    for line in reports:
        report = json.loads(line)
        if "failed" in report:
            raise UpFailed(report["failed"])
        print(f"  {report['ready']:<11}{report['seconds']:5.1f} s", flush=True)


def supervise(folder: Path, report: int) -> int:
    """The supervisor process: keep the cloud up until told to stop. Reports to the pipe how the start goes."""
    settings: dict[str, str] = json.loads(os.environ.pop(GIVEN, "{}"))
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, _interrupt)

    def tell(**what: object) -> None:
        # Whoever waits for the start and goes away does not want it any more: the error ends it.
        os.write(report, json.dumps(what).encode() + b"\n")

    try:
        with Cloud(folder, settings, on_ready=lambda name, took: tell(ready=name, seconds=took)) as cloud:
            os.close(report)
            _watch(cloud)
    except BrokenPipeError:
        return 1
    except StartFailed as error:
        tell(failed=str(error))
        return 1
    except _Interrupted:
        return 0


class _Interrupted(BaseException):
    """The supervisor was told to stop."""


def _interrupt(number: int, frame: FrameType | None) -> None:
    # Once: a second signal must not cut the clean-up short.
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, signal.SIG_IGN)
    raise _Interrupted


def _watch(cloud: Cloud) -> Never:
    """Say in the log when a part ends by itself; it stays down, so that nobody takes a crash for health."""
    known: set[str] = set()
    while True:
        time.sleep(1.0)
        for name, code in cloud.ended().items():
            if name not in known:
                known.add(name)
                # A full disk must not end what still runs.
                with contextlib.suppress(OSError):
                    print(f"{name} ended with code {code}", flush=True)


def _log(folder: Path) -> Path:
    return folder / "logs" / "supervisor.log"
