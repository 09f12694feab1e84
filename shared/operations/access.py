"""What the app's identity may not do for want of a role: found out by reading, put on record, told to people.

Called by the sweep, and by the routes that tell of it (health, the list of snapshots). One harmless read stands for
each thing that a role is needed for, and what rows say of refusals comes on top: some roles show in writes only.
Looking is repeated every hour, and at each sweep while something is missing, because a new role takes minutes to count.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from shared.errors import AccessDenied, Damaged, NotFound, PipelineError
from shared.ledger.record import Struct
from shared.ledger.storage import read_record
from shared.ledger.store import CONTAINER

if TYPE_CHECKING:
    from shared.ledger.cards import KeptCard
    from shared.ledger.listed import ListedDataset
    from shared.runtime import Services

log = logging.getLogger(__name__)

BLOB = "_access.json"
_EVERY_SECONDS = 3600.0
# Pauses after a fault are shorter (s); what is polled later waits for something else.
_SOON = 3600.0
# No job can have it: only whether it may be looked for matters.
_NO_JOB = "droptune-access"


class AccessProblem(Struct, frozen=True, kw_only=True):
    """Something that the app's identity may not do: `text` names it and the role, `since` is when it was first seen."""

    text: str
    since: float = 0.0


class AccessRecord(Struct, frozen=True, kw_only=True):
    """What was found when somebody looked last (UTC seconds)."""

    at: float = 0.0
    problems: tuple[AccessProblem, ...] = ()


_RECORD = msgspec.json.Decoder(AccessRecord)


def on_record(services: Services) -> AccessRecord:
    """What was found last; nothing where nobody has looked. Raises Damaged when the record cannot be read."""
    return read_record(services.storage, CONTAINER, BLOB, _RECORD, AccessRecord())[0]


def record(services: Services, cards: Iterable[KeptCard], datasets: Iterable[ListedDataset]) -> None:
    """Looks for missing roles, if it is time, and puts on record what is missing. `cards` and `datasets` as they were
    listed may say more."""
    known, now = _known(services), services.clock()
    if not known.problems and known.at <= now < known.at + _EVERY_SECONDS:
        return
    since = {problem.text: problem.since for problem in known.problems}
    texts = sorted({*refused_reads(services), *_of_snapshots(cards), *_of_datasets(services, datasets)})
    for text in texts:
        log.error("%s", text)
    problems = tuple(AccessProblem(text=text, since=since.get(text, now)) for text in texts)
    services.storage.put(CONTAINER, BLOB, msgspec.json.encode(AccessRecord(at=now, problems=problems)))


def _known(services: Services) -> AccessRecord:
    """What was found last, or nothing: what cannot be read is written anew."""
    try:
        return on_record(services)
    except Damaged:
        return AccessRecord()


def refused_reads(services: Services) -> Iterator[str]:
    """What is said of each read that is refused for want of a role."""
    reads: tuple[Callable[[], object], ...] = (
        services.workspace.location,
        lambda: services.workspace.jobs.get(_NO_JOB),
        services.workspace.compute.sizes,
        services.workspace.quota.usages,
        services.metrics.check_access,
    )
    for read in reads:
        try:
            read()
        except AccessDenied as error:
            yield str(error)
        except PipelineError as error:
            log.info("whether a role is missing is not known: %s", error)


def _of_snapshots(cards: Iterable[KeptCard]) -> Iterator[str]:
    """What snapshots say that were refused something for want of a role."""
    for kept in cards:
        kind, _, message = kept.card.fault.partition(": ") if kept.card else ("", "", "")
        if kind == AccessDenied.__name__:
            yield message


def _of_datasets(services: Services, datasets: Iterable[ListedDataset]) -> Iterator[str]:
    """The same of datasets; those are read that may have been refused something of late."""
    soon = services.clock() + _SOON
    for found in datasets:
        if found.damage or not (found.attention or (found.poll_at is not None and found.poll_at <= soon)):
            continue
        try:
            fault = services.ledger.read(found.key).row.fault
        except (NotFound, Damaged):
            continue
        if fault is not None and fault.type == AccessDenied.__name__:
            yield fault.message
