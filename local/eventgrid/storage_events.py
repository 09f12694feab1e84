"""Makes the events that a storage account would raise, which Azurite does not, from its access log.

Started by the broker's process. The position in the log is recorded, never behind an event still being delivered,
so a restarted broker goes on where it was and may deliver once more: the event keeps its id then.
A blob's properties are read after the fact: two writes in quick succession raise two events with the later ETag,
and a blob deleted at once raises no BlobCreated.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec
from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobClient, BlobProperties, BlobServiceClient

from local.eventgrid.access_log import AccessLog, BlobChange, LogLine, parse
from local.eventgrid.broker import Broker
from local.eventgrid.schemas import EventGridEvent

log = logging.getLogger(__name__)

TOPIC = "storage"
LOOK_SECONDS = 0.05
# So much unread log is re-read after a crash at most, when nothing in it is of interest.
RECORD_BYTES = 64 * 1024
_CREATED = "Microsoft.Storage.BlobCreated"
_DELETED = "Microsoft.Storage.BlobDeleted"


class LogPosition(msgspec.Struct, frozen=True):
    """How far the log has been read."""

    file: int = 0
    position: int = 0


class StorageEvents:
    """The system topic of the storage account."""

    def __init__(self, broker: Broker, storage: str, log_path: Path, record: Path, source: str) -> None:
        self._broker = broker
        self._service = BlobServiceClient.from_connection_string(storage, retry_total=0)
        self._source = source
        self._record = record
        self._recorded = _recorded(record)
        self._read = self._recorded
        self._log = AccessLog(log_path, self._recorded.file, self._recorded.position)
        self._look_now = asyncio.Event()
        self._awaited: dict[str, asyncio.Event] = {}
        self._last_sequence = 0
        broker.on_end = self._note_progress

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            for line in self._log.new_lines():
                published = await self._take_or_pass_over(line)
                self._read = LogPosition(line.file, line.end)
                if published or self._far_ahead():
                    self._note_progress()
            self._look_now.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._look_now.wait()

    async def caught_up(self, client: httpx.AsyncClient) -> None:
        """Return once everything that Azurite answered before this call has been published.

        Azurite logs in the order it answers: when a request made now is in the log, so is all before it.
        """
        mark = uuid.uuid4().hex
        seen = self._awaited[mark] = asyncio.Event()
        try:
            await client.get(f"{self._service.url}?comp=list&mark={mark}")
            self._look_now.set()
            await seen.wait()
        except httpx.HTTPError:
            pass  # Azurite is down, so nothing happens there
        finally:
            del self._awaited[mark]

    def _far_ahead(self) -> bool:
        return self._read.file != self._recorded.file or self._read.position - self._recorded.position > RECORD_BYTES

    async def _take_or_pass_over(self, line: LogLine) -> bool:
        """Whatever is odd about one line is named in the log; it must not keep the events of others back."""
        try:
            return await self._take(line)
        except Exception:
            log.exception("a line of the access log was passed over: %s", line.text.strip()[:500])
            return False

    async def _take(self, line: LogLine) -> bool:
        """Publish the event that a line stands for, if it does and anybody wants it."""
        for mark, seen in self._awaited.items():
            if mark in line.text:
                seen.set()
        change = parse(line.text)
        if change is None or change.container.startswith("$"):
            return False
        event_type = _DELETED if change.operation == "DeleteBlob" else _CREATED
        subject = f"/blobServices/default/containers/{change.container}/blobs/{change.blob}"
        if not self._broker.may_be_wanted(TOPIC, event_type, subject):
            return False
        data = await self._data(change)
        if data is None:
            return False
        event_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{line.file}/{line.start}")
        event = EventGridEvent(id=str(event_id), topic=self._source, subject=subject, type=event_type, data=data)
        self._broker.publish(TOPIC, [event], position=(line.file, line.start))
        return True

    async def _data(self, change: BlobChange) -> dict[str, Any] | None:
        blob = self._service.get_blob_client(change.container, change.blob)
        if change.operation == "DeleteBlob":
            known: Mapping[str, Any] | None = {"contentType": "application/octet-stream", "blobType": "BlockBlob"}
        else:
            known = await self._properties(blob)
            if known is None:
                log.info("no event: %s is not there any more", blob.blob_name[:500])
        if known is None:
            return None
        return {
            "api": change.operation,
            "clientRequestId": str(uuid.uuid4()),
            "requestId": str(uuid.uuid4()),
            **known,
            "url": blob.url,
            "sequencer": f"{self._sequence():032x}",
            "storageDiagnostics": {"batchId": str(uuid.uuid4())},
        }

    async def _properties(self, blob: BlobClient) -> dict[str, Any] | None:
        while True:
            try:
                found = await asyncio.to_thread(self._find, blob)
            except ResourceNotFoundError:
                return None
            except HttpResponseError as error:
                if error.status_code and 400 <= error.status_code < 500 and error.status_code not in (408, 429):
                    raise  # no second try can cure it
                log.warning("%s: its properties cannot be read yet: %s", blob.url, error.message)
                await asyncio.sleep(0.5)
            except AzureError as error:
                log.warning("%s: its properties cannot be read yet: %s", blob.url, error.message)
                await asyncio.sleep(0.5)
            else:
                if found is None:
                    return None
                return {
                    "eTag": found.etag,
                    "contentType": found.content_settings.content_type,
                    "contentLength": found.size,
                    "blobType": str(found.blob_type.value),
                }

    def _find(self, blob: BlobClient) -> BlobProperties | None:
        """The properties of exactly this name. An address with dot segments means another one, a listing does not."""
        name = blob.blob_name
        if not {".", ".."} & set(name.split("/")):
            return blob.get_blob_properties(timeout=5)
        container = self._service.get_container_client(blob.container_name)
        first = next(iter(container.list_blobs(name_starts_with=name, results_per_page=1)), None)
        return first if first is not None and first.name == name else None

    def _sequence(self) -> int:
        self._last_sequence = max(self._last_sequence + 1, time.time_ns())
        return self._last_sequence

    def _note_progress(self) -> None:
        """Record how far everything has been delivered."""
        under_way = [one.position for one in self._broker.open if one.position is not None]
        here = [position for file, position in under_way if file == self._read.file]
        self._write(LogPosition(self._read.file, min([self._read.position, *here])))

    def _write(self, mark: LogPosition) -> None:
        if mark != self._recorded:
            partial = self._record.with_suffix(".partial")
            try:
                partial.write_bytes(msgspec.json.encode(mark))
                partial.replace(self._record)
            except OSError as error:  # a full disk: events go on, and after a crash some come again
                log.warning("how far the access log was read cannot be recorded: %s", error)
            else:
                self._recorded = mark


def _recorded(record: Path) -> LogPosition:
    return msgspec.json.decode(record.read_bytes(), type=LogPosition) if record.exists() else LogPosition()
