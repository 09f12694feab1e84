"""People are told what is in the outboxes: of rows, of refused uploads, of nightly reports.

Called by the queue function right after the write that filled an outbox, and by the sweep for what was left: the sweep
moves it to the backlog and sends that. At least once: who is cut off between sending and noting it sends again, under
the same id. A channel that takes nothing is asked once a sweep, and once a minute by each process, however much waits.
"""

from __future__ import annotations

import json
import logging
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import batched, islice
from typing import TYPE_CHECKING, Any

import msgspec

from shared import naming
from shared.errors import Damaged, LedgerConflict, NotFound, PipelineError
from shared.ledger import imports, notices, outbox
from shared.ledger.outbox import Notice, SendResult
from shared.operations import backlog, retention
from shared.snapshots import erasing, refusals

if TYPE_CHECKING:
    from shared.ledger.listed import ListedDataset
    from shared.ledger.outbox import Channel
    from shared.ledger.record import Struct
    from shared.operations.backlog import Backlog
    from shared.runtime import Services

log = logging.getLogger(__name__)

# What is younger (s) is left to the worker that was asked to send it.
_GRACE = 60.0
# A process leaves a channel alone for so long (s) that did not take what it was sent.
_PAUSE = 60.0
# So many go in one request; a sweep takes so many from outboxes, and sends for so long (s) to one channel.
_BATCH, _MOST_TAKEN, _SEND_SECONDS = 20, 500, 60.0
_DOWN: weakref.WeakKeyDictionary[Any, float] = weakref.WeakKeyDictionary()

# A notice that is over for a channel: its id and the channel's name.
type Over = frozenset[tuple[str, str]]


def publish(services: Services, key: str) -> str:
    """Sends what one outbox has, and says what was done. Raises what storage raises."""
    found = [one for one in _outbox(services, key) if one.to]
    if not found:
        return "nothing to tell"
    over: set[tuple[str, str]] = set()
    for name, channel in services.channels.items():
        wanted = [one for one in found if name in one.to]
        if not wanted or _DOWN.get(channel, 0.0) > time.monotonic():
            continue
        result = _send(services, channel, wanted)
        over |= {(one.id, name) for one in wanted[: result.done]}
        if result.error:
            _DOWN[channel] = time.monotonic() + _PAUSE
            log.warning("the %s is not told of %s yet, which the sweep does: %s", name, key, result.error)
    _settle(services, key, frozenset(over))
    return "told" if all((one.id, name) in over for one in found for name in one.to) else "told in part"


def empty(services: Services, untold: Iterable[str], datasets: Iterable[ListedDataset]) -> None:
    """Sends what waits everywhere. `untold`: keys of snapshots whose outboxes have something; `datasets` as listed."""
    if services.channels:  # without one nothing is added: what is there already is for nobody any more
        keys = [*untold, *(row.key for row in datasets if row.has_outbox), *_untold_blobs(services)]
        for key in islice(keys, _MOST_TAKEN):
            try:
                take(services, key, _GRACE)
            except PipelineError as error:
                log.info("what %s tells is left to the next sweep: %s", key, error)
    known = backlog.on_record(services)
    if known.waiting or known.troubles:
        results = {name: _sent(services, name, channel, known.waiting) for name, channel in services.channels.items()}
        backlog.change(services, partial(_after, services, results=results, now=services.clock()))


def take(services: Services, key: str, grace: float = 0.0) -> bool:
    """Moves what an outbox has to the backlog, from which a sweep sends it: the row is to be deleted or made anew, or
    nobody came. Says whether there was anything.

    What is younger than `grace` (s) is left to whoever was asked to send it.
    """
    late = [one for one in _outbox(services, key) if one.at <= services.clock() - grace]
    if late:
        backlog.change(services, lambda known: backlog.with_added(known, late))
        _settle(services, key, frozenset((one.id, name) for one in late for name in one.to))
    return bool(late)


def _sent(services: Services, name: str, channel: Channel, waiting: Sequence[Notice]) -> tuple[Over, SendResult]:
    """Sends to one channel what waits for it, until it takes no more or has had its time."""
    wanted = [one for one in waiting if name in one.to]
    done, refused, error, end = 0, 0, "", time.monotonic() + _SEND_SECONDS
    for batch in batched(wanted, _BATCH, strict=False):
        result = _send(services, channel, batch)
        done, refused, error = done + result.done, refused + result.refused, result.error
        if error or time.monotonic() > end:
            break
    if error:
        log.warning("the %s takes no notices, of which %d wait: %s", name, len(wanted) - done, error)
    return frozenset((one.id, name) for one in wanted[:done]), SendResult(done, refused, error)


def _send(services: Services, channel: Channel, wanted: Sequence[Notice]) -> SendResult:
    source = f"/droptune/{services.installation}"
    try:
        return channel.send(source, wanted)
    except Exception as error:  # noqa: BLE001 - no channel stops what it tells of
        return SendResult(0, error=type(error).__name__)


def _after(services: Services, known: Backlog, results: Mapping[str, tuple[Over, SendResult]], now: float) -> Backlog:
    """The backlog without what is over, and with what is wrong with a channel now."""
    over = {one for found, _ in results.values() for one in found}
    troubles = {}
    for name, (_, result) in results.items():
        if result.error:
            since = known.troubles[name].since if name in known.troubles else now
            troubles[name] = backlog.ChannelTrouble(since=since, error=result.error)
    waiting = outbox.left(known.waiting, lambda one, name: name not in services.channels or (one.id, name) in over)
    refused = known.refused + sum(result.refused for _, result in results.values())
    after: Backlog = known.but(waiting=waiting, troubles=troubles, refused=refused)
    return after


# --- outboxes -----------------------------------------------------------------------------------------------------


def _outbox(services: Services, key: str) -> tuple[Notice, ...]:
    """What one outbox has; nothing for what is not there, or cannot be read."""
    try:
        if place := _blob_of(key):
            blob = _notice_blob(services, key, *place)
            return (blob.notice,) if blob else ()
        found: tuple[Notice, ...] = services.ledger.read(key).row.outbox
    except (NotFound, Damaged):
        return ()
    return found


def _settle(services: Services, key: str, over: Over) -> None:
    """Takes out of an outbox what is over, and what is for channels that are no more."""

    def is_over(one: Notice, name: str) -> bool:
        return name not in services.channels or (one.id, name) in over

    if place := _blob_of(key):
        _settle_blob(services, key, *place, is_over)
    else:
        services.ledger.change(key, lambda row: row.but(outbox=outbox.left(row.outbox, is_over)))


def _untold_blobs(services: Services) -> Iterator[str]:
    for kind, (container, folder, _) in _BLOBS.items():
        for blob in services.storage.list(container, folder):
            if outbox.channels_of(blob.metadata):
                yield f"{kind}/{blob.name.removeprefix(folder).removesuffix('.json')}"


def _blob_of(key: str) -> tuple[str, str] | None:
    """Container and name of the blob that a key of one names; None for the key of a row."""
    kind, _, name = key.partition("/")
    if kind not in _BLOBS:
        return None
    container, folder, _ = _BLOBS[kind]
    return container, f"{folder}{name}.json"


@dataclass(frozen=True, slots=True)
class _NoticeBlob:
    """A blob that is no row and that channels are to be told of: the notice, and what is written again.

    `etag` is empty where it was written between its two readings.
    """

    notice: Notice
    data: bytes
    etag: str
    metadata: Mapping[str, str]


def _notice_blob(services: Services, key: str, container: str, name: str) -> _NoticeBlob | None:
    """The blob of a key; None where no channel is to be told of it any more. Raises NotFound."""
    shown = services.storage.head(container, name)
    to = outbox.channels_of(shown.metadata)
    if not to:
        return None
    data, etag = services.storage.read(container, name)
    try:
        said, at = _BLOBS[key.partition("/")[0]][2](name, json.loads(data))
    except (ValueError, TypeError, KeyError, RecursionError):
        log.warning("%s/%s is damaged: nobody is told of it", container, name)
        return None
    made = Notice(
        id=naming.notice(services.installation, container, name, repr(at)),
        type=notices.type_name(said),
        subject=key,
        at=at,
        data=msgspec.to_builtins(said),
        to=to,
    )
    return _NoticeBlob(made, data, etag if etag == shown.etag else "", shown.metadata)


def _settle_blob(
    services: Services, key: str, container: str, name: str, is_over: Callable[[Notice, str], bool]
) -> None:
    try:
        found = _notice_blob(services, key, container, name)
        if found is None or not found.etag:
            return
        left = tuple(channel for channel in found.notice.to if not is_over(found.notice, channel))
        others = {word: text for word, text in found.metadata.items() if word != outbox.UNTOLD}
        if left != found.notice.to:
            shown = {**others, **outbox.untold(left)}
            services.storage.replace(container, name, found.data, found.etag, shown)
    except (NotFound, LedgerConflict):
        log.info("%s/%s changed meanwhile", container, name)


def _upload_refused(name: str, content: Any) -> tuple[Struct, float]:
    path, reason = str(content["path"]), str(content["reason"])
    data = notices.UploadRefused(
        path=path[:1024], reason=reason[: outbox.LONGEST_REASON], dataset=refusals.meant_for(path)
    )
    return data, float(content["at"])


def _nightly_reported(name: str, content: Any) -> tuple[Struct, float]:
    saved = content["saved"]
    data = notices.NightlyReported(
        report=name,
        summary=str(content["summary"])[: outbox.LONGEST_REASON],
        asleep_hours=float(content["asleep_hours"]),
        saved=None if saved is None else float(saved),
        currency=str(content["currency"]),
    )
    return data, datetime.fromisoformat(str(content["at"])).timestamp()


def _import_ended(name: str, content: Any) -> tuple[Struct, float]:
    asked = content["request"]
    data = notices.ImportEnded(
        id=name.rsplit("/", 1)[-1].removesuffix(".json"),
        source=str(asked["source"]),
        dataset=str(asked["dataset"]),
        state=str(content["state"]),
        snapshot=str(content.get("snapshot", "")),
        reason=str(content.get("reason", ""))[: outbox.LONGEST_REASON],
    )
    return data, float(content["since"])


# What is no row and is told of: by the kind in its key the container, the folder, and what is said of its content.
_BLOBS: dict[str, tuple[str, str, Callable[[str, Any], tuple[Struct, float]]]] = {
    "refused": ("ledger", refusals.FOLDER, _upload_refused),
    "report": (erasing.REPORTS, retention.IDLE_REPORTS, _nightly_reported),
    "import": (imports.CONTAINER, imports.FOLDER, _import_ended),
}
