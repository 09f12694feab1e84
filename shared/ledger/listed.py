"""What a listing shows of a row, so that nobody has to read rows that are passed over. Called by the ledger.

The metadata of a row's blob is written with the row. `state`, `next_look_at`, `attention` and `outbox` are there of
every row, and of a dataset all that the sweep, the list of models and the look for orphans need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from shared import naming
from shared.errors import NotFound
from shared.ledger.dataset_card import DatasetCard, dataset_card, read_dataset_card
from shared.ledger.record import to_metadata
from shared.ledger.release import ServingApi
from shared.ledger.rows import Dataset, Row
from shared.ledger.states import DatasetState, SnapshotState, part_of_live

# The form of a dataset's metadata. A row that shows another one, or none, was written by another version.
FORM = "7"
# The form of what was not listed but made of the row itself, because another version wrote that.
READ = "read"


@dataclass(frozen=True, slots=True)
class ListedRow:
    """A row as a listing shows it. `damage` says what is wrong with what the listing shows of it."""

    key: str
    state: str
    poll_at: float | None
    attention: bool
    damage: str = ""
    shown: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The id of the snapshot, or the dataset's name."""
        return self.key.split("/", 1)[1]

    def is_due(self, now: float) -> bool:
        """Whether its planned poll has come, and nobody has to act before."""
        return not self.attention and self.poll_at is not None and self.poll_at <= now

    @property
    def has_outbox(self) -> bool:
        """Whether people are yet to be told of something."""
        return "outbox" in self.shown


class ListedDataset(ListedRow):
    """A dataset as a listing shows it. Of rows of another version only the state is known, unless they were read."""

    @property
    def is_whole(self) -> bool:
        """Whether all that there is to show is known."""
        return self.shown.get("form") in (FORM, READ)

    @property
    def is_outdated(self) -> bool:
        """Whether its blob has the metadata of another version."""
        return self.shown.get("form") != FORM

    @property
    def endpoint(self) -> str:
        """The name of its endpoint, or nothing."""
        return self.shown.get("endpoint", "")

    @property
    def deployments(self) -> tuple[str, ...]:
        """The deployments of its releases."""
        return _split(self.shown.get("deployments", ""))

    @property
    def askable(self) -> tuple[str, ...]:
        """The snapshots whose releases can be asked by name."""
        return _split(self.shown.get("askable", ""))

    @property
    def live(self) -> str:
        """The snapshot that is live, awake or asleep, or nothing."""
        return self.shown.get("live", "")

    @property
    def api(self) -> ServingApi:
        """What the container of the live release speaks."""
        found: Any = self.shown.get("api", "")
        return found  # type: ignore[no-any-return] # as it was written

    @property
    def to_probe(self) -> bool:
        """Whether it is not on record what the container of its live release speaks."""
        return "probe" in self.shown

    @property
    def candidate(self) -> str:
        """The snapshot whose release is under way, or nothing."""
        return self.shown.get("candidate", "")

    @property
    def newest_registered(self) -> str:
        """The newest snapshot that has a model."""
        return self.shown.get("newest", "")

    @property
    def newest_released(self) -> str:
        """The newest snapshot whose release is live or has ended."""
        return self.shown.get("released", "")

    @property
    def waits(self) -> bool:
        """Whether a snapshot waits for its release."""
        return "next" in self.shown

    @property
    def is_asked(self) -> bool:
        """Whether a request is on record."""
        return "asked" in self.shown

    @property
    def since(self) -> float:
        """When its newest entry was made (UTC seconds)."""
        return float(self.shown.get("since", 0.0))

    @property
    def is_asleep(self) -> bool:
        """Whether what is live has no endpoint now."""
        return "asleep" in self.shown

    def part_of(self, snapshot: str) -> tuple[str, str]:
        """The state and the reason of a snapshot that is live or the candidate, as people see them; nothing of others.

        The reason is cut short.
        """
        if snapshot and snapshot == self.candidate:
            return self.state, self.card.reason
        if snapshot and snapshot == self.live:
            deleted = self.state == DatasetState.DELETING
            return part_of_live(self.state, self.is_asleep), self.card.reason if deleted else self.card.live_reason
        return "", ""

    @property
    def has_ended_time(self) -> bool:
        """Whether deployments of it ended that are not in the month's record yet."""
        return "ended" in self.shown

    @cached_property
    def card(self) -> DatasetCard:
        """What else a list for people tells of it; nothing of a card that somebody damaged."""
        return read_dataset_card(self.shown.get("card", ""))


def metadata(row: Row) -> dict[str, str]:
    """What a listing shall show of a row."""
    state: Any = row.state  # type: ignore[attr-defined]
    found = {"state": str(state)}
    if row.poll_at is not None:
        found["next_look_at"] = repr(row.poll_at)
    if row.attention:
        found["attention"] = "1"
    if row.outbox:
        found["outbox"] = "1"
    return found | _of_dataset(row) if isinstance(row, Dataset) else found


def listed(key: str, shown: Mapping[str, str]) -> ListedRow:
    """The row of this key by its metadata, whatever that holds."""
    kind, _, _ = key.partition("/")
    state, poll = shown.get("state", ""), shown.get("next_look_at", "")
    damage = "" if state in set(_STATES[kind]) else f"its metadata has the state {state[:40]!r}"
    for name in ("next_look_at", "since"):
        try:
            float(shown.get(name, 0))
        except ValueError:
            damage = f"its metadata has {name} {shown[name][:40]!r}"
    poll_at = float(poll) if poll and not damage else None
    made = ListedDataset if kind == "dataset" else ListedRow
    return made(key, state, poll_at, shown.get("attention") == "1", damage, shown)


def blob_name(key: str) -> str:
    """`snapshots/<dataset>/<id>.json` or `datasets/<name>.json`, by the kind of key. Raises NotFound for any other."""
    kind, _, name = key.partition("/")
    if kind == "dataset" and naming.DATASET.fullmatch(name):
        return f"datasets/{name}.json"
    if kind == "snapshot" and (dataset := naming.dataset_of(name)):
        return f"snapshots/{dataset}/{name}.json"
    raise NotFound(f"{key[:100]!r} is not the key of a row")


def key_of(kind: str, blob: str) -> str:
    """The key of the row of this kind that a blob of this name holds, or nothing."""
    key = f"{kind}/{blob.rsplit('/', 1)[-1].removesuffix('.json')}"
    try:
        return key if blob_name(key) == blob else ""
    except NotFound:
        return ""


_STATES: Mapping[str, Any] = {"snapshot": SnapshotState, "dataset": DatasetState}


def _of_dataset(row: Dataset) -> dict[str, str]:
    releases = [release for release in (row.live, row.candidate, row.previous) if release and release.deployment]
    found = {
        "endpoint": row.endpoint,
        "deployments": ",".join(release.deployment for release in releases),
        "askable": ",".join(release.snapshot for release in releases if row.can_be_asked(release)),
        "live": row.live.snapshot if row.live else "",
        "api": row.live.api if row.live else "",
        "candidate": row.candidate.snapshot if row.candidate else "",
        "newest": row.newest_registered,
        "released": row.newest_released,
        "next": "1" if row.next_release else "",
        "probe": "1" if row.to_probe else "",
        "asked": "1" if row.requested else "",
        "asleep": "1" if row.is_asleep else "",
        "since": repr(row.since),
        "ended": "1" if any(one.ended for one in row.machine_time) else "",
        "card": to_metadata(dataset_card(row)),
    }
    return {"form": FORM, **{name: value for name, value in found.items() if value}}


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
