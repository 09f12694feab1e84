"""Rows that somebody edited by hand, and that can be read all the same: they stop nobody else, and are shown."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.errors import PipelineError
from shared.ledger import listed, store
from shared.operations import nightly, pages, status, steps, sweep
from tests.builders import SNAPSHOT, a_dataset, a_snapshot
from tests.fakes import World

STORED = Path(__file__).parents[1] / "ledger" / "stored"
ROWS: list[dict[str, Any]] = [
    json.loads(line.strip().rstrip(","))
    for kind in ("snapshots", "datasets")
    for line in (STORED / f"{kind}.json").read_text("utf-8").splitlines()
    if line.strip().startswith("{")
]
BAD: tuple[Any, ...] = (None, "", 0, [], {}, "x", -1, 1e308)


def _edited(content: dict[str, Any], dice: random.Random) -> dict[str, Any]:
    """The row with one field gone or of another value, at any depth."""
    edited: dict[str, Any] = json.loads(json.dumps(content))
    inner = [value for value in edited.values() if isinstance(value, dict) and value]
    inner += [
        value[-1] for value in edited.values() if isinstance(value, list) and value and isinstance(value[-1], dict)
    ]
    target = dice.choice([edited, *inner])
    field = dice.choice(list(target))
    if dice.random() < 0.2:
        del target[field]
    else:
        target[field] = dice.choice(BAD)
    return edited


def _readable() -> Iterator[tuple[str, str, Any]]:
    """Name, key and content of edited rows that still are rows."""
    dice = random.Random(20_261_127)
    for row in ROWS * 2:
        blob, content = row["blob"], _edited(row["content"], dice)
        kind = "snapshot" if blob.startswith("snapshots/") else "dataset"
        key = f"{kind}/{blob.rsplit('/', 1)[-1].removesuffix('.json')}"
        try:
            yield blob, key, store.decode(key, json.dumps(content).encode())
        except PipelineError:
            continue


def test_a_row_that_was_edited_stops_no_step_no_round_and_no_list() -> None:
    tried = 0
    for blob, key, row in _readable():
        world, name = World(), key.partition("/")[2]
        world.storage._set("ledger", blob, store.encode(row), listed.metadata(row))
        steps.step(world.services, f"{key}?")
        sweep.sweep(world.services)
        nightly.every_night(world.services)
        assert pages.snapshots(world.services)
        look = status.snapshot if key.startswith("snapshot/") else status.dataset
        assert json.dumps(look(world.services, name))
        tried += 1
    assert tried > len(ROWS) / 2


@pytest.mark.parametrize("seconds", [1e308, -1e308, 1e12, -1.0])
def test_times_that_no_calendar_has_are_shown_as_its_end(seconds: float) -> None:
    world = World()
    world.services.ledger.create(a_snapshot(uploaded_at=seconds))
    world.services.ledger.create(a_dataset(last_asked_at=seconds, kept_until=seconds))
    (shown,) = world.snapshots()
    expected = "9999-12-31T23:59:59.000Z" if seconds > 0 else "1970-01-01T00:00:00.000Z"
    assert status.snapshot(world.services, SNAPSHOT)["uploaded_at"] == expected
    assert shown["id"] == SNAPSHOT
    assert status.dataset(world.services, "support-bot")["last_asked_at"] == expected
