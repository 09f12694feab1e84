"""One child process of a local cloud: started with a log file, asked to stop, killed, all with its own children.

Used by the supervisor and the test fixtures. Every process carries the mark of its cloud in its environment, which
its own children inherit; whatever bears the mark belongs to that cloud and to nothing else. So leftovers can be
found and ended, by process id, however their parents died (see `reaper`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Self

import psutil

MARK = "DROPTUNE_LOCAL_CLOUD"
# Every part promises to stop in two seconds; the host lets running functions end for five.
PATIENCE = 8.0
# What a cloud writes is its owner's: resources, subscriptions and logs hold keys.
PRIVATE = 0o077


class ChildProcess:
    """A started process; `log` collects everything it prints, from the byte `log_start` on."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path, log_start: int) -> None:
        self._process = process
        self.log = log
        self.log_start = log_start
        self.pid = process.pid

    @classmethod
    def start(
        cls, command: Sequence[str], environment: Mapping[str, str], log: Path, folder: Path | None = None
    ) -> Self:
        """Start it in a session of its own: keys pressed in a terminal are for the supervisor only."""
        with appending(log) as output:
            log_start = output.tell()
            process = subprocess.Popen(
                list(command),
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=PRIVATE,
            )
        return cls(process, log, log_start)

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask it to stop, and kill it if it does not. Again: nothing to do."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it and its children at once, as a crash of the machine would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        left_behind = descendants(self.pid) if self.exit_code is None else []
        with self._process as process:
            process.send_signal(how)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
        end([*left_behind, *group(self.pid)], patience=0)


def appending(log: Path) -> BinaryIO:
    """A log to add to, which only its owner may read."""
    log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")


def descendants(pid: int) -> list[psutil.Process]:
    """Its children, their children and so on."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def group(leader: int) -> list[psutil.Process]:
    """What runs in the process group of a child of ours, even if the child itself is gone."""
    return [process for process in psutil.process_iter() if group_of(process.pid) == leader]


def group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except OSError:  # gone, or not ours
        return None


def marked(mark: str) -> list[psutil.Process]:
    """Every process of the clouds whose mark begins so, apart from this very process."""
    return [
        process for process in psutil.process_iter() if process.pid != os.getpid() and mark_of(process).startswith(mark)
    ]


def mark_of(process: psutil.Process) -> str:
    """The mark a process was started with; empty for strangers."""
    try:
        return process.environ().get(MARK, "")
    except (psutil.Error, OSError):  # gone, a zombie, or somebody else's
        return ""


def end(processes: Sequence[psutil.Process], patience: float = PATIENCE) -> None:
    """Ask them to stop, and kill what is left after that. psutil never hits a reused process id.

    Only those whose parent is not among them are asked, and waited for: each part ends its own children, and would
    take their sudden end for a failure.
    """
    everyone = list({process.pid: process for process in processes}.values())
    if patience:
        asked = without_their_children(everyone)
        for process in asked:
            _signal(process.terminate)
        psutil.wait_procs(asked, timeout=patience)
    for process in everyone:
        _signal(process.kill)
    psutil.wait_procs(everyone, timeout=PATIENCE)


def without_their_children(processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    pids = {process.pid for process in processes}
    return [process for process in processes if parent_of(process) not in pids]


def parent_of(process: psutil.Process) -> int | None:
    try:
        return process.ppid()
    except psutil.Error:  # gone
        return None


def _signal(send: Callable[[], None]) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        send()
