"""Whole lives of snapshots in an account with a hierarchical namespace, where folders come as blobs."""

from __future__ import annotations

from typing import Any

import pytest

from shared.operations import damage, nightly, status, sweep
from tests.fake_storage import FOLDER
from tests.fakes import World, dialogues

DAY = 86_400.0


def _files(world: World, container: str) -> list[str]:
    return [blob.name for blob in world.storage.list(container)]


def _everything(world: World, container: str) -> list[str]:
    return [name for box, name in world.storage.blobs if box == container]


@pytest.mark.parametrize("settings", [{}, {"validation_spread_from_mb": 0}], ids=["at once", "file by file"])
def test_files_and_folders_are_served_and_cleaned_up_with_the_folders_made_for_them(settings: dict[str, Any]) -> None:
    world = World(settings=settings, hierarchical=True)
    world.drop("first.jsonl", dialogues(40))
    world.drop("second/1/train.jsonl", dialogues(40, "t"))
    world.drop("second/1/validation.jsonl", dialogues(12, "v"))
    world.clock.now += 1
    world.drop("second/1/_SUCCESS", b"")
    world.run()
    assert sorted(world.states().values()) == ["LIVE", "LIVE"]
    assert status.refused(world.services) == []
    world.clock.now += 1
    world.drop("first/again.jsonl", b"{}\n")
    world.run()
    assert sorted(world.states().values()) == ["LIVE", "LIVE", "REJECTED"]
    world.clock.now += 400 * DAY
    nightly.every_night(world.services)  # which has looked at what ended long ago
    world.run(DAY)
    assert damage.find(world.services) == []
    (gone,) = [name for name, state in world.states().items() if state == "CLEANED"]
    for container in ("frozen", "work", "quarantine"):
        assert not [name for name in _everything(world, container) if name.startswith(gone)], container


def test_empty_folders_are_neither_data_nor_marker_nor_missed() -> None:
    """Somebody may make a folder of any name."""
    world = World(hierarchical=True)
    for folder in ("a", "support-bot.jsonl", "support-bot", "support-bot/1", "support-bot/1/snapshot.json",
                   "support-bot/1/validation.jsonl", "other/1/_SUCCESS"):  # fmt: skip
        world.storage.upload("snapshots", folder, b"", FOLDER)
    assert sweep.sweep(world.services) == []
    world.drop("support-bot/1/train.jsonl", dialogues(40))
    world.clock.now += 1
    world.drop("support-bot/1/_SUCCESS", b"")
    for path in ("support-bot/1", "other/1/_SUCCESS", "support-bot.jsonl"):
        world.events.append(path)
    world.run()
    assert list(world.states().values()) == ["LIVE"]
    (row,) = world.snapshots()
    assert [file["path"] for file in row["files"]] == ["support-bot/1/train.jsonl"]
    assert status.refused(world.services) == []
