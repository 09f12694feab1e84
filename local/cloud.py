"""A whole local cloud as one object: `with Cloud(folder) as cloud:`; used by the supervisor process and by tests.

Starting ends what a crashed predecessor left in the folder; leaving the block ends everything that was started.
Parts keep ports, keys and files when they are killed and started again.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from local.azurite import AzuriteMissing
from local.parts import ROOT, CloudProcess, base_environment, local_parts
from local.ports import NoFreePort
from local.processes import MARK, ChildProcess, end, marked
from local.provision import ProvisioningFailed, provision
from local.reaper import Reaper
from local.record import CloudRecord, PartRecord, ProcessRecord, forget
from local.wiring import Wiring, wire

START_SECONDS = 90.0
LOOK_SECONDS = 0.02
LONGEST_LOG = 10 * 2**20

PartsOf = Callable[[Wiring, Mapping[str, str]], Sequence[CloudProcess]]


class StartFailed(Exception):
    """The cloud did not come up: the text says what is missing, or which part ended and what its log says last."""


class Cloud:
    """All parts in one folder. `settings` are app settings, read at each start of the host.

    `parts_of` and `furnish` (what is made once all parts are ready) can be replaced by tests of this class itself.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        parts_of: PartsOf = local_parts,
        furnish: Callable[[Wiring], None] = provision,
        on_ready: Callable[[str, float], None] = lambda name, seconds: None,
    ) -> None:
        self.folder = folder.resolve()
        self.settings = dict(settings or {})
        self._parts_of = parts_of
        self._furnish = furnish
        self._on_ready = on_ready
        self._children: dict[str, ChildProcess] = {}
        self._guard = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._start_all()
        except BaseException as error:
            self.close()
            missing = isinstance(error, AzuriteMissing | NoFreePort | ProvisioningFailed | OSError)
            if missing and not isinstance(error, BrokenPipeError):  # that is whoever waited and went away
                raise StartFailed(str(error)) from error
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def wiring(self) -> Wiring:
        """Ports and keys."""
        return self._wiring

    @property
    def record(self) -> CloudRecord:
        """What cloud.json says."""
        return self._record

    @property
    def description(self) -> dict[str, Any]:
        """The same as a dictionary."""
        found: dict[str, Any] = msgspec.to_builtins(self._record)
        return found

    def start(self, name: str) -> None:
        """Start a part that was stopped or killed, as it was and with the settings of now; return when it is ready."""
        part = self._part(name)
        self._spawn(part)
        self._await([part], time.monotonic())
        self._write_record()

    def stop(self, name: str) -> None:
        """Ask a part to stop and wait for its end."""
        self._children.pop(name).stop()

    def kill(self, name: str) -> None:
        """End a part and its children without warning, as a crash would."""
        self._children.pop(name).kill()

    def restart(self, name: str) -> None:
        """Stop and start, for instance after a change of `settings`."""
        self.stop(name)
        self.start(name)

    def log(self, name: str, lines: int = 40) -> str:
        """The end of a part's log."""
        return tail(self._log_of(name), lines)

    def ended(self) -> dict[str, int]:
        """Exit codes of the parts that ended without being asked to."""
        codes = {name: child.exit_code for name, child in self._children.items()}
        return {name: code for name, code in codes.items() if code is not None}

    def close(self) -> None:
        """Stop all parts, those that others rely on last. Again: nothing to do."""
        while self._children:
            self._children.popitem()[1].stop()
        self._guard.close()
        forget(self.folder)

    def _start_all(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        end(marked(mark_prefix(self.folder)))
        self._wiring = wire(self.folder)
        self._mark = mark_prefix(self.folder) + str(uuid.uuid4())
        self._guard.enter_context(Reaper(self._mark))
        began = time.monotonic()
        self._await(self._parts_of(self._wiring, self.settings), began)
        self._furnish(self._wiring)
        self._on_ready("everything", time.monotonic() - began)
        self._write_record()

    def _await(self, parts: Sequence[CloudProcess], began: float) -> None:
        """Start each part as soon as those it comes after are ready; return when all are."""
        waiting = {part.name: part for part in parts}
        while waiting:
            for part in list(waiting.values()):
                if part.name not in self._children and not waiting.keys() & set(part.after):
                    self._spawn(part)
                if part.name in self._children and self._is_ready(part, began):
                    del waiting[part.name]
                    self._on_ready(part.name, time.monotonic() - began)
            time.sleep(LOOK_SECONDS)

    def _is_ready(self, part: CloudProcess, began: float) -> bool:
        code = self._children[part.name].exit_code
        if code is not None:
            raise StartFailed(f"{part.name} ended with code {code}. {self._last_words(part.name)}")
        if part.ready():
            return True
        if time.monotonic() - began > START_SECONDS:
            raise StartFailed(f"{part.name} did not answer within {START_SECONDS:.0f} s. {self._last_words(part.name)}")
        return False

    def _last_words(self, name: str) -> str:
        # Logs are appended to: the errors of an earlier start would be taken for the reason of this one.
        child = self._children[name]
        return f"The end of its log:\n{tail(child.log, 40, child.log_start)}"

    def _spawn(self, part: CloudProcess) -> None:
        log = self._log_of(part.name)
        if log.exists() and log.stat().st_size > LONGEST_LOG:
            log.replace(log.with_suffix(".log.1"))
        environment = {**base_environment(), **part.environment, MARK: self._mark}
        self._children[part.name] = ChildProcess.start(part.command, environment, log, folder=ROOT)

    def _part(self, name: str) -> CloudProcess:
        parts = {part.name: part for part in self._parts_of(self._wiring, self.settings)}
        if name not in parts:
            raise KeyError(f"there is no part {name!r}; the parts are {', '.join(parts)}")
        if name in self._children:
            raise ValueError(f"{name} runs already")
        return parts[name]

    def _write_record(self) -> None:
        ports = {part.name: part.port for part in self._parts_of(self._wiring, self.settings)}
        parts = {
            name: PartRecord(ProcessRecord.of(child.pid), ports[name], str(child.log))
            for name, child in self._children.items()
        }
        self._record = CloudRecord.describe(self._wiring, os.getpid(), parts, dict(self.settings))
        self._record.write(self.folder)

    def _log_of(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"


def mark_prefix(folder: Path) -> str:
    """How the marks of all clouds in this folder begin, now and before."""
    return f"{folder.resolve()}#"


def tail(log: Path, lines: int, start: int = 0) -> str:
    """The last lines of a log that may be long, or may not be there; nothing from before the byte `start`."""
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(start, log.stat().st_size - 200 * lines))
        return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-lines:])
