"""A blob that changes while it is read, by real writes between ranges: nothing mixed or unvalidated is trained."""

from __future__ import annotations

import gzip
import io
import json
import re
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from shared.azure.storage import Storage
from shared.chatdata.splits import SPLITS
from shared.errors import NotFound
from shared.ledger.rows import Snapshot
from shared.operations import steps
from shared.runtime import Services
from shared.snapshots import intake
from tests.fakes import World, dialogues

RANGE = 512
ROWS = 240

pytestmark = pytest.mark.services


@dataclass
class Site:
    """The app over Azurite and a fake workspace; `after` many ranges were read, `then` happens, once."""

    path: str
    blobs: Any
    others: Any
    queues: Any
    ranges: int = 0
    after: int = -1
    then: Callable[[], None] = lambda: None
    services: Services = field(init=False)
    counting: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        world: Any = World()
        storage = Storage(self.blobs, self.queues, read_block=RANGE)
        storage.prepare()
        self.services = Services(world.services.settings, storage, world.workspace, world.metrics, world.inference)

    def heard(self, request: Any) -> None:
        """Every request of the app, before it is sent."""
        asked = request.http_request
        if asked.method != "GET" or f"/snapshots/{self.path}" not in asked.url or "comp=" in asked.url:
            return
        with self.counting:  # ranges are read by several threads
            if self.ranges == self.after:
                self.then()
            self.ranges += 1

    def upload(self, data: bytes) -> None:
        self.others.get_blob_client("snapshots", self.path).upload_blob(data, overwrite=True)

    def delete(self) -> None:
        self.others.get_blob_client("snapshots", self.path).delete_blob()

    def validated(self) -> Snapshot:
        """The row of what is in the blob now, after its validation."""
        id = intake.receive(self.services, self.path)
        assert id is not None
        steps.step(self.services, f"snapshot/{id}?")
        row: Snapshot = self.services.ledger.read(f"snapshot/{id}").row
        return row

    def frozen(self, row: Snapshot) -> list[str]:
        """The training rows of a snapshot that exist."""
        lines: list[str] = []
        for split in SPLITS:
            try:
                lines += self.services.storage.read("frozen", f"{row.id}/{split}.jsonl")[0].decode().splitlines()
            except NotFound:
                continue
        return sorted(lines)


@pytest.fixture
def site(request: pytest.FixtureRequest, azurite: Any) -> Iterator[Site]:
    """A site with a blob of its own, JSONL if no other format is asked for."""
    from azure.storage.blob import BlobServiceClient
    from azure.storage.queue import QueueServiceClient

    text = azurite.connection_string
    heard: list[Callable[[Any], None]] = []
    with (
        BlobServiceClient.from_connection_string(text, raw_request_hook=lambda r: [h(r) for h in heard]) as blobs,
        BlobServiceClient.from_connection_string(text) as others,
        QueueServiceClient.from_connection_string(text) as queues,
    ):
        made = Site(f"changing-{uuid.uuid4().hex[:12]}.{getattr(request, 'param', 'jsonl')}", blobs, others, queues)
        heard.append(made.heard)
        yield made


def packed(site: Site, seed: str, rows: int = ROWS) -> bytes:
    """Rows in the site's format; no two seeds have a row in common."""
    lines = dialogues(rows, seed)
    if site.path.endswith(".gz"):
        return gzip.compress(lines, compresslevel=1)
    if site.path.endswith(".jsonl"):
        return lines
    import pyarrow as pa  # type: ignore[import-untyped]
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    out = io.BytesIO()
    table = pa.Table.from_pylist([json.loads(line) for line in lines.splitlines()])
    pq.write_table(table, out, row_group_size=40, compression="none")
    return out.getvalue()


def staged(seed: str, rows: int = ROWS) -> list[str]:
    """The training rows that come of a seed."""
    made = []
    for line in dialogues(rows, seed).splitlines():
        turns = [{"content": turn["content"], "role": turn["role"]} for turn in json.loads(line)["messages"]]
        made.append(json.dumps({"messages": turns}, separators=(",", ":")))
    return sorted(made)


def many_ranges(site: Site) -> int:
    """How many ranges every pass over such a blob takes: one or two fewer than this one took, which nothing disturbed.

    Compressed, no two blobs have quite the same size, and what is read ahead may have to be read again.
    """
    site.upload(packed(site, "undisturbed"))
    row = site.validated()
    assert (row.state, site.frozen(row)) == ("VALIDATED", staged("undisturbed"))
    assert site.ranges > 7
    return site.ranges - 2


@pytest.mark.parametrize("site", ["jsonl", "jsonl.gz", "parquet"], indirect=True)
def test_overwritten_blob_is_never_trained_in_parts_and_its_new_content_is(site: Site) -> None:
    last = many_ranges(site) - 1
    for after in (last // 2, last):
        site.upload(packed(site, f"old {after:07}"))
        site.ranges, site.after = 0, after
        site.then = lambda after=after: site.upload(packed(site, f"new {after:07}"))  # type: ignore[misc]
        old = site.validated()
        assert (old.state, site.frozen(old)) == ("SUPERSEDED", [])
        # Whichever is found first: the blob that changed, or the snapshot of its new content.
        assert re.search("was overwritten while it was read|is newer", old.reason)
        site.after = -1
        new = site.validated()
        assert (new.state, site.frozen(new)) == ("VALIDATED", staged(f"new {after:07}"))


def test_deleted_blob_is_never_trained(site: Site) -> None:
    last = many_ranges(site) - 1
    for after in (1, last):
        site.upload(packed(site, f"gone {after:06}"))
        site.ranges, site.after, site.then = 0, after, site.delete
        row = site.validated()
        assert (row.state, site.frozen(row)) == ("SUPERSEDED", [])


def test_grown_blob_is_trained_as_a_whole_or_not_at_all(site: Site) -> None:
    """The new content starts with the old one: bytes alone would not tell."""
    half = many_ranges(site) // 2
    site.upload(packed(site, "growing up."))
    site.ranges, site.after = 0, half
    site.then = lambda: site.upload(packed(site, "growing up.", 2 * ROWS))
    old = site.validated()
    assert (old.state, site.frozen(old)) == ("SUPERSEDED", [])
    site.after = -1
    new = site.validated()
    assert (new.state, site.frozen(new)) == ("VALIDATED", staged("growing up.", 2 * ROWS))


def test_rejected_reading_of_a_changed_blob_is_no_verdict(site: Site) -> None:
    """A fault of the old content says nothing when the blob was overwritten meanwhile."""
    many_ranges(site)
    site.upload(packed(site, "few", 3))
    site.ranges, site.after = 0, 0
    site.then = lambda: site.upload(packed(site, "enough"))
    assert site.validated().state == "SUPERSEDED"
