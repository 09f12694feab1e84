"""What carries this installation's tag in Azure ML and no row explains: it costs money, and nobody would look at it.

Called by each sweep. What is found is put on record (`ledger/_orphans.json`), and removed once it was found at every
look for `ORPHAN_GRACE_HOURS`, after a second reading of the ledger under the dataset's lease. A ledger that cannot be
listed explains nothing; one that lists no dataset at all may have been deleted: then what is found is only told, and
nothing is removed. Running it twice at once is harmless.

The other way round, a dataset that is LIVE and whose endpoint is gone is asked to sleep, so that a question wakes it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from shared import naming
from shared.errors import LedgerConflict, NotFound, PipelineError
from shared.ledger import fence, listed
from shared.ledger.listed import ListedDataset, ListedRow
from shared.ledger.record import Struct
from shared.ledger.rows import Origin, Request
from shared.ledger.states import WITHOUT_ENDPOINT, DatasetState, SnapshotState
from shared.ledger.storage import read_record, write_if_still
from shared.ledger.store import CONTAINER
from shared.operations import open_rows
from shared.operations.rounds import for_each
from shared.releases import idle
from shared.releases.endpoints import CHANGING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence

    from shared.azure.workspace.endpoints import Endpoint
    from shared.ledger.rows import Dataset
    from shared.runtime import Services

log = logging.getLogger(__name__)

BLOB = "_orphans.json"
REMOVED_KEPT = 100
# A removal that Azure accepts and does not carry out is started again after the grace time, doubled each time up to so
# often.
_SLOWEST = 5


class Orphan(Struct, frozen=True, kw_only=True):
    """An endpoint, or a deployment behind one, that no row explains: why, and since when it is known (UTC seconds).

    `tries`: how often its removal was started.
    """

    endpoint: str
    deployment: str = ""
    dataset: str = ""
    why: str = ""
    since: float = 0.0
    removed_at: float = 0.0
    tries: int = 0

    @property
    def name(self) -> str:
        """The endpoint, or endpoint and deployment."""
        return f"{self.endpoint}/{self.deployment}" if self.deployment else self.endpoint


class Orphans(Struct, frozen=True, kw_only=True):
    """What is known now, and what was removed of late, newest last."""

    found: tuple[Orphan, ...] = ()
    removed: tuple[Orphan, ...] = ()


_ORPHANS = msgspec.json.Decoder(Orphans)


@dataclass(frozen=True, slots=True)
class _Kept:
    record: Orphans
    etag: str


def on_record(services: Services) -> Orphans:
    """What the last round left on record."""
    return _read(services).record


def collect(
    services: Services, datasets: Sequence[ListedDataset], damaged: MutableMapping[str, str] | None = None
) -> list[str]:
    """One round: records what no row explains, removes what is on record for longer than the grace time.

    `datasets`: all there are, as they were listed for it. Returns the names of what it removed. Raises what the ledger
    and the workspace raise; then nothing was removed. In `damaged` it collects what is wrong with rows that it meets.
    """
    rows = {found.name: found for found in datasets}
    kept, now = _read(services), services.clock()
    since = {orphan.name: orphan.since for orphan in kept.record.found}
    endpoints = services.workspace.endpoints.list()
    tries = {orphan.name: orphan.tries for orphan in kept.record.removed}
    found = tuple(_again(o, since.get(o.name, now), tries.get(o.name, 0)) for o in _orphans(services, endpoints, rows))
    for orphan in found:
        if orphan.name not in since:
            log.warning("%s costs money and no row explains it: %s", orphan.name, orphan.why)
    try:
        kept = _write(services, kept, kept.record.but(found=found))
        grace = services.settings.orphan_grace_hours * 3600
        explains = found and _explains(services, datasets)
        due = [o for o in found if explains and now - o.since >= grace * 2 ** min(o.tries, _SLOWEST)]
        removed = tuple(o.but(removed_at=now, tries=o.tries + 1) for o in due if _remove(services, o))
        if removed:
            gone = {orphan.name for orphan in removed}
            left = tuple(orphan for orphan in found if orphan.name not in gone)
            record = Orphans(found=left, removed=(*kept.record.removed, *removed)[-REMOVED_KEPT:])
            _write(services, kept, record)
    except LedgerConflict:  # another sweep is at it
        return []
    _request_sleep_of_vanished(services, {endpoint.name for endpoint in endpoints}, datasets, damaged)
    return [orphan.name for orphan in removed]


def _explains(services: Services, rows: Sequence[ListedRow]) -> bool:
    """Whether the ledger tells anything: it has rows, or those that it had were deleted by people."""
    return bool(rows or services.ledger.deletions.all())


def _again(orphan: Orphan, since: float, tries: int) -> Orphan:
    """An orphan with its past: one that is found though its removal was started, says so."""
    why = f"{orphan.why}; its removal was started {tries} times, and it is there" if tries else orphan.why
    found: Orphan = orphan.but(since=since, tries=tries, why=why)
    return found


def _orphans(services: Services, endpoints: Iterable[Endpoint], rows: Mapping[str, ListedDataset]) -> Iterator[Orphan]:
    """What the rows do not explain, of all that carries the tag."""
    for endpoint in endpoints:
        if endpoint.tags.get(naming.TAG_INSTALLATION) != services.installation:
            continue
        dataset = endpoint.tags.get(naming.TAG_DATASET, "")
        row = rows.get(dataset)
        if row and (row.damage or not row.is_whole):  # it may explain all of this
            log.error("%s is left alone: the row of %s cannot be read", endpoint.name, dataset)
            continue
        if row is None and _is_remade(services, dataset):
            continue
        if why := _unexplained(row, endpoint.name):
            yield Orphan(endpoint=endpoint.name, dataset=dataset, why=why)
            continue
        for deployment in services.workspace.deployments.list(endpoint.name):
            ours = deployment.tags.get(naming.TAG_INSTALLATION) == services.installation
            if ours and (why := _unexplained(row, endpoint.name, deployment.name)):
                yield Orphan(endpoint=endpoint.name, deployment=deployment.name, dataset=dataset, why=why)


def _is_remade(services: Services, dataset: str) -> bool:
    """Whether the row of a dataset that has none was made anew: it was deleted, if a snapshot of it has a model."""
    if not naming.DATASET.fullmatch(dataset):
        return False
    states = {found.state for found in services.ledger.list("snapshot", dataset)}
    return SnapshotState.REGISTERED in states and bool([*open_rows.remake(services, [dataset])])


def _unexplained(row: ListedDataset | None, endpoint: str, deployment: str = "") -> str:
    """Why a row does not explain a resource, or nothing if it does."""
    if row is None:
        return "its dataset has no row"
    if row.state == DatasetState.DELETING:  # which removes all that it has
        return ""
    if row.endpoint != endpoint:
        return f"{row.name} has the endpoint {row.endpoint or '(none)'}"
    if row.state in WITHOUT_ENDPOINT:
        return f"{row.name} is {row.state}"
    return f"{row.name} has no such release" if deployment and deployment not in row.deployments else ""


def _remove(services: Services, orphan: Orphan) -> bool:
    """Whether its removal was started: under the dataset's lease, if the row read anew does not explain it either."""
    try:
        lease = services.storage.lease(orphan.dataset or orphan.endpoint)
    except PipelineError:
        return False
    try:
        with fence.under(lease):
            return _start_removal(services, orphan)
    except PipelineError as error:
        log.warning("%s was not removed, which is tried again: %s", orphan.name, error)
        return False
    finally:
        lease.release()


def _start_removal(services: Services, orphan: Orphan) -> bool:
    rows = list(services.ledger.list("dataset"))
    endpoint = services.workspace.endpoints.get(orphan.endpoint)
    if not _explains(services, rows) or not _unexplained(
        _row(services, orphan.dataset), orphan.endpoint, orphan.deployment
    ):
        return False
    ours = endpoint is not None and endpoint.tags.get(naming.TAG_INSTALLATION) == services.installation
    if endpoint is None or not ours or endpoint.state in CHANGING:
        return False
    if orphan.deployment:
        services.workspace.deployments.delete(orphan.endpoint, orphan.deployment)
    else:
        services.workspace.endpoints.delete(orphan.endpoint)
    log.warning("removing %s, which no row explains: %s", orphan.name, orphan.why)
    return True


def _request_sleep_of_vanished(
    services: Services, endpoints: set[str], datasets: Iterable[ListedDataset], damaged: MutableMapping[str, str] | None
) -> None:
    """Asks datasets to sleep that are LIVE and whose endpoint is not among those listed; the step looks once more."""
    up = [row for row in datasets if row.state == DatasetState.LIVE and row.is_whole and not row.attention]
    vanished = [row.key for row in up if row.endpoint not in endpoints and not row.is_asked]
    by = "the sweep: its endpoint is gone"
    request = Request(what="sleep", by=by, at=services.clock(), origin=Origin.SWEEP)
    for key in for_each(
        vanished, partial(services.ledger.change, edit=partial(idle.with_request, request=request)), damaged
    ):
        services.ledger.hint(key)


def _row(services: Services, dataset: str) -> ListedDataset | None:
    """The dataset as it is now: its row is read, and shown as a listing shows it."""
    try:
        row: Dataset = services.ledger.read(f"dataset/{dataset}").row
    except NotFound:
        return None
    shown = listed.listed(row.key, listed.metadata(row))
    return shown if isinstance(shown, ListedDataset) else None


def _read(services: Services) -> _Kept:
    return _Kept(*read_record(services.storage, CONTAINER, BLOB, _ORPHANS, Orphans()))


def _write(services: Services, kept: _Kept, record: Orphans) -> _Kept:
    """The record as it is to be. Raises LedgerConflict when somebody else wrote it meanwhile."""
    if record == kept.record:
        return kept
    data = msgspec.json.encode(record)
    return _Kept(record, write_if_still(services.storage, CONTAINER, BLOB, data, kept.etag))
