"""One call: what a caller asks of whom, what comes back, and the time it may take. Plain values."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.serving.catalog import ChatTarget
from shared.serving.protocol import FinishReason, TokenUsage
from shared.serving.requests import ChatTurn

# With less time left than this, s, no endpoint is asked.
TOO_LATE_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class ChatCall:
    """What somebody asks, of whom. `wait`: how long to wait, s, for a dataset that has to wake first."""

    model: str
    turns: Sequence[ChatTurn]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    stops: Sequence[str] = ()
    request_id: str = ""
    wait: float = 0.0


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
class ResolvedCall:
    """A call that can be sent: to whom, with which body and key; the answer has `longest` tokens at most."""

    target: ChatTarget
    body: Mapping[str, Any]
    key: str
    longest: int


@dataclass(frozen=True, slots=True)
class AnswerPiece:
    """An answer, or a piece of one, with who gave it. The last piece says why it ended, and what it took."""

    text: str
    dataset: str
    release: str
    deployment: str
    ended: FinishReason | None = None
    usage: TokenUsage | None = None
