"""Imports from the Hub as people see them: asked for, listed, looked at. Called by the HTTP functions.

Asking starts one, or finds the one that was asked for in the same words; one that failed is begun again. What is done
about it is in `snapshots.imports`. Looking changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from shared import naming
from shared.chatdata.formats import printable
from shared.config.options import parsed
from shared.conversion.recognition import SHAPES
from shared.errors import BadRequest, BadSnapshot, Damaged, LedgerConflict, NotAllowed, NotFound
from shared.ledger import imports
from shared.ledger.imports import ImportRecord, ImportRequest, ImportState
from shared.ledger.record import Struct
from shared.operations import paging, publish
from shared.operations.times import shown_time

if TYPE_CHECKING:
    from shared.operations.paging import PageQuery, SortKey
    from shared.runtime import Services

FILTERS = ("state",)


class ImportLine(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """One import in a list."""

    id: str
    source: str
    state: str
    asked_at: str


class ImportPage(Struct, frozen=True, kw_only=True, omit_defaults=False):
    """A page of imports. `next` is what to give as `before` for the page after this one."""

    imports: list[ImportLine]
    next: str | None


class BadImport(BadRequest):
    """What is asked for makes no import: the text names the field, and what it may be."""


class ImportNotAllowed(NotAllowed):
    """IMPORT_SOURCES does not name what is asked for."""


@dataclass(frozen=True, slots=True)
class ImportAnswer:
    """The import that was asked for, and in words what becomes of it."""

    id: str
    state: str
    text: str


def start(services: Services, request: ImportRequest, by: str) -> ImportAnswer:
    """Has a dataset of the Hub imported; asked twice it is one import. Raises ImportNotAllowed, BadImport.

    After the dataset here was deleted it is another one.
    """
    check(services, request)
    while True:
        now = services.clock()
        fresh = ImportRecord(request=request, by=by, asked_at=now, since=now, poll_at=now)
        try:
            known, etag = imports.read(services.storage, request.id)
        except NotFound:
            known, etag = fresh, ""
        except Damaged as error:
            raise BadImport(f"what is on record of it is damaged: {error}") from error
        gone = services.ledger.deletions.was_deleted_since(request.dataset, known.asked_at)
        if etag and known.state != ImportState.IMPORT_FAILED and not gone:
            return ImportAnswer(known.id, str(known.state), _text(known))
        if etag and publish.take(services, imports.message_of(known.id)):  # that the one before ended is told first
            continue
        try:
            imports.write(services.storage, fresh, etag, services.channels)
        except LedgerConflict:
            continue
        services.storage.send(imports.message_of(fresh.id))
        return ImportAnswer(fresh.id, str(fresh.state), _text(fresh))


def check(services: Services, request: ImportRequest) -> None:
    """Refuses what cannot be imported before anything begins. Raises ImportNotAllowed, BadImport."""
    _require_allowed(services, request.source)
    _require_sound(request)


def _require_allowed(services: Services, source: str) -> None:
    given = services.settings
    if not given.import_sources:
        raise ImportNotAllowed("imports are off: IMPORT_SOURCES names no dataset that may be imported")
    if not given.may_import(source):
        allowed = ", ".join(given.import_sources)
        raise ImportNotAllowed(f"{printable(source, 100)} is not among IMPORT_SOURCES, which allow {allowed}")


def _require_sound(request: ImportRequest) -> None:
    if not naming.DATASET.fullmatch(request.dataset):
        raise BadImport("dataset: 2 to 41 of a-z, 0-9 and '-'")
    if request.shape and request.shape not in SHAPES:
        raise BadImport(f"shape: {printable(request.shape, 40)} is none of {', '.join(SHAPES)}")
    if bool(request.user) != bool(request.assistant):
        raise BadImport("user and assistant go together: the columns of the question and of the answer")
    if request.options:
        try:
            parsed(msgspec.json.encode(request.options), "options")
        except BadSnapshot as error:
            raise BadImport(str(error)) from error


def _text(record: ImportRecord) -> str:
    what = f"{record.request.source} into {record.request.dataset}"
    if record.state == ImportState.IMPORTED:
        return f"{what}: imported already, as {record.snapshot}"
    if record.state == ImportState.IMPORTING:
        return f"{what}: {record.done} of {record.parts} parts are written"
    return f"{what}: will be imported"


def show(services: Services, import_id: str) -> dict[str, Any]:
    """Everything about one import. Raises NotFound, Damaged."""
    record, _ = imports.read(services.storage, import_id)
    asked = msgspec.to_builtins(record.request)
    return {
        "id": record.id,
        "state": str(record.state),
        "reason": record.reason or None,
        "waiting": record.waiting or None,
        "since": shown_time(record.since),
        "asked_at": shown_time(record.asked_at),
        "by": record.by,
        "request": asked,
        "revision": record.revision or None,
        "splits": [{"name": one.name, "split": one.split, "shape": one.reading.shape} for one in record.splits],
        "parts": {"done": record.done, "of": record.parts},
        "rows": {
            "read": record.read,
            "written": record.written,
            "left_out": record.left_out,
            "changed": record.changed,
        },
        "bytes": record.size,
        "snapshot": record.snapshot or None,
    }


def newest(services: Services, *, only_open: bool = False) -> list[dict[str, Any]]:
    """The newest imports in brief, newest first; `only_open`: those that go on, or failed."""
    found = sorted(_placed(services), key=lambda one: one[0])
    wanted = [one for _, one in found if not (only_open and one.state == ImportState.IMPORTED)]
    return [msgspec.to_builtins(one) for one in wanted[: paging.LIMIT]]


def page(services: Services, query: PageQuery) -> ImportPage:
    """A page of imports, in one state if that is given: one listing. Raises BadPageQuery."""
    state = paging.one_of("state", query.filter("state"), [*map(str, ImportState)])
    shown, following = paging.cut((one for one in _placed(services) if state in ("", one[1].state)), query)
    return ImportPage(imports=shown, next=following)


def _placed(services: Services) -> Iterator[tuple[SortKey, ImportLine]]:
    """Every import in brief, with its place in the list: the newest is first."""
    for import_id, blob in imports.listed(services.storage):
        asked_at = _asked_at(blob.metadata)
        yield (
            (-asked_at, import_id),
            ImportLine(
                id=import_id,
                source=blob.metadata.get("source", ""),
                state=blob.metadata.get("state", ""),
                asked_at=shown_time(asked_at),
            ),
        )


def poll_overdue(services: Services, patience: float = 0.0) -> Iterator[str]:
    """Has every import go on that is due although nobody is at it: its message was lost, or its worker.

    In a rush each has a message that waits for its turn, and is sent another one only once it is overdue twice as long.
    `patience`: how late (s) it must be before the first one.
    """
    if not services.settings.import_sources:
        return
    for import_id, blob in imports.listed(services.storage):
        due, message = _time(blob.metadata.get("next_look_at", "")), imports.message_of(import_id)
        if due is not None and due <= services.clock() and services.ledger.remind(message, due, patience):
            yield message


def forget(services: Services) -> list[str]:
    """Deletes what is on record of imports that ended longer ago than the keep time; gives their ids.

    Their snapshots stay. Whoever asks for the same once more has it imported anew.
    """
    oldest = services.clock() - services.settings.keep_days * 86_400
    over = [
        (import_id, blob.name)
        for import_id, blob in imports.listed(services.storage)
        if "next_look_at" not in blob.metadata and blob.uploaded_at < oldest
    ]
    services.storage.delete_many(imports.CONTAINER, [name for _, name in over])
    return [import_id for import_id, _ in over]


def _asked_at(metadata: Any) -> float:
    return _time(metadata.get("asked_at", "")) or 0.0


def _time(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
