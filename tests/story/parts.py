"""Snapshots that are checked in parts, and what one pass makes of the same files, for the stories about them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

from shared import naming
from shared.operations import steps
from tests.fakes import Killed, Process, World

FOLDER = "support-bot/2026-11-25"


def dropped(files: dict[str, bytes], process: Process | None = None, **settings: Any) -> World:
    """A world in which the files were dropped and nothing has happened yet."""
    world = World(process or Process(), {"validation_spread_from_mb": 0.0, **settings})
    for name, data in files.items():
        world.drop(f"{FOLDER}/{name}", data)
    world.clock.now += 1
    world.drop(f"{FOLDER}/_SUCCESS", b"")
    return world


def alone(files: dict[str, bytes], **settings: Any) -> World:
    """The same in one pass of one worker."""
    world = dropped(files, validation_spread_from_mb=1000.0, **settings)
    world.run()
    return world


def unsteady(world: World, data: bytes, is_over: Callable[[io.BytesIO], bool]) -> io.BytesIO:
    """A file of these bytes that ends the worker at each read for which `is_over` says so."""
    file = io.BytesIO(data)
    read = file.read

    def read_or_end(size: int | None = -1, /) -> bytes:
        if is_over(file):
            world.process.alive = False
            raise Killed
        return read(size)

    file.read = read_or_end  # type: ignore[method-assign]
    return file


def report(world: World) -> dict[str, Any]:
    (snapshot,) = world.services.ledger.list("snapshot")
    (stored, _) = world.storage.read("reports", naming.report(snapshot.key.removeprefix("snapshot/")))
    found: dict[str, Any] = json.loads(stored)
    return {key: value for key, value in found.items() if key not in ("duration_seconds", "bytes_per_second")}


def trained(world: World) -> dict[str, list[bytes]]:
    """The rows of each training file, in no order."""
    return {
        name.rsplit("/", 1)[-1]: sorted(stored.data.splitlines())
        for (container, name), stored in world.storage.blobs.items()
        if container == "frozen"
    }


def checked_files(world: World) -> list[str]:
    return sorted(name.rsplit("/", 1)[-1] for container, name in world.storage.blobs if container == "work")


def same(world: World, one: World) -> None:
    """Nothing tells how many workers there were, but the order of rows."""
    assert report(world) == report(one)
    assert trained(world) == trained(one)
    datasets = [w.services.ledger.read("dataset/support-bot").row for w in (world, one)]
    assert datasets[0].cut_test == datasets[1].cut_test
    assert datasets[0].cut_validation == datasets[1].cut_validation


def asked_for(world: World) -> str:
    """The snapshot's key, after its events were delivered and its step asked for all files."""
    while world.events:
        world._event(world.events.pop(0))
    key = f"snapshot/{next(iter(world.states()))}"
    steps.step(world.services, f"{key}?")
    return key


def quarantined(world: World) -> list[bytes]:
    return [stored.data for (container, _), stored in world.storage.blobs.items() if container == "quarantine"]
