"""What is kept of snapshots that ended well, and for how long: files to train on, evaluations, logs, reports of nights.
Also locks that nobody holds any more.

Called by the nightly round. Each kind has a setting in days, 0 keeps it for ever. What a dataset's row needs stays
whatever its age: of what is live, of the candidate, of the release before, and of the newest model; so does all that
belongs to an open snapshot. Blobs are listed, never rows; a repeat deletes what a round that was cut off left.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from shared.ledger import counts
from shared.snapshots import erasing

if TYPE_CHECKING:
    from shared.azure.storage import Blob
    from shared.config.settings import Settings
    from shared.runtime import Services

log = logging.getLogger(__name__)

DAY = 86_400.0
IDLE_REPORTS = "idle/"
# A row that is worked on more rarely has its lock made anew, which takes two requests.
LOCKS_KEPT_DAYS = 7.0
# Other than files of snapshots: how calls ended, which the nightly round forgets by itself.
_COUNTS = (counts.FOLDER, counts.OLD_FOLDER)


@dataclass(frozen=True, slots=True)
class KeptKind:
    """One kind of blob: its container, the end of its names if only some are meant, and how many days it is kept."""

    container: str
    days: float
    ending: str = ""

    def is_over(self, blob: Blob, now: float) -> bool:
        """Whether a blob is of this kind and older than that."""
        mine = blob.name.endswith(self.ending) and not blob.name.startswith(_COUNTS)
        return mine and now > blob.uploaded_at + self.days * DAY


def kinds(settings: Settings) -> Iterator[KeptKind]:
    """All that is not kept for ever, by the settings; those of one container follow each other."""
    # A snapshot that can still be retried needs its files.
    files = max(settings.keep_files_days, settings.keep_days) if settings.keep_files_days else 0.0
    found = [
        *(KeptKind(container, files) for container in ("frozen", "work", "quarantine")),
        KeptKind("evaluations", settings.keep_evaluations_days),
        KeptKind("evaluations", settings.keep_logs_days, ".log.json"),
        KeptKind("reports", settings.keep_logs_days, ".log"),
    ]
    return (kind for kind in found if kind.days)


def forget(services: Services) -> list[str]:
    """Deletes what was kept long enough; gives the names of the snapshots of which something was deleted."""
    needed, gone = _needed(services), set[str]()
    for container, found in groupby(kinds(services.settings), lambda kind: kind.container):
        for kind, blobs in _over(services, container, list(found), needed).items():
            services.storage.delete_many(container, [blob.name for blob in blobs])
            gone |= {erasing.snapshot_of(blob.name) for blob in blobs}
            if blobs:
                log.info("%s: %d blobs were kept for %g days and are deleted", container, len(blobs), kind.days)
    return sorted(gone)


def kept_long_enough(services: Services) -> dict[str, list[Blob]]:
    """What `forget` would delete now, by container; those of which there is anything."""
    found: dict[str, list[Blob]] = {}
    needed = _needed(services)
    for container, some in groupby(kinds(services.settings), lambda kind: kind.container):
        if blobs := [blob for over in _over(services, container, list(some), needed).values() for blob in over]:
            found[container] = blobs
    return found


def _over(services: Services, container: str, found: list[KeptKind], needed: set[str]) -> dict[KeptKind, list[Blob]]:
    """The blobs of a container that were kept long enough, by kind."""
    over: dict[KeptKind, list[Blob]] = {kind: [] for kind in found}
    for blob in services.storage.list(container):
        snapshot = erasing.snapshot_of(blob.name)
        kind = next((kind for kind in over if kind.is_over(blob, services.clock())), None)
        if kind and snapshot and snapshot not in needed:
            over[kind].append(blob)
    return over


def forget_nights(services: Services) -> list[str]:
    """Deletes the reports of nights as old as logs may be; gives the names of those deleted."""
    kind = KeptKind("reports", services.settings.keep_logs_days)
    if not kind.days:
        return []
    found = services.storage.list(kind.container, IDLE_REPORTS)
    over = [blob.name for blob in found if kind.is_over(blob, services.clock())]
    services.storage.delete_many(kind.container, over)
    return over


def forget_locks(services: Services) -> list[str]:
    """Deletes locks that were made long ago and that nobody holds; gives the names of the old ones.

    One that is held stays. Whoever wants a lock that is gone makes it anew: at no moment do two hold it.
    """
    before = services.clock() - LOCKS_KEPT_DAYS * DAY
    old = [blob.name for blob in services.storage.list("locks") if blob.uploaded_at < before]
    services.storage.delete_many("locks", old)
    return old


def _needed(services: Services) -> set[str]:
    """The snapshots of which nothing is deleted: the open ones, and those whose release serves or may be next."""
    needed = {kept.snapshot for kept in services.ledger.cards.list()}
    for row in services.ledger.datasets():
        needed |= {row.live, row.candidate, row.newest_registered, *row.askable}
    return needed
