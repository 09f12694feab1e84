"""The topic of a history, and what it has to be told: that is seen in the rows as they are written, past the app's own
account of what it tells.

Each thing that becomes true is told at least once, and nothing else is: there are as many different events of a kind as
there were occasions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from shared.ledger.outbox import Notice, SendResult
from shared.ledger.rows import Dataset, Snapshot
from shared.ledger.states import DatasetState, ReleaseState, SnapshotState
from shared.operations import rebuild
from shared.operations.status import visible_state

if TYPE_CHECKING:
    from tests.chaos.world import ChaosWorld

S, D, R = SnapshotState, DatasetState, ReleaseState
# States in which a step is at work: nobody waits for them.
_PASSING = {S.VALIDATING, S.SUBMITTING, S.REGISTERING, S.CANCELING, S.CLEANING}
_OF_RELEASES = {*map(str, R)} - {str(R.SUPERSEDED)}
_RESTS = {D.EMPTY, D.LIVE, D.ASLEEP, D.DELETING}

# What was to be told: the subject, and its state or what else it is.
type Occasion = tuple[str, str]


class ChaosTopic:
    """Takes events unless it is deaf. `occasions` counts what was to be told, `told` has the ids of what was."""

    def __init__(self, world: ChaosWorld) -> None:
        self.world = world
        self.deaf = False
        self.occasions: dict[Occasion, int] = defaultdict(int)
        self.told: dict[Occasion, set[str]] = defaultdict(set)

    def send(self, source: str, notices: Sequence[Notice]) -> SendResult:
        if self.deaf:
            return SendResult(0, error="HTTP 503")
        for notice in notices:
            occasion = (notice.subject, _word(notice))
            if not self._is_known(notice.subject):
                continue
            self.told[occasion].add(notice.id)
            known = self.occasions[occasion]
            self.world.promises.require(
                len(self.told[occasion]) <= known, f"{occasion} is told {len(self.told[occasion])} times, true {known}"
            )
        return SendResult(len(notices))

    def written(self, old: Any, new: Any) -> None:
        """A row is written."""
        if isinstance(new, Snapshot):
            if (old is None or old.state != new.state) and new.state not in _PASSING:
                self.occasions[new.key, str(new.state)] += 1
        elif old is not None:
            for occasion in self._of_dataset(old, new):
                self.occasions[occasion] += 1
        if new.attention and not (old and old.attention):
            self.occasions[new.key, "attention"] += 1

    def refused(self, name: str) -> None:
        """An upload is refused."""
        self.occasions[f"refused/{name}", "refused"] += 1

    def forget(self, row: Any) -> None:
        """A row is lost, and what it had to tell with it."""
        for notice in row.outbox:
            self.occasions[notice.subject, _word(notice)] -= 1
            self.told[notice.subject, _word(notice)].discard(notice.id)

    def broken(self) -> Iterator[str]:
        """What was not told."""
        for (subject, word), times in self.occasions.items():
            told = len(self.told[subject, word])
            if told != times:
                yield f"{subject} {word} is told {told} times, true {times}"

    def _is_known(self, subject: str) -> bool:
        """Whether it is no snapshot that somebody else's deployment was named for: of that no row tells."""
        kind, _, name = subject.partition("/")
        known = any(row.id == name for row in self.world.rows("snapshot"))
        return kind != "snapshot" or known or any(at == subject for at, _ in self.occasions)

    def _of_dataset(self, old: Dataset, new: Dataset) -> Iterator[Occasion]:
        for row in self.world.rows("snapshot"):
            if row.dataset == new.name and row.state == S.REGISTERED:
                state = visible_state(row, new)[0]
                if state != visible_state(row, old)[0] and state in _OF_RELEASES:
                    yield row.key, state
        if new.state != old.state and new.state in _RESTS and new.reason != rebuild.WHY:
            yield new.key, str(new.state)


def _word(notice: Notice) -> str:
    kind = notice.type.removeprefix("Droptune.")
    return {"AttentionNeeded": "attention", "UploadRefused": "refused"}.get(kind) or str(notice.data["state"])
