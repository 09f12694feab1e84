"""A blob written in blocks is what was written, however it was cut, and not there before all of it is."""

from __future__ import annotations

import pytest

from shared.azure.storage import blocks
from shared.azure.storage.blocks import BlobWriter
from tests.fakes import World

BOX, NAME = "quarantine", "support-bot-1/bad-rows.jsonl"


@pytest.mark.parametrize("sizes", [(1,), (7, 1, 2, 8), (8, 8), (30,), (0, 0, 3)], ids=str)
def test_a_blob_is_what_was_written(sizes: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 8)
    world = World()
    pieces = [bytes([n]) * size for n, size in enumerate(sizes)]
    writer = BlobWriter(world.services.storage, BOX, NAME)
    for piece in pieces:
        writer.write(piece)
    assert (BOX, NAME) not in world.storage.blobs
    writer.commit()
    assert world.storage.read(BOX, NAME)[0] == b"".join(pieces)
    assert writer.size == sum(sizes)
    ids = world.storage.blobs[BOX, NAME].blocks or ()
    assert len({len(block) for block in ids}) == 1, "the ids of one blob have one length"


def test_of_nothing_no_blob_is_made() -> None:
    world = World()
    writer = BlobWriter(world.services.storage, BOX, NAME)
    writer.write(b"")
    writer.commit()
    assert (BOX, NAME) not in world.storage.blobs


def test_what_was_cut_off_is_written_anew_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 4)
    world = World()
    BlobWriter(world.services.storage, BOX, NAME).write(b"old blocks that nobody commits")
    writer = BlobWriter(world.services.storage, BOX, NAME)
    writer.write(b"new blocks")
    writer.commit()
    assert world.storage.read(BOX, NAME)[0] == b"new blocks"
