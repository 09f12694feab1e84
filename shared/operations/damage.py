"""What lies in the ledger and cannot be read: found, put on record, and mended or set aside.

Called by the sweep, the nightly round, the status routes and `python -m cli.ledger`. Whoever meets such a blob leaves
it alone and goes on with all others; what needs it waits. Looking is harmless. Mending keeps a copy of what was there
in `ledger/_set_aside/`, so that nothing is lost; a repeat finds nothing left to mend.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from shared.errors import Damaged, LedgerConflict, NotFound
from shared.ledger import budget, store
from shared.ledger.record import Struct
from shared.ledger.store import CONTAINER
from shared.operations import orphans

if TYPE_CHECKING:
    from shared.ledger.store import ListedRow
    from shared.runtime import Services

log = logging.getLogger(__name__)

BLOB = "_damaged.json"
ASIDE = "_set_aside/"
# Blobs of the ledger that are neither rows nor claims, refusals or what was set aside.
_OTHERS = (budget.BLOB, orphans.BLOB, "_installation.json", BLOB)


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
    except (NotFound, msgspec.DecodeError):
        return ()


def record(services: Services, found: Iterable[DamagedBlob]) -> None:
    """Puts on record what is damaged now, and tells it in the log."""
    known, now = {old.blob: old.since for old in on_record(services)}, services.clock()
    blobs = tuple(one.but(since=known.get(one.blob, now)) for one in sorted(found, key=lambda one: one.blob))
    for one in blobs:
        log.error("%s is damaged: %s; `python -m cli.ledger` mends it or sets it aside", one.blob, one.why)
    if blobs or known:
        services.storage.put(CONTAINER, BLOB, msgspec.json.encode(DamageRecord(blobs=blobs)))


def blob_of(key: str) -> str:
    """The blob of a row, as it is named on record."""
    return f"{CONTAINER}/{store.blob_name(key)}"


def found_in(services: Services, listed: Iterable[ListedRow]) -> Iterator[DamagedBlob]:
    """What is damaged of these rows, each of which is read, and of the blobs beside the rows. No claims are read."""
    for row in listed:
        if row.damage:
            yield DamagedBlob(blob=blob_of(row.key), why=row.damage)
            continue
        try:
            services.ledger.read(row.key)
        except Damaged as error:
            yield DamagedBlob(blob=error.blob, why=error.why)
        except NotFound:
            continue
    for name in services.ledger.strays():
        yield DamagedBlob(blob=f"{CONTAINER}/{name}", why="no row has this name")
    for name in _OTHERS:
        if why := _wrong(services, name):
            yield DamagedBlob(blob=f"{CONTAINER}/{name}", why=why)


def find(services: Services) -> list[DamagedBlob]:
    """Everything that is damaged: every row and every claim is read."""
    rows = [*services.ledger.list("snapshot"), *services.ledger.list("dataset")]
    claims = [blob.name for blob in services.storage.list(CONTAINER, "claims/")]
    wrong = ((name, _wrong(services, name)) for name in claims)
    return [*found_in(services, rows), *(DamagedBlob(blob=f"{CONTAINER}/{n}", why=why) for n, why in wrong if why)]


def mend(services: Services, damaged: DamagedBlob) -> str:
    """Mends a damaged blob, or sets it aside; says what was done.

    A row that can be read is written again, which mends its metadata. Of the slots for jobs those are made anew that a
    row still counts on. All else is set aside: what is lost with it is said.
    """
    name = damaged.blob.removeprefix(f"{CONTAINER}/")
    try:
        data, etag = services.storage.read(CONTAINER, name)
    except NotFound:
        return f"{damaged.blob} is not there any more"
    key = _key_of(name)
    if key:
        try:
            row = store.decode(key, data)
            services.storage.replace(CONTAINER, name, data, etag, store.metadata(row))
            services.ledger.hint(key)
            return f"{damaged.blob}: its metadata is right again"
        except Damaged:
            pass
    _set_aside(services, name, data, etag)
    if name == budget.BLOB:
        slots = services.budget.rebuild()
        return f"{damaged.blob} is made anew from the rows: {len(slots)} slots are taken"
    return f"{damaged.blob} is set aside{_lost_with(key)}"


def _set_aside(services: Services, name: str, data: bytes, etag: str) -> None:
    aside = f"{ASIDE}{name}.{etag.strip(chr(34))}"
    try:
        services.storage.create(CONTAINER, aside, data)
    except LedgerConflict:
        log.info("%s is there already", aside)
    services.storage.delete(CONTAINER, name, etag)


def _lost_with(key: str) -> str:
    if key.startswith("snapshot/"):
        return "; its upload, if it is still there, is taken in once more by the next sweep"
    if key.startswith("dataset/"):
        return "; what it served is told as an orphan, and a new row is made at the dataset's next upload"
    return ""


def _key_of(name: str) -> str:
    """The key of the row that a blob of this name holds, or nothing."""
    kind, _, rest = name.partition("/")
    key = f"{kind.removesuffix('s')}/{rest.rsplit('/', 1)[-1].removesuffix('.json')}"
    try:
        return key if kind in ("snapshots", "datasets") and store.blob_name(key) == name else ""
    except NotFound:
        return ""


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
        elif name == BLOB:
            _RECORD.decode(data)
    except NotFound:
        return ""
    except Damaged as error:
        return error.why
    except (ValueError, TypeError, KeyError) as error:
        return f"{type(error).__name__}: {error}"[:200]
    return ""
