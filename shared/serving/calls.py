"""One call: what a caller asks of whom, what comes back, and the time it may take. Plain values."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.ledger.release import Release, ServingApi
from shared.serving.catalog import ChatTarget
from shared.serving.fields import RequestExtras
from shared.serving.protocol import FinishReason, TokenUsage
from shared.serving.turns import ChatTurn

# With less time left than this, s, no endpoint is asked.
TOO_LATE_SECONDS = 0.5


@dataclass(slots=True)
class CallNotes:
    """What became of what a call asks for, noted as soon as it is known who answers; the answer's headers tell it.

    `ignored`: hints without effect. `unavailable`: what this deployment cannot give, of `stream`, `finish_reason` and
    `usage`.
    """

    ignored: tuple[str, ...] = ()
    unavailable: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatCall:
    """What somebody asks, of whom. `wait`: how long to wait, s, for a dataset that has to wake first.

    `extras` depend on who answers; `notes` is where the answering side writes what became of them.
    """

    model: str
    turns: Sequence[ChatTurn]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    stops: Sequence[str] = ()
    request_id: str = ""
    wait: float = 0.0
    extras: RequestExtras = field(default_factory=RequestExtras)
    notes: CallNotes = field(default_factory=CallNotes, compare=False)


@dataclass(slots=True)
class CallProgress:
    """A call on its way: when it has to be over (`ends`, monotonic), and which remedies were tried already."""

    call: ChatCall
    ends: float
    tried: set[str] = field(default_factory=set)

    @property
    def left(self) -> float:
        """Seconds that are left."""
        return self.ends - time.monotonic()

    def first(self, remedy: str) -> bool:
        """Whether this remedy was not tried yet; from now on it was."""
        if remedy in self.tried:
            return False
        self.tried.add(remedy)
        return True


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """What a release is sent for a call, by what its container speaks. The answer has `longest` tokens at most;
    `ignored` are the hints that it does not heed."""

    api: ServingApi
    body: Mapping[str, Any]
    longest: int
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResolvedCall:
    """A call that can be sent: to whom, where, what, and with which key. `release` will answer, or most probably."""

    target: ChatTarget
    release: Release
    uri: str
    prepared: PreparedCall
    key: str


@dataclass(frozen=True, slots=True)
class AnswerPiece:
    """An answer, or a piece of one, with who gave it. The last piece says why it ended, if that is known, and what it
    took."""

    text: str
    dataset: str
    release: str
    deployment: str
    ended: FinishReason | None = None
    end_estimated: bool = False
    usage: TokenUsage | None = None
