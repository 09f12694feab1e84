"""A ledger over in-memory storage with step handlers that do what a test says; for the tests of the ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from shared.errors import (
    PermanentError,
)
from shared.ledger.engine import INTENT_GRACE, Engine, StepResult
from shared.ledger.states import SnapshotState as S
from shared.ledger.store import PUBLISH, Ledger
from tests.builders import SNAPSHOT
from tests.fakes import START, Clock, FakeStorage, Process

KEY = f"snapshot/{SNAPSHOT}"
FAULT_SECONDS = 30.0


@dataclass
class FakeHandler:
    """A step's handler that does what the test says, and counts."""

    does: Callable[[Any], StepResult]
    is_ready: bool = True
    ends: StepResult | None = None
    acts: int = 0

    def ready(self, row: Any) -> bool:
        return self.is_ready

    def act(self, row: Any, lease: Any) -> StepResult:
        self.acts += 1
        return self.does(row)

    def failed(self, row: Any, error: PermanentError) -> StepResult | None:
        return self.ends


@dataclass
class LedgerWorld:
    """A ledger over in-memory storage, with one row. A topic is told of what is written after it was kept."""

    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.storage = FakeStorage(self.clock, Process())
        fake: Any = self.storage
        self.ledger = Ledger(fake, self.clock)

    def keep(self, row: Any) -> Any:
        """Creates the row as it is, and forgets the message of its creation."""
        kept = self.ledger.create(row)
        self.storage.messages.clear()
        self.ledger.channels = ("topic",)
        return kept.row

    def stored(self) -> tuple[tuple[str, str], Any]:
        """The one row as it is stored, with its container and name."""
        ((place, stored),) = [found for found in self.storage.blobs.items() if found[0][1].endswith(".json")]
        return place, stored

    def row(self, key: str = KEY) -> Any:
        return self.ledger.read(key).row

    def advance(self, handlers: dict[str, FakeHandler], message: str = KEY) -> str:
        every = {"snapshot": handlers, "dataset": handlers}
        return Engine(self.ledger, every, FAULT_SECONDS).advance(message)

    def told(self, key: str = KEY) -> list[tuple[str, str, str]]:
        """What the row's outbox has: subject, state and reason."""
        return [(one.subject, one.data["state"], one.data["reason"]) for one in self.row(key).outbox]

    def looks(self) -> list[tuple[float, str]]:
        """What is in the queue, in seconds from now, but for the watch that is set over an intent at the start, and
        what is to be told."""
        due = [(at, message) for at, _, message in self.storage.messages if not message.endswith(PUBLISH)]
        return [(at - self.clock(), message) for at, message in due if at != START + INTENT_GRACE]


def validates(**more: Any) -> dict[str, FakeHandler]:
    """A validate step that accepts."""
    return {"validate": FakeHandler(lambda row: StepResult(S.VALIDATED, "fine", **more))}


def raises(error: Exception, **more: Any) -> dict[str, FakeHandler]:
    """A validate step that fails."""

    def does(row: Any) -> StepResult:
        raise error

    return {"validate": FakeHandler(does, **more)}
