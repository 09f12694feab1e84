"""What lies in the ledger and cannot be read: found, put on record, and mended or set aside.

Called by the sweep, the nightly round, the status routes and `python -m cli.ledger`. Whoever meets such a blob leaves
it alone and goes on with all others; what needs it waits. Looking is harmless. Mending keeps a copy of what was there
in `ledger/_set_aside/`, so that nothing is lost; a repeat finds nothing left to mend.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from shared import naming
from shared.errors import Damaged, LedgerConflict, NotFound, PipelineError, TemporaryError
from shared.ledger import budget, listed, month_costs, store
from shared.ledger.record import UNREADABLE, Struct, cut
from shared.ledger.states import ENDED
from shared.ledger.store import CONTAINER
from shared.operations import access, backlog, orphans, rebuild
from shared.snapshots import lost_uploads

if TYPE_CHECKING:
    from shared.ledger.listed import ListedRow
    from shared.runtime import Services

log = logging.getLogger(__name__)

BLOB = "_damaged.json"
ASIDE = "_set_aside/"
# Blobs of the ledger that are neither rows nor claims, refusals or what was set aside.
_OTHERS = (budget.BLOB, orphans.BLOB, access.BLOB, backlog.BLOB, "_installation.json", lost_uploads.BLOB, BLOB)
_NO_ROW = "no row has this name"


class DamagedBlob(Struct, frozen=True, kw_only=True):
    """A blob of the ledger that cannot be read: its name, why, and since when that is known (UTC seconds)."""

    blob: str
    why: str
    since: float = 0.0


class DamageRecord(Struct, frozen=True, kw_only=True):
    """What is damaged, as far as the last sweep knows."""

    blobs: tuple[DamagedBlob, ...] = ()


_RECORD = msgspec.json.Decoder(DamageRecord)


def on_record(services: Services) -> tuple[DamagedBlob, ...]:
    """What the last sweep found."""
    try:
        return _RECORD.decode(services.storage.read(CONTAINER, BLOB)[0]).blobs
    except (NotFound, *UNREADABLE):
        return ()


def shown_by(listed: Iterable[ListedRow]) -> dict[str, str]:
    """What is damaged of rows by what a listing shows of them: what is wrong, by blob."""
    return {blob_of(row.key): row.damage for row in listed if row.damage}


def record_met(services: Services, damaged: Mapping[str, str]) -> None:
    """Puts on record what a sweep met, by blob, and of what is on record what is still damaged.

    A sweep reads what is open and what it needs itself: the nightly round looks at the rest.
    """
    known = on_record(services)
    found = [DamagedBlob(blob=blob, why=why) for blob, why in damaged.items()]
    for old in known:
        if old.blob not in damaged and (why := why_damaged(services, old.blob)):
            found.append(DamagedBlob(blob=old.blob, why=why))
    record(services, found, known)


def record(services: Services, found: Iterable[DamagedBlob], known: Iterable[DamagedBlob] | None = None) -> None:
    """Puts on record what is damaged now, and tells it in the log. `known`: what was on record, if that was read."""
    since = {old.blob: old.since for old in (on_record(services) if known is None else known)}
    now = services.clock()
    others = (one for one in found if one.blob != f"{CONTAINER}/{BLOB}")  # which is whole again by this write
    blobs = tuple(one.but(since=since.get(one.blob, now)) for one in sorted(others, key=lambda one: one.blob))
    for one in blobs:
        log.error("%s is damaged: %s; `python -m cli.ledger` mends it or sets it aside", one.blob, one.why)
    if blobs or since:
        services.storage.put(CONTAINER, BLOB, msgspec.json.encode(DamageRecord(blobs=blobs)))


def why_damaged(services: Services, blob: str) -> str:
    """Why a blob of the ledger cannot be read, or nothing; also nothing for one that is not there."""
    name = blob.removeprefix(f"{CONTAINER}/")
    try:
        shown = services.storage.head(CONTAINER, name).metadata
        if key := _key_of(name):
            services.ledger.read(key)
            return listed.listed(key, shown).damage
    except Damaged as error:
        return error.why
    except NotFound:
        return ""
    return _NO_ROW if name.startswith(("snapshots/", "datasets/")) else _wrong(services, name)


def damaged_snapshots(blobs: Iterable[DamagedBlob]) -> dict[str, str]:
    """Why rows of snapshots cannot be read, by their ids."""
    keys = ((_key_of(one.blob.removeprefix(f"{CONTAINER}/")), one.why) for one in blobs)
    return {key.removeprefix("snapshot/"): why for key, why in keys if key.startswith("snapshot/")}


def blob_of(key: str) -> str:
    """The blob of a row, as it is named on record."""
    return f"{CONTAINER}/{listed.blob_name(key)}"


def find(services: Services, part: float = 1.0) -> list[DamagedBlob]:
    """Everything that is damaged: every row and every claim is read, or only `part` of those that ended, another one
    each day."""
    day = int(services.clock() // 86_400)
    return [*_of_rows(services, part, day), *_of_claims(services, part, day), *_of_others(services)]


def _of_rows(services: Services, part: float, day: int) -> Iterator[DamagedBlob]:
    for kind in ("snapshot", "dataset"):
        for blob in services.storage.list(CONTAINER, f"{kind}s/"):
            if not (key := listed.key_of(kind, blob.name)):
                yield DamagedBlob(blob=f"{CONTAINER}/{blob.name}", why=_NO_ROW)
                continue
            found = listed.listed(key, blob.metadata)
            ended = kind == "snapshot" and found.state in ENDED
            why = found.damage
            if not why and (not ended or _is_turn_of(blob.name, part, day)):
                why = why_damaged(services, f"{CONTAINER}/{blob.name}")
            if why:
                yield DamagedBlob(blob=f"{CONTAINER}/{blob.name}", why=why)


def _of_claims(services: Services, part: float, day: int) -> Iterator[DamagedBlob]:
    for blob in services.storage.list(CONTAINER, "claims/"):
        if _is_turn_of(blob.name, part, day) and (why := _wrong(services, blob.name)):
            yield DamagedBlob(blob=f"{CONTAINER}/{blob.name}", why=why)


def _of_others(services: Services) -> Iterator[DamagedBlob]:
    for name in _OTHERS:
        if why := _wrong(services, name):
            yield DamagedBlob(blob=f"{CONTAINER}/{name}", why=why)


def _is_turn_of(blob: str, part: float, day: int) -> bool:
    """Whether a blob is one of those that are read on this day."""
    turns = max(1, round(1 / part))
    return int(naming.short_hash(blob), 16) % turns == day % turns


def mend(services: Services, damaged: DamagedBlob) -> str:
    """Mends a damaged blob, or sets it aside; says what was done.

    A row that can be read is written again, which mends its metadata; another one is made anew (`rebuild`). Of the
    slots for jobs those are made anew that a row still counts on. All else is set aside: what is lost with it is said.
    What somebody changed meanwhile is left to the next look.
    """
    try:
        return _mend(services, damaged)
    except LedgerConflict:
        return f"{damaged.blob} was changed meanwhile: look again"


def _mend(services: Services, damaged: DamagedBlob) -> str:
    name = damaged.blob.removeprefix(f"{CONTAINER}/")
    try:
        data, etag = services.storage.read(CONTAINER, name)
    except NotFound:
        return f"{damaged.blob} is not there any more"
    key = _key_of(name)
    if key:
        try:
            row = store.decode(key, data)
            services.storage.replace(CONTAINER, name, data, etag, listed.metadata(row))
            services.ledger.hint(key)
            return f"{damaged.blob}: its metadata is right again"
        except Damaged:
            if done := _rebuild(services, key, data, etag):
                return f"{damaged.blob} {done}"
    _set_aside(services, name, data, etag)
    if key:  # the next look for lost uploads asks about all of them
        services.storage.delete(CONTAINER, lost_uploads.BLOB)
    if name == budget.BLOB:
        slots = services.budget.rebuild()
        return f"{damaged.blob} is made anew from the rows: {len(slots)} slots are taken"
    return f"{damaged.blob} is set aside{_lost_with(services, key)}"


def _rebuild(services: Services, key: str, data: bytes, etag: str) -> str:
    """Puts a row made anew in the place of a damaged one, of which a copy is kept. What was done; nothing: it cannot.

    Where Azure ML cannot be asked the row is left as it is: half of a truth must not be written.
    """
    name = listed.blob_name(key)
    kind, _, rest = key.partition("/")
    try:
        row = rebuild.dataset(services, rest, data) if kind == "dataset" else rebuild.snapshot(services, rest, data)
    except TemporaryError as error:
        return f"is left as it is, for Azure ML has to be asked: {error}"
    if row is None:
        return ""
    _keep_copy(services, name, data, etag)
    services.storage.replace(CONTAINER, name, store.encode(row), etag, listed.metadata(row))
    services.ledger.hint(key)
    return f"is made anew as {row.state}; what it was is kept in {CONTAINER}/{ASIDE}"


def _keep_copy(services: Services, name: str, data: bytes, etag: str) -> None:
    aside = f"{ASIDE}{name}.{etag.strip(chr(34))}"
    try:
        services.storage.create(CONTAINER, aside, data)
    except LedgerConflict:
        log.info("%s is there already", aside)


def _set_aside(services: Services, name: str, data: bytes, etag: str) -> None:
    _keep_copy(services, name, data, etag)
    services.storage.delete(CONTAINER, name, etag)


def _lost_with(services: Services, key: str) -> str:
    """What follows from a snapshot's row that cannot be made anew, and which jobs of it run on."""
    if not key.startswith("snapshot/"):
        return ""
    text = "; its upload, if it is still there, is taken in once more by the next sweep"
    try:
        running = rebuild.paid_jobs(services, key.removeprefix("snapshot/"))
    except PipelineError as error:
        return f"{text}; whether a job of it runs is not known: {error}"
    return f"{text}; cancel its job unless that is so: {', '.join(running)}" if running else text


def _key_of(name: str) -> str:
    """The key of the row that a blob of this name holds, or nothing."""
    kind = name.partition("/")[0]
    return listed.key_of(kind.removesuffix("s"), name) if kind in ("snapshots", "datasets") else ""


def _wrong(services: Services, name: str) -> str:
    """Why a blob beside the rows cannot be read, or nothing."""
    try:
        data, _ = services.storage.read(CONTAINER, name)
        content: Any = json.loads(data)
        if name == budget.BLOB:
            services.budget.reservations()
        elif name.startswith("claims/"):
            str(content["snapshot"])
        elif name == "_installation.json":
            float(content["first_start"])
        elif name == orphans.BLOB:
            orphans.on_record(services)
        elif name == lost_uploads.BLOB:
            lost_uploads.on_record(services)
        elif name == access.BLOB:
            access.on_record(services)
        elif name == backlog.BLOB:
            backlog.on_record(services)
        elif name.startswith(month_costs.FOLDER):
            services.month_costs.check(data)
        elif name == BLOB:
            _RECORD.decode(data)
    except NotFound:
        return ""
    except Damaged as error:
        return error.why
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        return cut(f"{type(error).__name__}: {error}", 200)
    return ""
